// Which cluster of the repository a verb is about.

import { Fault } from '../base/faults.ts';
import { type ClusterFacts, readClusterFacts } from '../engine/cluster-facts.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';

/** --asset, or the only cluster there is. USAGE when there are several. */
export async function clusterOf(
  { options, signal }: Invocation,
  repository: Repository,
): Promise<{ readonly asset: string; readonly cluster: ClusterFacts }> {
  const asset = options.text('asset') ?? (await onlyAsset(repository, signal));
  const cluster = await readClusterFacts(repository, asset, signal);
  if (cluster === undefined)
    throw new Fault('RECOVERY_REFUSED', `The repository holds no log of "${asset}"`, {
      hint: 'See "holdfast snapshots"; "holdfast pg capture" begins one.',
    });
  return { asset, cluster };
}

async function onlyAsset(repository: Repository, signal: AbortSignal): Promise<string> {
  const snapshots = await listSnapshots(repository, await repository.heads.read({ signal }), { signal });
  const assets = [...new Set(snapshots.filter(({ facts }) => facts?.['kind'] === 'postgres-base').map(({ asset }) => asset))];
  if (assets.length === 0)
    throw new Fault('RECOVERY_REFUSED', 'The repository holds no base backup of a PostgreSQL cluster', {
      hint: '"holdfast pg capture" makes one.',
    });
  if (assets.length > 1)
    throw usage(`The repository holds ${assets.length} clusters: ${assets.join(', ')}`, 'Name one with --asset.');
  return assets[0]!;
}

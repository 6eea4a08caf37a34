// Which snapshots a verb is about: those that its filters let through, or the one that is named.

import { Fault } from '../base/faults.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { type DamagedSnapshot, listSnapshots, resolveSnapshot } from '../repository/snapshots.ts';
import type { OptionValues } from './option.ts';

/** Oldest first. `onDamaged`: see `listSnapshots`. */
export async function selectSnapshots(
  repository: Repository,
  options: OptionValues,
  signal: AbortSignal,
  onDamaged?: (damaged: DamagedSnapshot) => void,
): Promise<Snapshot[]> {
  const asset = options.text('asset');
  const head = await repository.heads.read({ signal });
  const assetId = asset === undefined ? undefined : repository.keyring.assetId(asset);
  const isWanted = filterOf(options);
  return (await listSnapshots(repository, head, { signal }, assetId, onDamaged)).filter(isWanted);
}

/** SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS, SNAPSHOT_DAMAGED: of "latest" also when another is, since that one may be newer. The filters decide what "latest" means, and must let through what is named otherwise. */
export async function selectSnapshot(
  repository: Repository,
  name: string,
  options: OptionValues,
  signal: AbortSignal,
): Promise<Snapshot> {
  const { location } = repository.store;
  const described = describeFilters(options);
  const latest = /^latest(?:~(\d{1,6}))?$/.exec(name);
  if (latest !== null) {
    const snapshots = await selectSnapshots(repository, options, signal);
    const found = snapshots[snapshots.length - 1 - Number(latest[1] ?? 0)];
    if (found === undefined)
      throw new Fault(
        'SNAPSHOT_NOT_FOUND',
        `The repository at ${location} has ${snapshots.length} snapshots${described}, no "${name}"`,
      );
    return found;
  }
  const snapshot = await resolveSnapshot(repository, name, { signal });
  if (!filterOf(options)(snapshot)) throw new Fault('SNAPSHOT_NOT_FOUND', `The snapshot ${snapshot.id} is not one${described}`);
  return snapshot;
}

function filterOf(options: OptionValues): (snapshot: Snapshot) => boolean {
  const asset = options.text('asset');
  const host = options.text('host');
  const tags = options.texts('tag');
  return (snapshot) =>
    (asset === undefined || snapshot.asset === asset) &&
    (host === undefined || snapshot.host === host) &&
    tags.every((tag) => snapshot.tags.includes(tag));
}

function describeFilters(options: OptionValues): string {
  const words = ['asset', 'host', 'tag'].flatMap((name) => options.texts(name).map((value) => ` with ${name} "${value}"`));
  return words.join(' and');
}

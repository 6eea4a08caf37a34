// What the repository knows of a cluster, as the recovery plan asks for it.

import { LogView } from '../../src/engine/log-view.ts';
import type { RecoveryBase, RecoveryFacts } from '../../src/engine/recovery-plan.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import type { BaseFacts } from './base-backup.ts';
import { incarnationOf } from './capture.ts';
import { microsOfText } from './instant-text.ts';
import { mustParseLsn } from './lsn.ts';

export type ClusterFacts = {
  readonly facts: RecoveryFacts;
  readonly view: LogView;
  readonly snapshots: ReadonlyMap<string, Snapshot>;
};

/** Undefined when the asset has no log yet. */
export async function readClusterFacts(
  repository: Repository,
  asset: string,
  signal?: AbortSignal,
): Promise<ClusterFacts | undefined> {
  const options = signal === undefined ? {} : { signal };
  const assetId = repository.keyring.assetId(asset);
  const view = await LogView.open(repository, assetId, undefined, options);
  if (view === undefined) return undefined;
  const all = await listSnapshots(repository, await repository.heads.read(options), options, assetId);
  const own = all.filter((snapshot) => isBaseOf(snapshot, view.incarnation));
  const { stretches, lineages, gaps } = view;
  return {
    facts: { bases: own.map(baseOf), stretches, lineages, gaps, marks: view },
    view,
    snapshots: new Map(own.map((snapshot) => [snapshot.id, snapshot])),
  };
}

function isBaseOf({ facts }: Snapshot, incarnation: string): boolean {
  return facts?.['kind'] === 'postgres-base' && incarnationOf(facts['systemId'] ?? '0') === incarnation;
}

export function baseFactsOf({ facts }: Snapshot): BaseFacts {
  return facts as unknown as BaseFacts;
}

function baseOf(snapshot: Snapshot): RecoveryBase {
  const facts = baseFactsOf(snapshot);
  return {
    snapshot: snapshot.id,
    timeline: Number(facts.timeline),
    start: mustParseLsn(facts.startPosition),
    stop: mustParseLsn(facts.stopPosition),
    stoppedAt: microsOfText(facts.stoppedAt) ?? Date.parse(snapshot.endedAt) * 1000,
  };
}

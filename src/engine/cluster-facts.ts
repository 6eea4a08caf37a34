// What the repository knows of a database cluster, as the recovery plan asks for it: its log, and the bases whose snapshots say of themselves
// from where to where the log belongs to them.

import { microsOfText } from '../model/instant-text.ts';
import { mustParseLsn } from '../model/lsn.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import type { KnownIndexes } from './known-indexes.ts';
import { LogView } from './log-view.ts';
import type { RecoveryBase, RecoveryFacts } from './recovery-plan.ts';

/** What a base backup says of itself in its snapshot. All texts. */
export type BaseFacts = {
  readonly kind: 'postgres-base';
  readonly systemId: string;
  readonly timeline: string;
  /** Log positions, "0/3000060". */
  readonly startPosition: string;
  readonly stopPosition: string;
  /** The server's clock after the stop position. */
  readonly stoppedAt: string;
  /** JSON: [{oid, location}]. */
  readonly tablespaces: string;
  /** JSON of ServerFacts. */
  readonly server: string;
  /** JSON: {files, missing}: paths of configuration outside of the data directory, and why some could not be read ('': none). */
  readonly configuration?: string;
  /** Why the server sent the files; absent when they were read where they lie. */
  readonly streamedFor?: string;
  /** Log position where the base backup began of which unchanged pages were kept unread; or why none were, although the server summarizes its
   *  log (17 and newer). */
  readonly readSince?: string;
  readonly readWholeFor?: string;
  /** "true": pages with wrong checksums were kept. */
  readonly hasCorruptPages?: string;
};

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
  known?: KnownIndexes,
): Promise<ClusterFacts | undefined> {
  const options = { ...(signal !== undefined && { signal }), ...(known !== undefined && { known }) };
  const assetId = repository.keyring.assetId(asset);
  const view = await LogView.open(repository, assetId, undefined, options);
  if (view === undefined) return undefined;
  const all = await listSnapshots(repository, await repository.heads.read(options), options, assetId);
  return clusterFactsOf(view, all);
}

/** `snapshots`: those that are no bases of this cluster do not count. */
export function clusterFactsOf(view: LogView, snapshots: readonly Snapshot[]): ClusterFacts {
  const own = snapshots.filter((snapshot) => isBaseOf(snapshot, view.incarnation));
  const { stretches, lineages, gaps, clockSteps } = view;
  return {
    facts: { bases: own.map(baseOf), stretches, lineages, gaps, clockSteps, marks: view },
    view,
    snapshots: new Map(own.map((snapshot) => [snapshot.id, snapshot])),
  };
}

/** "7710542372261634019" -> 16 hex digits. */
export function incarnationOf(systemId: string): string {
  return BigInt(systemId).toString(16).padStart(16, '0');
}

export function baseFactsOf({ facts }: Snapshot): BaseFacts {
  return facts as unknown as BaseFacts;
}

export function isBase({ facts }: Snapshot): boolean {
  return facts?.['kind'] === 'postgres-base';
}

function isBaseOf(snapshot: Snapshot, incarnation: string): boolean {
  const { facts } = snapshot;
  return isBase(snapshot) && incarnationOf(facts?.['systemId'] ?? '0') === incarnation;
}

export function baseOf(snapshot: Snapshot): RecoveryBase {
  const facts = baseFactsOf(snapshot);
  return {
    snapshot: snapshot.id,
    timeline: Number(facts.timeline),
    start: mustParseLsn(facts.startPosition),
    stop: mustParseLsn(facts.stopPosition),
    stoppedAt: microsOfText(facts.stoppedAt) ?? Date.parse(snapshot.endedAt) * 1000,
  };
}

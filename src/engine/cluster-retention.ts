// Retention of a database cluster: which of its bases a window needs, and trimming its log.

import { forEachBounded } from '../base/bounded.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { isUnsound } from '../repository/unsound.ts';
import { baseFactsOf, baseOf, isBase, readClusterFacts } from './cluster-facts.ts';
import { basesOfWindow, type JudgedBase } from './log-retention.ts';
import type { RecoveryBase } from './recovery-plan.ts';
import { type TrimReport, trimLog } from './trim-log.ts';

const LOOKS_IN_FLIGHT_MAX = 8;

/** Of each base, by the id of its snapshot. `since`: Unix microseconds, or infinite: only what the newest moment needs. Empty where the
 *  asset has no log. Whatever is asked for, all bases of the asset are looked at. */
export async function judgeBases(
  repository: Repository,
  asset: string,
  since: number,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, JudgedBase>> {
  const cluster = await readClusterFacts(repository, asset, signal);
  if (cluster === undefined) return new Map();
  const { facts, view } = cluster;
  const unsound = new Set<string>();
  await forEachBounded(facts.bases, LOOKS_IN_FLIGHT_MAX, async ({ snapshot }) => {
    if (await isUnsound(repository.store, snapshot, signal === undefined ? {} : { signal })) unsound.add(snapshot);
  });
  const isSound = ({ snapshot }: RecoveryBase): boolean => !unsound.has(snapshot);
  const judged = await basesOfWindow({ ...facts, timeline: view.timeline, isSound }, since);
  return new Map(judged.map((one) => [one.base.snapshot, one]));
}

/** Deletes log that no base needs, registered or held by a reader. Undefined when there is no log, or no base. */
export function trimCluster(
  repository: Repository,
  asset: string,
  options: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
): Promise<TrimReport | undefined> {
  return trimLog(repository, repository.keyring.assetId(asset), { ...options, baseOf: neededBy });
}

/** A server asks for whole segments, so a base needs its first one from its beginning. */
export function neededBy(snapshot: Snapshot): RecoveryBase | undefined {
  if (!isBase(snapshot)) return undefined;
  const base = baseOf(snapshot);
  const { segmentBytes } = JSON.parse(baseFactsOf(snapshot).server) as { readonly segmentBytes: number };
  return { ...base, start: Math.floor(base.start / segmentBytes) * segmentBytes };
}

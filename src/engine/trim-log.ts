// Letting go of log that no base needs any more. What is kept follows from the bases, as blocks follow from snapshots:
//
// 1. Open the log, then read the head: its registered and pinned bases are the roots. A base that is not registered can never be pinned
//    again, so who pins a base and succeeds (a restore) finds its log there until the pin is gone. A base that is registered later begins
//    behind the oldest root, or is one of a copy, whose log is stored after it: in epochs that this trim has not seen.
// 2. Swap the register: what may go is no part of the log from now on. Epochs go as a whole only when a later one of the same host is
//    there, so that no capture goes on writing one (LogWriter looks now and then that its epoch is still listed).
// 3. Delete what the register does not need. Dying anywhere, the next trim finds the rest: a section by its name, before `trimmed`; an
//    epoch in `retired`.
//
// A timeline that no base leads to keeps what is not older than the oldest root: a base of it may be under way.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { LogCatalogue } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { rootsOf } from '../repository/head-changes.ts';
import { hex, sessionKeyKey, unhex } from '../repository/layout.ts';
import { mustBeOwner } from '../repository/owner-only.ts';
import type { Repository } from '../repository/repository.ts';
import { readSnapshot } from '../repository/snapshots.ts';
import type { CallOptions } from '../store/object-store.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import { listEpoch } from './log-listing.ts';
import { epochPrefix, sectionOf } from './log-objects.ts';
import type { EpochReader } from './log-reader.ts';
import { neededFrom } from './log-retention.ts';
import { LogView } from './log-view.ts';
import type { RecoveryBase } from './recovery-plan.ts';

const DELETES_IN_FLIGHT_MAX = 16;

export type TrimOptions = {
  /** Undefined for snapshots that are no bases. `start`: from where on it needs log. */
  readonly baseOf: (snapshot: Snapshot) => RecoveryBase | undefined;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
};

export type TrimReport = {
  readonly objects: number;
  readonly bytes: number;
  /** Epochs that went as a whole. */
  readonly epochs: number;
  /** Where the log of each timeline begins to be needed; absent: no base leads to it. */
  readonly needed: ReadonlyMap<number, number | undefined>;
};

/** Undefined when the asset has no log, or no base: then nothing says what is needed. */
export async function trimLog(
  repository: Repository,
  assetId: Uint8Array,
  { baseOf, dryRun = false, signal }: TrimOptions,
): Promise<TrimReport | undefined> {
  mustBeOwner(repository);
  const options: CallOptions = signal === undefined ? {} : { signal };
  const keeper = new LogCatalogueKeeper(repository, assetId);
  const view = await LogView.open(repository, assetId, undefined, options);
  if (view === undefined) return undefined;
  const bases = await rootBases(repository, assetId, baseOf, options);
  if (bases.length === 0) return undefined;
  const timelines = [...new Set(view.epochs.map(({ reader }) => reader.epoch.timeline))];
  const needed = neededFrom(timelines, { bases, lineages: view.lineages });
  const oldest = Math.min(...bases.map(({ stoppedAt }) => stoppedAt));
  const trims = new Map<string, number>();
  const retired = new Set<string>();
  for (const { reader, recordsEnd } of view.epochs) {
    const { epoch, timeline } = reader.epoch;
    const floor = needed.get(timeline) ?? (await endOfOlder(reader, oldest, options));
    const open = sectionOf(reader.from) + reader.sections * LOG_SECTION_BYTES;
    const trimmed = Math.min(sectionOf(floor), open);
    if (reader.end <= floor && recordsEnd <= floor && isFollowed(view.catalogue, epoch)) retired.add(epoch);
    else if (trimmed > reader.from) trims.set(epoch, trimmed);
  }
  const listed = new Map(view.epochs.map(({ reader }) => [reader.epoch.epoch, reader]));
  const doomed = [...listed].flatMap(([epoch, reader]) =>
    doomedOf(reader, retired.has(epoch) ? Number.POSITIVE_INFINITY : (trims.get(epoch) ?? reader.epoch.trimmed ?? 0)),
  );
  const report = {
    objects: doomed.length,
    bytes: doomed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    epochs: retired.size,
    needed,
  };
  if (dryRun) return report;
  const { retired: leaving = [] } = await keeper.letGo(trims, retired, options);
  const remove = async ({ key }: { readonly key: string }): Promise<void> => repository.store.delete(key, options);
  await forEachBounded(doomed, DELETES_IN_FLIGHT_MAX, remove);
  for (const one of leaving) {
    const { sections, ranges } = await listEpoch(repository.store, epochPrefix(assetId, one), options);
    await forEachBounded([...sections, ...ranges], DELETES_IN_FLIGHT_MAX, remove);
    for (const pairId of repository.keyring.pairIds)
      await repository.store.delete(sessionKeyKey(pairId, unhex(one.epoch)), options);
  }
  await keeper.dropRetired(new Set(leaving.map(({ epoch }) => epoch)), options);
  await keeper.dropOld((one) => one.incarnation === view.incarnation && one.to <= (needed.get(one.timeline) ?? 0), options);
  return report;
}

/** Registered, or forgotten and pinned. */
async function rootBases(
  repository: Repository,
  assetId: Uint8Array,
  baseOf: TrimOptions['baseOf'],
  options: CallOptions,
): Promise<RecoveryBase[]> {
  const head = await repository.heads.read(options);
  const assets = new Map(head.snapshots.map((one) => [one.session, one.assetId]));
  const bases: RecoveryBase[] = [];
  for (const session of rootsOf(head)) {
    // Of one that is pinned and forgotten the head does not say whose it is.
    if ((assets.get(session) ?? hex(assetId)) !== hex(assetId)) continue;
    try {
      const snapshot = await readSnapshot(repository, session, options);
      const base = hex(repository.keyring.assetId(snapshot.asset)) === hex(assetId) ? baseOf(snapshot) : undefined;
      if (base !== undefined) bases.push(base);
    } catch (error) {
      // Forgotten, or let go, since the head was read. Whatever else cannot be read may be a base.
      if (!isFault(error, 'SNAPSHOT_NOT_FOUND')) throw error;
    }
  }
  return bases;
}

/** Whether the same host has begun another epoch since: it goes on with that one. */
function isFollowed({ epochs }: LogCatalogue, name: string): boolean {
  const at = epochs.findIndex(({ epoch }) => epoch === name);
  return epochs.some(({ host, incarnation }, n) => n > at && host === epochs[at]!.host && incarnation === epochs[at]!.incarnation);
}

/** End of the objects whose transactions are all older; the epoch's beginning when that is not known. */
async function endOfOlder(reader: EpochReader, time: number, options: CallOptions): Promise<number> {
  let end = reader.from;
  for (const run of reader.runs) {
    for (let n = run.first; n < run.end; n++) {
      const latest = await reader.timeAfter(n, options);
      if (latest >= time) return end;
      if (latest > 0) end = n + 1 < reader.count ? reader.startOf(n + 1) : reader.end;
    }
  }
  return end;
}

/** What is stored before a position, in whole sections. */
function doomedOf({ listed }: EpochReader, before: number): { readonly key: string; readonly sizeBytes: number }[] {
  return [...listed.sections, ...listed.ranges].filter(({ section }) => section + LOG_SECTION_BYTES <= before);
}

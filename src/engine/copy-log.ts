// Copying the log of a cluster to another repository: what its bases need there and it does not have, in the order of the log, sealed anew
// with its keys. Whole records only; each run appends where the log there ends, so what an interrupted one has stored is not read again,
// and the window there has no hole that the source does not have.
//
// Bases come first: the log of one that is registered is safe from a trim there. What is read here is held by a pin of the oldest base.

import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../base/faults.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import { bytesEqual } from '../model/reference.ts';
import { pinSnapshot, unpinSnapshot } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { incarnationOf } from './cluster-facts.ts';
import { neededBy } from './cluster-retention.ts';
import type { CopyProgress } from './copy-run.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import { sectionOf } from './log-objects.ts';
import { neededFrom } from './log-retention.ts';
import { LogView, type OpenStretch } from './log-view.ts';
import { LogWriter } from './log-writer.ts';
import type { RecoveryBase } from './recovery-plan.ts';

const ATTEMPTS_MAX = 5;
const RETRY_MS = 200;
const END = Number.POSITIVE_INFINITY;

export type CopyLogOptions = {
  /** For the catalogue there. */
  readonly host: string;
  readonly now: () => Date;
  /** Says what is missing, and stores nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly progress: CopyProgress;
};

export type CopiedLog = {
  /** Of log, before compression. */
  bytes: number;
  /** Log that is damaged here, and is a gap there. */
  readonly damaged: { readonly timeline: number; readonly from: number; readonly to: number; readonly cause: string }[];
};

/** LOG_FORKED when the log there is another one. */
export async function copyLog(from: Repository, to: Repository, asset: string, options: CopyLogOptions): Promise<CopiedLog> {
  const copied: CopiedLog = { bytes: 0, damaged: [] };
  const { signal } = options;
  const { epochs } = await new LogCatalogueKeeper(from, from.keyring.assetId(asset)).read({ signal });
  for (const incarnation of new Set(epochs.map((epoch) => epoch.incarnation))) {
    const bases = await basesOf(to, asset, incarnation, signal);
    if (bases.length === 0) continue;
    await holdingOldest(from, asset, incarnation, signal, () =>
      new IncarnationCopy({ from, to, asset, incarnation, bases, options, copied }).run(),
    );
  }
  return copied;
}

async function basesOf(repository: Repository, asset: string, incarnation: string, signal: AbortSignal): Promise<RecoveryBase[]> {
  const head = await repository.heads.read({ signal });
  const all = await listSnapshots(repository, head, { signal }, repository.keyring.assetId(asset));
  return all
    .filter(({ facts }) => incarnationOf(facts?.['systemId'] ?? '0') === incarnation)
    .flatMap((snapshot) => neededBy(snapshot) ?? [])
    .sort((a, b) => a.stoppedAt - b.stoppedAt);
}

/** Who may only read here goes on without. */
async function holdingOldest(
  from: Repository,
  asset: string,
  incarnation: string,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const [oldest] = await basesOf(from, asset, incarnation, signal);
  const held =
    oldest === undefined
      ? undefined
      : await pinSnapshot(from.heads, oldest.snapshot, from.process, { signal }).catch((error: unknown) => {
          if (!isFault(error, 'STORE_DENIED', 'STORE_FULL', 'SNAPSHOT_NOT_FOUND')) throw error;
          return undefined;
        });
  try {
    await work();
  } finally {
    if (held !== undefined) await unpinSnapshot(from.heads, held.holder).catch(() => {});
  }
}

type Details = {
  readonly from: Repository;
  readonly to: Repository;
  readonly asset: string;
  readonly incarnation: string;
  /** There. */
  readonly bases: readonly RecoveryBase[];
  readonly options: CopyLogOptions;
  readonly copied: CopiedLog;
};

class IncarnationCopy {
  readonly #details: Details;
  readonly #catalogue: LogCatalogueKeeper;
  #giveUp = new AbortController();
  #writer: LogWriter | undefined;

  constructor(details: Details) {
    this.#details = details;
    this.#catalogue = new LogCatalogueKeeper(details.to, details.to.keyring.assetId(details.asset));
  }

  async run(): Promise<void> {
    const { signal } = this.#details.options;
    for (let attempt = 1; ; attempt++) {
      this.#giveUp = new AbortController();
      try {
        return await this.#copyOnce();
      } catch (error) {
        // A trim has taken away what no base here needs.
        if (attempt === ATTEMPTS_MAX || !isFault(error, 'LOG_GAP', 'STORE_NOT_FOUND', 'LOG_LET_GO')) throw error;
        await sleep(RETRY_MS, undefined, { signal });
      } finally {
        this.#giveUp.abort(new Fault('INTERRUPTED', 'The copy of the log ended'));
      }
    }
  }

  async #copyOnce(): Promise<void> {
    const { from, to, asset, incarnation, bases, options } = this.#details;
    const { signal, dryRun } = options;
    const source = (await LogView.open(from, from.keyring.assetId(asset), incarnation, { signal }))!;
    const target = (await LogView.open(to, to.keyring.assetId(asset), incarnation, { signal }))!;
    if (!dryRun) {
      for (const history of source.histories) await this.#catalogue.addHistory(history, { signal });
      await this.#catalogue.addClockSteps(source.clockSteps, { signal });
      for (const barrier of source.barriers) await this.#catalogue.addGap(barrier, { signal });
    }
    const timelines = [...new Set(source.stretches.map(({ timeline }) => timeline))].sort((a, b) => a - b);
    const needed = neededFrom(timelines, { bases, lineages: source.lineages });
    for (const timeline of timelines) {
      const first = needed.get(timeline) ?? (await source.firstLater(timeline, 0, END, bases[0]!.stoppedAt))?.position;
      if (first !== undefined) await this.#copyTimeline(source, target, timeline, first);
    }
    if (dryRun) return;
    const at = options.now().toISOString();
    for (const { timeline, from: begin, to: end, cause } of source.gaps.filter((gap) => !('isStored' in gap)))
      await this.#catalogue.addGap({ incarnation, timeline, from: begin, to: end, cause, at }, { signal });
  }

  async #copyTimeline(source: LogView, target: LogView, timeline: number, first: number): Promise<void> {
    const stretches = source.epochs
      .flatMap((epoch) => epoch.stretches)
      .filter(({ reader }) => reader.epoch.timeline === timeline)
      .sort((a, b) => a.from - b.from);
    let end = first;
    try {
      for (const stretch of stretches) {
        const at = recordsTo(target, timeline, Math.max(end, stretch.from));
        end = Math.max(end, at);
        if (at >= stretch.recordsEnd) continue;
        await this.#mustBeSame(source, target, timeline, at);
        await this.#copyStretch(source, target, stretch, at);
        end = stretch.recordsEnd;
      }
    } finally {
      await this.#end();
    }
  }

  /** What is stored there before `at` was copied from this log, and from no other one. */
  async #mustBeSame(source: LogView, target: LogView, timeline: number, at: number): Promise<void> {
    const { to } = this.#details;
    for (const { reader, first, end, from: begin, to: last } of target.epochs.flatMap((epoch) => epoch.stretches)) {
      if (reader.epoch.timeline !== timeline || begin >= at || last < at) continue;
      for (let n = end - 1; n >= first; n--) {
        const index = await reader.nth(n);
        if (index.to > at || source.storedTo(timeline, index.from) < index.to) continue;
        const bytes = new Uint8Array(index.to - index.from);
        await source.read(timeline, index.from, bytes, this.#details.options);
        if (bytesEqual(to.keyring.ids.id(bytes), index.digest)) return;
        throw new Fault(
          'LOG_FORKED',
          `The log of timeline ${timeline} at ${to.store.location} has other bytes from ${index.from} to ${index.to}`,
        );
      }
    }
  }

  /** In pieces that end with the sections, up to where the log there goes on. */
  async #copyStretch(source: LogView, target: LogView, stretch: OpenStretch, begin: number): Promise<void> {
    const { copied, options } = this.#details;
    const { timeline } = stretch.reader.epoch;
    const starts = await recordStarts(stretch, begin);
    for (let at = begin, records = begin; at < stretch.recordsEnd; ) {
      options.signal.throwIfAborted();
      const there = recordsTo(target, timeline, records);
      if (there > at) {
        at = there;
        records = there;
        continue;
      }
      const to = Math.min(stretch.recordsEnd, sectionOf(at) + LOG_SECTION_BYTES);
      records = starts.get(to) ?? to;
      if (options.dryRun || (await this.#copyPiece(source, timeline, at, to, records))) {
        copied.bytes += to - at;
        if (!options.dryRun) options.progress.bytesRead += to - at;
      }
      at = to;
    }
  }

  /** False when it is damaged here. */
  async #copyPiece(source: LogView, timeline: number, at: number, to: number, recordFrom: number): Promise<boolean> {
    const { options, copied, incarnation } = this.#details;
    const { signal, now } = options;
    const bytes = new Uint8Array(to - at);
    const marks: LogMark[] = [];
    try {
      await source.read(timeline, at, bytes, { signal });
      for await (const mark of source.marks(timeline, at, to)) marks.push(mark);
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
      await this.#end();
      copied.damaged.push({ timeline, from: at, to, cause: error.message });
      const gap = { incarnation, timeline, from: at, to, at: now().toISOString(), cause: `not copied: ${error.message}` };
      await this.#catalogue.addGap(gap, { signal });
      return false;
    }
    if (this.#writer !== undefined && this.#writer.end !== at) await this.#end();
    this.#writer ??= this.#newWriter(timeline, at);
    await this.#writer.ready();
    this.#writer.append(bytes, marks, recordFrom);
    return true;
  }

  #newWriter(timeline: number, from: number): LogWriter {
    const { to, asset, incarnation, options } = this.#details;
    return new LogWriter({
      repository: to,
      catalogue: this.#catalogue,
      assetId: to.keyring.assetId(asset),
      incarnation,
      timeline,
      from,
      host: options.host,
      now: options.now,
      policy: { bytes: END, ms: END },
      known: [],
      signal: AbortSignal.any([options.signal, this.#giveUp.signal]),
      onTrouble: () => {},
      onDurable: () => {},
    });
  }

  async #end(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer === undefined) return;
    await writer.flush();
    this.#details.options.progress.bytesStored += writer.bytesStored;
  }
}

/** End of the whole records that are stored without a hole from a position on. */
function recordsTo(view: LogView, timeline: number, from: number): number {
  let end = from;
  const all = view.epochs.flatMap((epoch) => epoch.stretches).filter(({ reader }) => reader.epoch.timeline === timeline);
  for (const { from: begin, recordsEnd } of all.sort((a, b) => a.from - b.from))
    if (begin <= end && recordsEnd > end) end = recordsEnd;
  return end;
}

/** Where an object ends -> where the record begins that goes on in the next one. */
async function recordStarts({ reader, first, end }: OpenStretch, from: number): Promise<ReadonlyMap<number, number>> {
  const starts = new Map<number, number>();
  for (let n = reader.numberAt(from, first); n < end; n++) {
    const { to, recordFrom } = await reader.nth(n);
    starts.set(to, recordFrom);
  }
  return starts;
}

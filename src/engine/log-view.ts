// All that is stored of an asset's log, opened for reading: its stretches, its marks, its bytes.
//
// Epochs overlap: one that goes on begins a little before the end of the one before it. Of two, the bytes and marks are the same where both
// have them (the writer has compared). A mark belongs to the epoch that holds the end of its record, so walking the stretches in order and
// taking from each what ends beyond the one before gives every mark once, in the order of the log. Where an object of one epoch is lost,
// another one that has the same log stands in.

import { isDeepStrictEqual } from 'node:util';
import { Fault, isFault } from '../base/faults.ts';
import type { LogCatalogue, LogClockStep, LogEpoch, LogGap, LogHistory } from '../format/log-catalogue.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { CallOptions } from '../store/object-store.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import { EpochReader, type ObjectRun } from './log-reader.ts';
import type { LookOptions, LostPiece, ReadingRepository } from './log-tail.ts';
import type { KnownGap, Lineage, LogStretch } from './recovery-plan.ts';
import type { MarkIndex } from './way-marks.ts';

const EPOCHS_PARALLEL = 8;
const LOOKS_MAX = 10;

/** A part of an epoch without a hole. */
export type OpenStretch = ObjectRun & {
  readonly reader: EpochReader;
  /** End of its last whole record. */
  readonly recordsEnd: number;
};

export type OpenEpoch = {
  readonly reader: EpochReader;
  readonly stretches: readonly OpenStretch[];
  /** Objects that cannot be read. */
  readonly lost: readonly LostPiece[];
  /** End of the last whole record of all. */
  readonly recordsEnd: number;
};

export class LogView implements MarkIndex {
  readonly catalogue: LogCatalogue;
  readonly incarnation: string;
  /** In the order in which they were begun. */
  readonly epochs: readonly OpenEpoch[];

  readonly assetId: Uint8Array;

  private constructor(assetId: Uint8Array, catalogue: LogCatalogue, incarnation: string, epochs: readonly OpenEpoch[]) {
    this.assetId = assetId;
    this.catalogue = catalogue;
    this.incarnation = incarnation;
    this.epochs = epochs;
  }

  /** `incarnation`: of the newest epoch when absent. Undefined when the asset has no log. */
  static async open(
    repository: ReadingRepository,
    assetId: Uint8Array,
    incarnation?: string,
    options?: LookOptions,
  ): Promise<LogView | undefined> {
    const keeper = new LogCatalogueKeeper(repository, assetId);
    for (let look = 0; look < LOOKS_MAX; look++) {
      const catalogue = await keeper.read(options);
      const wanted = incarnation ?? catalogue.epochs.at(-1)?.incarnation;
      if (wanted === undefined) return undefined;
      const own = (one: LogEpoch): boolean => one.incarnation === wanted;
      const records = catalogue.epochs.filter(own);
      const epochs: OpenEpoch[] = [];
      for (let at = 0; at < records.length; at += EPOCHS_PARALLEL) {
        const some = records.slice(at, at + EPOCHS_PARALLEL);
        epochs.push(...(await Promise.all(some.map((record) => openEpoch(repository, assetId, record, options)))));
      }
      // What was let go meanwhile must not be taken for lost.
      const after = await keeper.read(options);
      if (isDeepStrictEqual(trimsOf(after.epochs.filter(own).slice(0, records.length)), trimsOf(records)))
        return new LogView(assetId, catalogue, wanted, epochs);
    }
    throw new Fault('HEAD_CONTENTION', 'The log is trimmed faster than it can be read');
  }

  /** The timeline that was captured last. */
  get timeline(): number {
    return this.epochs.at(-1)?.reader.epoch.timeline ?? 1;
  }

  /** Cut where no way leads over what is stored. */
  get stretches(): LogStretch[] {
    let all = this.#open.map(({ reader, from, recordsEnd }) => ({ timeline: reader.epoch.timeline, from, to: recordsEnd }));
    for (const barrier of this.barriers) all = all.flatMap((stretch) => cutBy(barrier, stretch));
    return all;
  }

  get #open(): OpenStretch[] {
    return this.epochs.flatMap(({ stretches }) => stretches);
  }

  get lineages(): Lineage[] {
    return this.histories.map(({ timeline, ancestors }) => ({ timeline, ancestors }));
  }

  get histories(): readonly LogHistory[] {
    return this.catalogue.histories.filter((one) => one.incarnation === this.incarnation);
  }

  /** Where the database's clock was set back, as captures have seen it. */
  get clockSteps(): readonly LogClockStep[] {
    return (this.catalogue.clockSteps ?? []).filter((one) => one.incarnation === this.incarnation);
  }

  /** Log that capture could not have. */
  get recordedGaps(): LogGap[] {
    return this.catalogue.gaps.filter((one) => one.incarnation === this.incarnation && one.isStored !== true);
  }

  /** Log that is stored, and that no server replays. */
  get barriers(): LogGap[] {
    return this.catalogue.gaps.filter((one) => one.incarnation === this.incarnation && one.isStored === true);
  }

  /** What no way leads over: log that was never had, log that no epoch has any more, and barriers. */
  get gaps(): KnownGap[] {
    const lost = this.recordedGaps.filter(({ timeline, from, to }) => this.storedTo(timeline, from) < to);
    const gaps: KnownGap[] = [...lost, ...this.barriers];
    for (const { reader, lost } of this.epochs) {
      const { timeline } = reader.epoch;
      for (const { object, from, to, cause } of lost)
        if (this.storedTo(timeline, from) < to)
          gaps.push({ timeline, from, to, cause: `the stored object ${reader.prefix}/${object} is lost: ${cause}` });
    }
    return gaps;
  }

  /** End of the bytes that are stored without a hole from a position on; the position itself where there are none. */
  storedTo(timeline: number, from: number, isWanted: (stretch: OpenStretch) => boolean = () => true): number {
    let end = from;
    const own = this.#open.filter((one) => one.reader.epoch.timeline === timeline && isWanted(one)).sort((a, b) => a.from - b.from);
    for (const stretch of own) if (stretch.from <= end && stretch.to > end) end = stretch.to;
    return end;
  }

  async firstLater(timeline: number, from: number, to: number, time: number): Promise<LogMark | undefined> {
    for (const { reader, first, end, after } of this.#ordered(timeline, from, to)) {
      // The latest time so far never falls: the first object after which it is later holds the first later mark.
      let low = reader.numberAt(after, first);
      let high = end;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if ((await reader.timeAfter(middle)) > time) high = middle;
        else low = middle + 1;
      }
      for (let n = low; n < end; n++) {
        const index = await reader.nth(n);
        if (index.from >= to) return undefined;
        const found = index.marks.find((mark) => mark.time > time && mark.end > after && mark.end <= to);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  async last(timeline: number, from: number, to: number, kind?: 'commit'): Promise<LogMark | undefined> {
    for (const { reader, first, end, after } of this.#ordered(timeline, from, to).reverse()) {
      for (let n = end - 1; n >= first; n--) {
        const index = await reader.nth(n);
        if (index.from >= to) continue;
        if (index.to <= after) break;
        const found = index.marks.findLast((mark) => isTransaction(mark, kind) && mark.end > after && mark.end <= to);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  async find(timeline: number, from: number, to: number, is: (mark: LogMark) => boolean): Promise<LogMark | undefined> {
    for await (const mark of this.marks(timeline, from, to)) if (is(mark)) return mark;
    return undefined;
  }

  /** All marks whose records end in (from, to], in the order of the log. */
  async *marks(timeline: number, from: number, to: number): AsyncGenerator<LogMark> {
    for (const { reader, first, end, after } of this.#ordered(timeline, from, to)) {
      for (let n = reader.numberAt(after, first); n < end; n++) {
        const index = await reader.nth(n);
        if (index.from >= to) break;
        for (const mark of index.marks) if (mark.end > after && mark.end <= to) yield mark;
      }
    }
  }

  /** Fills `target` with log of a timeline from `from` on. LOG_GAP when it is not all there. */
  async read(timeline: number, from: number, target: Uint8Array, options?: CallOptions): Promise<void> {
    let at = 0;
    while (at < target.length) {
      const position = from + at;
      const { from: begin, bytes } = await this.#readAt(timeline, position, options);
      const end = Math.min(begin + bytes.length, from + target.length);
      if (end <= position) throw new Fault('LOG_GAP', `The log of timeline ${timeline} ends at ${position}`);
      target.set(bytes.subarray(position - begin, end - begin), at);
      at += end - position;
    }
  }

  async #readAt(timeline: number, position: number, options?: CallOptions): Promise<{ from: number; bytes: Uint8Array }> {
    const own = this.#open.filter(
      ({ reader, from, to }) => reader.epoch.timeline === timeline && from <= position && to > position,
    );
    if (own.length === 0) throw new Fault('LOG_GAP', `There is no log of timeline ${timeline} at ${position}`);
    for (const [n, { reader }] of own.entries()) {
      try {
        return await reader.readAt(position, options);
      } catch (error) {
        if (n === own.length - 1 || !isFault(error, 'FORMAT_DAMAGED', 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER')) throw error;
      }
    }
    throw new Fault('LOG_GAP', `There is no log of timeline ${timeline} at ${position}`);
  }

  /** Stretches of a timeline that have something in (from, to], each with the end of what those before it have. */
  #ordered(timeline: number, from: number, to: number): (OpenStretch & { readonly after: number })[] {
    const own = this.#open.filter((one) => one.reader.epoch.timeline === timeline && one.from < to && one.to > from);
    own.sort((a, b) => a.from - b.from || a.recordsEnd - b.recordsEnd);
    const ordered: (OpenStretch & { readonly after: number })[] = [];
    let after = from;
    for (const stretch of own) {
      if (stretch.recordsEnd <= after) continue;
      ordered.push({ ...stretch, after });
      after = stretch.recordsEnd;
    }
    return ordered;
  }
}

async function openEpoch(
  repository: ReadingRepository,
  assetId: Uint8Array,
  record: LogEpoch,
  options?: LookOptions,
): Promise<OpenEpoch> {
  const reader = await EpochReader.open(repository, assetId, record, options);
  const lost = [...reader.lost];
  const stretches: OpenStretch[] = [];
  for (const run of reader.runs) {
    let { end, to } = run;
    for (; end > run.first; end--) {
      const index = await reader.nth(end - 1, options).catch((error: unknown) => {
        if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER')) throw error;
        return error.message;
      });
      if (typeof index !== 'string') {
        stretches.push({ ...run, reader, end, to, recordsEnd: Math.max(index.recordFrom, run.from) });
        break;
      }
      const from = reader.startOf(end - 1);
      const key = reader.keyOf(end - 1);
      lost.push({ object: key.slice(key.lastIndexOf('/') + 1), from, to, cause: index });
      to = from;
    }
  }
  return { reader, stretches, lost, recordsEnd: stretches.at(-1)?.recordsEnd ?? reader.from };
}

function cutBy({ timeline, from, to }: LogGap, stretch: LogStretch): LogStretch[] {
  if (stretch.timeline !== timeline || stretch.to <= from || stretch.from >= to) return [stretch];
  const parts = [
    { ...stretch, to: from },
    { ...stretch, from: to },
  ];
  return parts.filter((part) => part.from < part.to);
}

function trimsOf(epochs: readonly LogEpoch[]): unknown {
  return epochs.map(({ epoch, trimmed = 0 }) => [epoch, trimmed]);
}

function isTransaction(mark: LogMark, kind: 'commit' | undefined): boolean {
  return kind === undefined ? mark.kind === 'commit' || mark.kind === 'abort' : mark.kind === kind;
}

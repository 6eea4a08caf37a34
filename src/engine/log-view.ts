// All that is stored of an asset's log, opened for reading: its stretches, its marks, its bytes.
//
// Epochs overlap: one that goes on begins a little before the end of the one before it. Of two, the bytes and marks are the same where both
// have them (the writer has compared). A mark belongs to the epoch that holds the end of its record, so walking the epochs in order and
// taking from each what ends beyond the one before gives every mark once, in the order of the log.

import { Fault } from '../base/faults.ts';
import type { LogCatalogue, LogHistory } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { SessionKeyCache } from '../repository/session-keys.ts';
import type { CallOptions } from '../store/object-store.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import { sectionOf } from './log-objects.ts';
import { EpochReader } from './log-reader.ts';
import type { KnownGap, Lineage, LogStretch, MarkIndex } from './recovery-plan.ts';

const EPOCHS_PARALLEL = 8;

export class LogView implements MarkIndex {
  readonly catalogue: LogCatalogue;
  readonly incarnation: string;
  /** In the order in which they were begun. */
  readonly epochs: readonly OpenEpoch[];

  private constructor(catalogue: LogCatalogue, incarnation: string, epochs: readonly OpenEpoch[]) {
    this.catalogue = catalogue;
    this.incarnation = incarnation;
    this.epochs = epochs;
  }

  /** `incarnation`: of the newest epoch when absent. Undefined when the asset has no log. */
  static async open(
    repository: OpenedRepository & { readonly keys: SessionKeyCache },
    assetId: Uint8Array,
    incarnation?: string,
    options?: CallOptions,
  ): Promise<LogView | undefined> {
    const catalogue = await new LogCatalogueKeeper(repository, assetId).read(options);
    const wanted = incarnation ?? catalogue.epochs.at(-1)?.incarnation;
    if (wanted === undefined) return undefined;
    const records = catalogue.epochs.filter((one) => one.incarnation === wanted);
    const epochs: OpenEpoch[] = [];
    for (let at = 0; at < records.length; at += EPOCHS_PARALLEL) {
      const some = records.slice(at, at + EPOCHS_PARALLEL);
      epochs.push(
        ...(await Promise.all(
          some.map(async (record) => {
            const reader = await EpochReader.open(repository, assetId, record, options);
            return { reader, recordsEnd: await recordsEnd(reader, options) };
          }),
        )),
      );
    }
    return new LogView(catalogue, wanted, epochs);
  }

  /** The timeline that was captured last. */
  get timeline(): number {
    return this.epochs.at(-1)?.reader.epoch.timeline ?? 1;
  }

  get stretches(): LogStretch[] {
    return this.epochs.map(({ reader, recordsEnd }) => ({
      timeline: reader.epoch.timeline,
      from: reader.epoch.from,
      to: recordsEnd,
    }));
  }

  get lineages(): Lineage[] {
    return this.histories.map(({ timeline, ancestors }) => ({ timeline, ancestors }));
  }

  get histories(): readonly LogHistory[] {
    return this.catalogue.histories.filter((one) => one.incarnation === this.incarnation);
  }

  get gaps(): KnownGap[] {
    return this.catalogue.gaps.filter((one) => one.incarnation === this.incarnation);
  }

  async firstLater(timeline: number, from: number, to: number, time: number): Promise<LogMark | undefined> {
    for (const { reader, after } of this.#ordered(timeline, from, to)) {
      // The latest time so far never falls: the first object after which it is later holds the first later mark.
      let low = 0;
      let high = reader.count;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if ((await reader.timeBefore(middle + 1)) > time) high = middle;
        else low = middle + 1;
      }
      for (let n = low; n < reader.count; n++) {
        const index = await reader.nth(n);
        if (index.from >= to) return undefined;
        const found = index.marks.find((mark) => mark.time > time && mark.end > after && mark.end <= to);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  async last(timeline: number, from: number, to: number, kind?: 'commit'): Promise<LogMark | undefined> {
    for (const { reader, after } of this.#ordered(timeline, from, to).reverse()) {
      for (let n = reader.count - 1; n >= 0; n--) {
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
    for (const { reader, after } of this.#ordered(timeline, from, to)) {
      for await (const index of reader.indexes(after)) {
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
      const epoch = this.epochs.find(
        ({ reader }) => reader.epoch.timeline === timeline && reader.epoch.from <= position && reader.end > position,
      );
      if (epoch === undefined) throw new Fault('LOG_GAP', `There is no log of timeline ${timeline} at ${position}`);
      const section = sectionOf(position);
      const { from: begin, bytes } = await epoch.reader.readSection(section, options);
      const end = Math.min(begin + bytes.length, section + LOG_SECTION_BYTES, from + target.length);
      if (end <= position) throw new Fault('LOG_GAP', `The log of timeline ${timeline} ends at ${position}`);
      target.set(bytes.subarray(position - begin, end - begin), at);
      at += end - position;
    }
  }

  /** Epochs of a timeline that have something in (from, to], each with the end of what those before it have. */
  #ordered(timeline: number, from: number, to: number): { readonly reader: EpochReader; readonly after: number }[] {
    const own = this.epochs.filter(
      ({ reader }) => reader.epoch.timeline === timeline && reader.epoch.from < to && reader.end > from,
    );
    own.sort((a, b) => a.reader.epoch.from - b.reader.epoch.from || a.recordsEnd - b.recordsEnd);
    const ordered: { reader: EpochReader; after: number }[] = [];
    let after = from;
    for (const { reader, recordsEnd } of own) {
      if (recordsEnd <= after) continue;
      ordered.push({ reader, after });
      after = recordsEnd;
    }
    return ordered;
  }
}

export type OpenEpoch = {
  readonly reader: EpochReader;
  /** End of the last whole record. */
  readonly recordsEnd: number;
};

async function recordsEnd(reader: EpochReader, options?: CallOptions): Promise<number> {
  const last: LogIndex | undefined = reader.count === 0 ? undefined : await reader.nth(reader.count - 1, options);
  return last === undefined ? reader.epoch.from : Math.max(last.recordFrom, reader.epoch.from);
}

function isTransaction(mark: LogMark, kind: 'commit' | undefined): boolean {
  return kind === undefined ? mark.kind === 'commit' || mark.kind === 'abort' : mark.kind === kind;
}

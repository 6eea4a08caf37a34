// Reading a stored log: how far each epoch goes, what is marked where, and its bytes.
//
// A listing tells what is there; it is never proof that something is not. What it does not show is asked for by name: the next section and
// the next range after those that it shows (both follow each other, so whether the n-th is there is monotone in n), and every one in between.
// One in between that is not there is lost: what follows it is another run of the epoch, and nothing leads over the hole. While a capture
// runs, ranges vanish when their section is stored: then the section is asked for again.

import { forEachBounded } from '../base/bounded.ts';
import { Fault, isFault } from '../base/faults.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import { unhex } from '../repository/layout.ts';
import type { CallOptions } from '../store/object-store.ts';
import { type ListedEpoch, listEpoch } from './log-listing.ts';
import { type EpochKeys, epochPrefix, rangeKey, readLogIndex, readLogObject, sectionKey, sectionOf } from './log-objects.ts';
import { type LogPiece, type LookOptions, type LostPiece, type ReadingRepository, readTail } from './log-tail.ts';

const ATTEMPTS_MAX = 20;
const SIZES_IN_FLIGHT_MAX = 16;

/** Objects of an epoch that follow each other without a hole, by their numbers: from `first` to before `end`. */
export type ObjectRun = { readonly first: number; readonly end: number; readonly from: number; readonly to: number };

type Details = {
  readonly prefix: string;
  readonly metadata: Uint8Array;
  readonly listed: ListedEpoch;
  readonly sections: number;
  readonly tail: readonly LogPiece[];
  readonly lost: readonly LostPiece[];
};

export class EpochReader {
  readonly epoch: LogEpoch;
  readonly prefix: string;
  /** As the store lists it; it may be stale. */
  readonly listed: ListedEpoch;
  /** First byte that was not let go. */
  readonly from: number;
  /** Whole sections from there on, lost ones among them. */
  readonly sections: number;
  /** Of the open section, in order, without overlap; with a hole where one is lost. */
  readonly tail: readonly LogPiece[];
  /** End of what is stored. */
  readonly end: number;
  /** In order. */
  readonly lost: readonly LostPiece[];
  readonly #repository: ReadingRepository;
  readonly #metadata: Uint8Array;
  readonly #indexes = new Map<number, LogIndex>();

  private constructor(repository: ReadingRepository, epoch: LogEpoch, details: Details) {
    this.#repository = repository;
    this.epoch = epoch;
    this.prefix = details.prefix;
    this.listed = details.listed;
    this.#metadata = details.metadata;
    this.from = firstOf(epoch);
    this.sections = details.sections;
    this.tail = details.tail;
    this.lost = details.lost;
    const sectionsEnd = details.sections === 0 ? this.from : this.#firstSection + details.sections * LOG_SECTION_BYTES;
    this.end = details.tail.at(-1)?.index.to ?? sectionsEnd;
  }

  static async open(
    repository: ReadingRepository,
    assetId: Uint8Array,
    epoch: LogEpoch,
    options?: LookOptions,
  ): Promise<EpochReader> {
    const prefix = epochPrefix(assetId, epoch);
    const metadata = repository.keys.metadataKey(unhex(epoch.epoch), assetId);
    const keys = { metadata, data: undefined };
    const first = sectionOf(firstOf(epoch));
    const keyOf = (n: number): string => sectionKey(prefix, first + n * LOG_SECTION_BYTES);
    const has = async (key: string): Promise<boolean> => (await repository.store.size(key, options)) !== undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const listed = await listEpoch(repository.store, prefix, options);
      const known = countListed(listed, first);
      const sections = known + (await countWhile((n) => has(keyOf(known + n))));
      const missing = await missingSections(listed, first, sections, (n) => has(keyOf(n)));
      const section = first + sections * LOG_SECTION_BYTES;
      const begin = Math.max(firstOf(epoch), section);
      const count = await countRanges(listed, section, (n) => has(rangeKey(prefix, section, n)));
      const tail = await readTail({ repository, keys, prefix, section, begin, count, listed: listed.ranges }, options);
      // Sealed meanwhile: what was seen of its ranges may not be all.
      if (tail === undefined || (await has(keyOf(sections)))) continue;
      const lost = [
        ...missing.map((n) => lostSection(epoch, first + n * LOG_SECTION_BYTES, 'it is not there any more')),
        ...tail.lost,
        ...recordedLost(epoch, section, tail.pieces),
      ];
      return new EpochReader(repository, epoch, { prefix, metadata, listed, sections, ...withoutLost(tail.pieces, lost) });
    }
    throw new Fault('LOG_GAP', `The log of epoch ${epoch.epoch} changes faster than it can be read`);
  }

  /** Start of the n-th section, which the first one's bytes may begin in the middle of. */
  get #firstSection(): number {
    return sectionOf(this.from);
  }

  get count(): number {
    return this.sections + this.tail.length;
  }

  /** Parts without a hole, in order. */
  get runs(): ObjectRun[] {
    const lost = new Set(this.lost.map(({ object }) => object));
    const runs: { first: number; end: number; from: number; to: number }[] = [];
    let run: (typeof runs)[number] | undefined;
    const take = (n: number, from: number, to: number): void => {
      if (run !== undefined && run.end === n && run.to === from) Object.assign(run, { end: n + 1, to });
      else runs.push((run = { first: n, end: n + 1, from, to }));
    };
    for (let n = 0; n < this.sections; n++) {
      const start = this.#firstSection + n * LOG_SECTION_BYTES;
      if (lost.size === 0 || !lost.has(nameOf(sectionKey('', start))))
        take(n, Math.max(start, this.from), start + LOG_SECTION_BYTES);
    }
    for (const [i, { index }] of this.tail.entries()) take(this.sections + i, index.from, index.to);
    return runs;
  }

  /** Bytes of the object that holds a position, with those of the ranges beside it. */
  async readAt(position: number, options?: CallOptions): Promise<{ readonly from: number; readonly bytes: Uint8Array }> {
    const keys: EpochKeys = {
      metadata: this.#metadata,
      data: await this.#repository.keys.dataKey(unhex(this.epoch.epoch), options),
    };
    const section = sectionOf(position);
    const whole = async (): Promise<{ from: number; bytes: Uint8Array }> => {
      const { index, bytes } = await readLogObject(this.#repository, keys, sectionKey(this.prefix, section), options);
      return { from: index.from, bytes };
    };
    if ((section - this.#firstSection) / LOG_SECTION_BYTES < this.sections) return whole();
    const run = this.runs.find(({ from, to }) => from <= position && to > position);
    const pieces = run === undefined ? [] : this.tail.slice(Math.max(0, run.first - this.sections), run.end - this.sections);
    if (pieces.length === 0) throw new Fault('LOG_GAP', `The epoch ${this.epoch.epoch} has no log at ${position}`);
    try {
      const parts: Uint8Array[] = [];
      for (const { key } of pieces) parts.push((await readLogObject(this.#repository, keys, key, options)).bytes);
      return { from: pieces[0]!.index.from, bytes: Buffer.concat(parts) };
    } catch (error) {
      // The section was completed since.
      if (isFault(error, 'STORE_NOT_FOUND')) return whole();
      throw error;
    }
  }

  /** What is marked in each object, in order, from the one on that holds `from`. */
  async *indexes(from: number, options?: CallOptions): AsyncGenerator<LogIndex> {
    for (const run of this.runs) {
      if (run.to <= from) continue;
      for (let n = run.first; n < run.end; n++) {
        if (n < this.sections && this.#firstSection + (n + 1) * LOG_SECTION_BYTES <= from) continue;
        const index = await this.nth(n, options);
        if (index.to > from) yield index;
      }
    }
  }

  /** The n-th object's index, sections first. */
  async nth(n: number, options?: CallOptions): Promise<LogIndex> {
    return n < this.sections ? this.#sectionIndex(n, options) : this.tail[n - this.sections]!.index;
  }

  /** Position of the n-th object's first byte. */
  startOf(n: number): number {
    if (n >= this.sections) return this.tail[n - this.sections]!.index.from;
    return Math.max(this.from, this.#firstSection + n * LOG_SECTION_BYTES);
  }

  endOf(n: number): number {
    return n < this.sections ? this.#firstSection + (n + 1) * LOG_SECTION_BYTES : this.tail[n - this.sections]!.index.to;
  }

  /** Of the sections from `first` on, the one that holds a position, or the first object behind them all. */
  numberAt(position: number, first: number): number {
    return Math.max(first, Math.min(this.sections, Math.floor((position - this.#firstSection) / LOG_SECTION_BYTES)));
  }

  /** The object that will follow: the section that is open, and the number of its next range. */
  get next(): { readonly section: number; readonly range: number } {
    const last = this.tail.at(-1)?.key;
    const range = last === undefined ? 0 : Number(last.slice(last.lastIndexOf('.') + 1)) + 1;
    return { section: this.#firstSection + this.sections * LOG_SECTION_BYTES, range };
  }

  keyOf(n: number): string {
    return n < this.sections
      ? sectionKey(this.prefix, this.#firstSection + n * LOG_SECTION_BYTES)
      : this.tail[n - this.sections]!.key;
  }

  /** The latest time of all marks of the epoch up to the end of the n-th object; 0 when there is none. */
  async timeAfter(n: number, options?: CallOptions): Promise<number> {
    const { marks, timeBefore } = await this.nth(n, options);
    return marks.reduce((max, { time }) => Math.max(max, time), timeBefore);
  }

  async #sectionIndex(n: number, options?: CallOptions): Promise<LogIndex> {
    let index = this.#indexes.get(n);
    if (index === undefined) {
      const key = sectionKey(this.prefix, this.#firstSection + n * LOG_SECTION_BYTES);
      index = await readLogIndex(this.#repository, { metadata: this.#metadata, data: undefined }, key, options);
      if (index === undefined) throw new Fault('STORE_NOT_FOUND', `The log object ${key} is gone`);
      this.#indexes.set(n, index);
    }
    return index;
  }
}

function firstOf({ from, trimmed = 0 }: LogEpoch): number {
  return Math.max(from, trimmed);
}

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

function lostSection(epoch: LogEpoch, section: number, cause: string): LostPiece {
  const from = Math.max(section, firstOf(epoch));
  return { object: nameOf(sectionKey('', section)), from, to: section + LOG_SECTION_BYTES, cause };
}

/** What the catalogue calls lost, and is still a part of the epoch: a range's loss is over when its section is stored. */
function recordedLost(epoch: LogEpoch, open: number, tail: readonly LogPiece[]): LostPiece[] {
  const names = new Set(tail.map(({ key }) => nameOf(key)));
  return (epoch.lost ?? []).filter(({ object, from }) => (object.includes('.') ? names.has(object) : sectionOf(from) < open));
}

function withoutLost(
  tail: readonly LogPiece[],
  lost: readonly LostPiece[],
): { readonly tail: readonly LogPiece[]; readonly lost: readonly LostPiece[] } {
  const byName = new Map(lost.map((one) => [one.object, one]));
  return {
    tail: tail.filter(({ key }) => !byName.has(nameOf(key))),
    lost: [...byName.values()].sort((a, b) => a.from - b.from),
  };
}

/** Up to the last one that is listed, or that was stored before a range that is. */
function countListed({ sections, ranges }: ListedEpoch, first: number): number {
  const stored = [...sections.map(({ section }) => section + LOG_SECTION_BYTES), ...ranges.map(({ section }) => section)];
  return stored.reduce((max, end) => Math.max(max, (end - first) / LOG_SECTION_BYTES), 0);
}

async function missingSections(
  { sections }: ListedEpoch,
  first: number,
  count: number,
  has: (n: number) => Promise<boolean>,
): Promise<number[]> {
  const listed = new Set(sections.map(({ section }) => (section - first) / LOG_SECTION_BYTES));
  const doubtful = Array.from({ length: count }, (_, n) => n).filter((n) => !listed.has(n));
  const missing: number[] = [];
  await forEachBounded(doubtful, SIZES_IN_FLIGHT_MAX, async (n) => {
    if (!(await has(n))) missing.push(n);
  });
  return missing.sort((a, b) => a - b);
}

async function countRanges({ ranges }: ListedEpoch, open: number, has: (n: number) => Promise<boolean>): Promise<number> {
  const known = ranges.filter(({ section }) => section === open).reduce((max, { number }) => Math.max(max, number + 1), 0);
  return known + (await countWhile((n) => has(known + n)));
}

/** How many of a sequence of objects there are, where each is there only if the one before it is: by doubling, then by halving. */
export async function countWhile(has: (n: number) => Promise<boolean>): Promise<number> {
  if (!(await has(0))) return 0;
  let there = 0;
  let missing = 1;
  while (await has(missing)) {
    there = missing;
    missing *= 2;
  }
  while (missing - there > 1) {
    const middle = Math.floor((there + missing) / 2);
    if (await has(middle)) there = middle;
    else missing = middle;
  }
  return missing;
}

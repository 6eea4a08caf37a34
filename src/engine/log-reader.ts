// Reading a stored log: how far each epoch goes, what is marked where, and its bytes.
//
// The end of an epoch is found by asking for objects by name: sections follow each other, and so do the ranges of the open one, so whether
// the n-th is there is monotone in n. No listing is trusted. While a capture runs, ranges vanish when their section is stored: then the
// section is asked for again.

import { Fault, isFault } from '../base/faults.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import { unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { SessionKeyCache } from '../repository/session-keys.ts';
import type { CallOptions } from '../store/object-store.ts';
import {
  type EpochKeys,
  epochPrefix,
  RANGES_UNTIL_WHOLE,
  rangeKey,
  readLogIndex,
  readLogObject,
  sectionKey,
  sectionOf,
} from './log-objects.ts';

const ATTEMPTS_MAX = 20;

type ReadingRepository = OpenedRepository & { readonly keys: SessionKeyCache };

/** An object of an epoch. */
export type LogPiece = { readonly key: string; readonly index: LogIndex };

export class EpochReader {
  readonly epoch: LogEpoch;
  readonly #repository: ReadingRepository;
  readonly #prefix: string;
  readonly #metadata: Uint8Array;
  /** Whole sections. */
  readonly sections: number;
  /** Of the open section, in order, without overlap. */
  readonly tail: readonly LogPiece[];
  /** End of what is stored. */
  readonly end: number;
  readonly #indexes = new Map<number, LogIndex>();

  private constructor(
    repository: ReadingRepository,
    epoch: LogEpoch,
    details: {
      readonly prefix: string;
      readonly metadata: Uint8Array;
      readonly sections: number;
      readonly tail: readonly LogPiece[];
    },
  ) {
    this.#repository = repository;
    this.epoch = epoch;
    this.#prefix = details.prefix;
    this.#metadata = details.metadata;
    this.sections = details.sections;
    this.tail = details.tail;
    this.end =
      details.tail.at(-1)?.index.to ??
      (details.sections === 0 ? epoch.from : this.#firstSection + details.sections * LOG_SECTION_BYTES);
  }

  static async open(
    repository: ReadingRepository,
    assetId: Uint8Array,
    epoch: LogEpoch,
    options?: CallOptions,
  ): Promise<EpochReader> {
    const prefix = epochPrefix(assetId, epoch);
    const metadata = repository.keys.metadataKey(unhex(epoch.epoch), assetId);
    const first = sectionOf(epoch.from);
    const keyOf = (n: number): string => sectionKey(prefix, first + n * LOG_SECTION_BYTES);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const has = async (key: string): Promise<boolean> => (await repository.store.size(key, options)) !== undefined;
      const sections = await countWhile((n) => has(keyOf(n)));
      const section = first + sections * LOG_SECTION_BYTES;
      const tail = await readTail(repository, { metadata, data: undefined }, prefix, section, options);
      // Sealed meanwhile: what was seen of its ranges may not be all.
      if (tail !== undefined && !(await has(keyOf(sections))))
        return new EpochReader(repository, epoch, { prefix, metadata, sections, tail });
    }
    throw new Fault('LOG_GAP', `The log of epoch ${epoch.epoch} changes faster than it can be read`);
  }

  /** Start of the n-th section, which the first one's bytes may begin in the middle of. */
  get #firstSection(): number {
    return sectionOf(this.epoch.from);
  }

  /** What is marked in each object, in order, from the one on that holds `from`. */
  async *indexes(from: number, options?: CallOptions): AsyncGenerator<LogIndex> {
    const first = Math.max(0, Math.floor((from - this.#firstSection) / LOG_SECTION_BYTES));
    for (let n = first; n < this.sections; n++) yield await this.sectionIndex(n, options);
    for (const { index } of this.tail) if (index.to > from) yield index;
  }

  async sectionIndex(n: number, options?: CallOptions): Promise<LogIndex> {
    let index = this.#indexes.get(n);
    if (index === undefined) {
      const key = sectionKey(this.#prefix, this.#firstSection + n * LOG_SECTION_BYTES);
      index = await readLogIndex(this.#repository, { metadata: this.#metadata, data: undefined }, key, options);
      if (index === undefined) throw new Fault('STORE_NOT_FOUND', `The log object ${key} is gone`);
      this.#indexes.set(n, index);
    }
    return index;
  }

  /** The latest time of all marks that are complete at the n-th object's start (sections, then the tail). */
  async timeBefore(n: number, options?: CallOptions): Promise<number> {
    if (n < this.sections) return (await this.sectionIndex(n, options)).timeBefore;
    const piece = this.tail[n - this.sections];
    if (piece !== undefined) return piece.index.timeBefore;
    const last = this.tail.at(-1)?.index ?? (this.sections > 0 ? await this.sectionIndex(this.sections - 1, options) : undefined);
    return last === undefined ? 0 : last.marks.reduce((max, { time }) => Math.max(max, time), last.timeBefore);
  }

  /** The n-th object's index, sections first. */
  async nth(n: number, options?: CallOptions): Promise<LogIndex> {
    return n < this.sections ? this.sectionIndex(n, options) : this.tail[n - this.sections]!.index;
  }

  get count(): number {
    return this.sections + this.tail.length;
  }

  /** Bytes of the section at `section`, from where this epoch has them; they end where they end. */
  async readSection(section: number, options?: CallOptions): Promise<{ readonly from: number; readonly bytes: Uint8Array }> {
    const keys: EpochKeys = {
      metadata: this.#metadata,
      data: await this.#repository.keys.dataKey(unhex(this.epoch.epoch), options),
    };
    const n = (section - this.#firstSection) / LOG_SECTION_BYTES;
    const whole = async (): Promise<{ from: number; bytes: Uint8Array }> => {
      const { index, bytes } = await readLogObject(this.#repository, keys, sectionKey(this.#prefix, section), options);
      return { from: index.from, bytes };
    };
    if (n < this.sections) return whole();
    const from = this.tail[0]?.index.from;
    if (from === undefined || sectionOf(from) !== section)
      throw new Fault('LOG_GAP', `The epoch ${this.epoch.epoch} has no log at ${section}`);
    try {
      const parts: Uint8Array[] = [];
      for (const { key } of this.tail) parts.push((await readLogObject(this.#repository, keys, key, options)).bytes);
      return { from, bytes: Buffer.concat(parts) };
    } catch (error) {
      // The section was completed since.
      if (isFault(error, 'STORE_NOT_FOUND')) return whole();
      throw error;
    }
  }
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

/** The ranges that cover the open section; undefined when they vanish while they are read. */
async function readTail(
  repository: ReadingRepository,
  keys: EpochKeys,
  prefix: string,
  section: number,
  options?: CallOptions,
): Promise<LogPiece[] | undefined> {
  const count = await countWhile(async (n) => (await repository.store.size(rangeKey(prefix, section, n), options)) !== undefined);
  const pieces: LogPiece[] = [];
  let first = Number.POSITIVE_INFINITY;
  for (let n = count - 1; n >= 0; n--) {
    const key = rangeKey(prefix, section, n);
    const index = await readLogIndex(repository, keys, key, options);
    if (index === undefined) return undefined;
    if (pieces.length > 0 && index.to !== first) {
      // A range that holds all before it is followed by the next one; what lies before it is in it already.
      throw new Fault('FORMAT_DAMAGED', `The log object ${key} does not end where the next one begins`);
    }
    pieces.unshift({ key, index });
    first = index.from;
    if (n % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) break;
  }
  return pieces;
}

/** All marks of an index that are complete after `from`. */
export function marksAfter(index: LogIndex, from: number): readonly LogMark[] {
  return index.marks.filter((mark) => mark.end > from);
}

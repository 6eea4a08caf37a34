// Copying one epoch of a log, object by object, in the order in which it was written: at the replica, too, whether the n-th section or
// range is there is monotone in n, so that its end can be found at any moment, whatever dies where. What the source has lost or damaged is
// told and left out, as readers of the source do; what follows it must not wait. What ranges at the replica hold does not cross once more: a
// section that they fill, and a range that repeats them, is made of them.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { listEpoch } from '../engine/log-listing.ts';
import { epochPrefix, RANGES_UNTIL_WHOLE, rangeKey, sectionKey, sectionOf } from '../engine/log-objects.ts';
import { countWhile } from '../engine/log-reader.ts';
import type { RecentLog } from '../engine/recent-log.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogObjectKind } from '../format/log-object.ts';
import type { LogRemaker } from './log-remaker.ts';
import { type Mirror, readProven } from './mirror-object.ts';

/** Sections on their way from the source while one is stored. */
const SECTIONS_AHEAD = 3;
/** Ranges asked for at a time, where as many came before: one for each way there and back would be slower than a busy server writes. */
const RANGES_AHEAD_MAX = 8;
const DELETES_PARALLEL = 8;

type EpochMirrorParts = { readonly mirror: Mirror; readonly remaker: LogRemaker; readonly recent: RecentLog };
type Read = Uint8Array | 'damaged' | undefined;

export class EpochMirror {
  readonly #mirror: Mirror;
  readonly #remaker: LogRemaker;
  readonly #recent: RecentLog;
  readonly #assetId: Uint8Array;
  readonly #epoch: string;
  readonly #prefix: string;
  /** Start of the first section that the replica does not have. */
  #section: number;
  /** Ranges of it that were copied. */
  #ranges: number;
  /** Lost objects by the last part of their names, as the catalogue tells. */
  #lost: ReadonlySet<string> = new Set();
  /** Ranges that the last look found. */
  #expected = 1;
  /** A range that came when its section was finished. */
  #unstored: { readonly key: string; readonly bytes: Read } | undefined;
  #mayHaveHoles = true;
  /** Ranges of sections that are stored: what follows does not wait until they are deleted. */
  readonly #doomed: { readonly section: number; readonly ranges: number }[] = [];
  #deleting = Promise.resolve();
  /** At the most: sections count in full. */
  bytesBehind = 0;

  private constructor(
    { mirror, remaker, recent }: EpochMirrorParts,
    assetId: Uint8Array,
    epoch: LogEpoch,
    section: number,
    ranges: number,
  ) {
    this.#mirror = mirror;
    this.#remaker = remaker;
    this.#recent = recent;
    this.#assetId = assetId;
    this.#epoch = epoch.epoch;
    this.#prefix = epochPrefix(assetId, epoch);
    this.#section = section;
    this.#ranges = ranges;
  }

  /** Goes on where the replica ends. */
  static async resume(parts: EpochMirrorParts, assetId: Uint8Array, epoch: LogEpoch): Promise<EpochMirror> {
    const { replica, signal } = parts.mirror;
    const prefix = epochPrefix(assetId, epoch);
    const has = async (key: string): Promise<boolean> => (await replica.size(key, { signal })) !== undefined;
    const first = firstSectionOf(epoch);
    const section = first + (await countWhile((n) => has(sectionKey(prefix, first + n * LOG_SECTION_BYTES)))) * LOG_SECTION_BYTES;
    const ranges = await countWhile((n) => has(rangeKey(prefix, section, n)));
    return new EpochMirror(parts, assetId, epoch, section, ranges);
  }

  /** What was there when this began is at the replica when it ends. `epoch`: as the catalogue has it now. Answers how many objects were copied
   *  or left out. */
  async pull(epoch: LogEpoch): Promise<number> {
    this.#lost = new Set(epoch.lost?.map(({ object }) => object));
    // What could not be deleted the last time.
    this.#deleteDoomed();
    // Let go before it was copied.
    if (this.#section < firstSectionOf(epoch)) this.#goTo(firstSectionOf(epoch));
    // What came while sections were copied was there before only if it is in the section behind them: one more look will do, however busy it is.
    for (let copied = 0, looksAgain = true; ; ) {
      // In this order: a range that is gone is in a section that was stored before.
      const ranges = await this.#pullRanges();
      copied += ranges ?? 0;
      const sections = ranges === undefined ? await this.#pullSections() : 0;
      copied += sections;
      if (sections > 0 ? looksAgain : await this.#passHole()) {
        looksAgain = sections === 0;
        continue;
      }
      await this.#deleting;
      return copied;
    }
  }

  /** Undefined when their section was stored by then: they come with it. */
  async #pullRanges(): Promise<number | undefined> {
    const { source, signal } = this.#mirror;
    const finished = source.size(sectionKey(this.#prefix, this.#section), { signal });
    finished.catch(() => {});
    if (this.#ranges === 0 && (await finished) !== undefined) return undefined;
    const ahead = this.#rangesAhead((key, isRepeating) =>
      isRepeating ? () => this.#remakeOrRead('range', key) : this.#readAhead(key),
    );
    for (let copied = 0; ; copied++) {
      const { key, bytes } = await ahead.next();
      if (copied === 0 && (await finished) !== undefined) {
        this.#unstored = { key, bytes };
        return undefined;
      }
      if (bytes === undefined && !this.#lost.has(nameOf(key))) {
        this.#expected = Math.max(1, copied);
        return copied;
      }
      if (bytes instanceof Uint8Array) {
        await this.#store(key, bytes);
        this.#recent.keep(key, bytes);
      }
      this.#ranges++;
    }
  }

  #rangesAhead(ask: (key: string, isRepeating: boolean) => () => Promise<Read>): RangesAhead {
    return new RangesAhead(this.#prefix, { section: this.#section, first: this.#ranges, expected: this.#expected }, ask);
  }

  async #pullSections(): Promise<number> {
    const { source, signal } = this.#mirror;
    const first = this.#section;
    const keyOf = (n: number): string => sectionKey(this.#prefix, first + n * LOG_SECTION_BYTES);
    const count = await countWhile(async (n) => (await source.size(keyOf(n), { signal })) !== undefined);
    const ahead: (() => Promise<Read>)[] = [];
    for (let n = 0, next = 0; n < count; n++) {
      this.bytesBehind = (count - n) * LOG_SECTION_BYTES;
      for (; ahead.length < SECTIONS_AHEAD && next < count; next++) {
        const key = keyOf(next);
        const isBegun = next === 0 && this.#ranges > 0;
        ahead.push(isBegun ? () => this.#remakeOrRead('section', key) : this.#readAhead(key));
      }
      const bytes = await ahead.shift()!();
      if (bytes instanceof Uint8Array) {
        await this.#store(keyOf(n), bytes);
        this.#recent.tell();
        await this.#deleting;
        this.#doomed.push({ section: this.#section, ranges: this.#ranges });
        this.#deleteDoomed();
      }
      this.#goTo(this.#section + LOG_SECTION_BYTES);
    }
    this.bytesBehind = 0;
    return count;
  }

  /** A section that is missing at the source, and others behind it: asked for when it is known to be lost, and once at the start. */
  async #passHole(): Promise<boolean> {
    const { source, progress, signal } = this.#mirror;
    const key = sectionKey(this.#prefix, this.#section);
    if (!this.#mayHaveHoles && !this.#lost.has(nameOf(key))) return false;
    this.#mayHaveHoles = false;
    const { sections } = await listEpoch(source, this.#prefix, { signal });
    const later = sections.map(({ section }) => section).filter((section) => section > this.#section);
    // Stored since it was asked for.
    if (later.length === 0 || (await source.size(key, { signal })) !== undefined) return later.length > 0;
    if (!this.#lost.has(nameOf(key))) progress.missing.set(key, 'the source does not have it');
    this.#goTo(this.#section + LOG_SECTION_BYTES);
    this.#mayHaveHoles = true;
    return true;
  }

  /** Begins now; trouble is told to who asks. */
  #readAhead(key: string): () => Promise<Read> {
    const bytes = this.#read(key);
    bytes.catch(() => {});
    return () => bytes;
  }

  /** Made of the ranges that are here, and of those that a finished section has besides: these need not be stored any more. */
  async #remakeOrRead(kind: LogObjectKind, key: string): Promise<Read> {
    const [prefix, section] = [this.#prefix, this.#section];
    const rest = kind === 'section' ? await this.#restOfRanges() : new Map<string, Uint8Array>();
    const read = async (range: string): Promise<Uint8Array | undefined> => rest.get(range) ?? this.#readHere(range);
    const object = { kind, key, prefix, section, count: this.#ranges + rest.size, read };
    return (await this.#remaker.remake(this.#assetId, this.#epoch, object)) ?? this.#read(key);
  }

  /** Those of the section that did not come before it was finished. */
  async #restOfRanges(): Promise<Map<string, Uint8Array>> {
    const rest = new Map<string, Uint8Array>();
    const none = new Uint8Array();
    const ahead = this.#rangesAhead((key, isRepeating) => {
      if (isRepeating) return async () => none;
      const { key: name, bytes } = this.#unstored ?? {};
      return name === key && bytes instanceof Uint8Array ? async () => bytes : this.#readAhead(key);
    });
    for (;;) {
      const { key, bytes } = await ahead.next();
      if (!(bytes instanceof Uint8Array)) return rest;
      rest.set(key, bytes);
    }
  }

  async #readHere(key: string): Promise<Uint8Array | undefined> {
    const { replica, signal } = this.#mirror;
    try {
      return this.#recent.get(key) ?? (await replica.get(key, undefined, { signal }));
    } catch (error) {
      if (!isFault(error, 'STORE_NOT_FOUND')) throw error;
      return undefined;
    }
  }

  async #read(key: string): Promise<Read> {
    const { source, progress, signal } = this.#mirror;
    try {
      return await readProven(source, key, 'sealed', signal);
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
      progress.missing.set(key, error.message);
      return 'damaged';
    }
  }

  #goTo(section: number): void {
    this.#section = section;
    this.#ranges = 0;
    this.#unstored = undefined;
  }

  async #store(key: string, bytes: Uint8Array): Promise<void> {
    const { replica, progress, signal } = this.#mirror;
    await replica.put(key, bytes, { signal });
    progress.bytesCopied += bytes.length;
    progress.logObjects++;
  }

  /** In the background. Trouble is told where it is waited for, and what is left is deleted by the next pull. */
  #deleteDoomed(): void {
    const earlier = this.#deleting.catch(() => {});
    this.#deleting = earlier.then(async () => {
      for (let next = this.#doomed[0]; next !== undefined; next = this.#doomed[0]) {
        await this.#deleteRanges(next.section, next.ranges);
        this.#doomed.shift();
      }
    });
    this.#deleting.catch(() => {});
  }

  /** They are in the section now. From the last on, some at a time: a reader must not take the rest for all there is. */
  async #deleteRanges(section: number, count: number): Promise<void> {
    const { replica, signal } = this.#mirror;
    for (let end = count; end > 0; end -= DELETES_PARALLEL) {
      const numbers = Array.from({ length: Math.min(DELETES_PARALLEL, end) }, (_, i) => end - 1 - i);
      await forEachBounded(numbers, DELETES_PARALLEL, (n) =>
        replica.delete(rangeKey(this.#prefix, section, n), { signal, kind: 'object' }),
      );
    }
  }
}

type WantedRanges = { readonly section: number; readonly first: number; readonly expected: number };

/** Ranges one after the other: as many asked for at once as are expected and one more, which tells that there are no more; when all of them were
 *  there two, then four. A question for what is not there costs a store as much as another one. */
class RangesAhead {
  readonly #keyOf: (number: number) => string;
  readonly #ask: (key: string, isRepeating: boolean) => () => Promise<Read>;
  readonly #asked: { readonly key: string; readonly read: () => Promise<Read> }[] = [];
  #next: number;
  readonly #expected: number;
  #more = 1;

  constructor(
    prefix: string,
    { section, first, expected }: WantedRanges,
    ask: (key: string, isRepeating: boolean) => () => Promise<Read>,
  ) {
    this.#keyOf = (number) => rangeKey(prefix, section, number);
    this.#ask = ask;
    this.#next = first;
    this.#expected = Math.min(expected, RANGES_AHEAD_MAX - 1);
  }

  async next(): Promise<{ readonly key: string; readonly bytes: Read }> {
    if (this.#asked.length === 0) {
      const count = this.#more === 1 ? this.#expected + 1 : this.#more;
      for (let n = 0; n < count; n++, this.#next++) {
        const key = this.#keyOf(this.#next);
        this.#asked.push({ key, read: this.#ask(key, this.#next % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) });
      }
      this.#more = Math.min(this.#more * 2, RANGES_AHEAD_MAX);
    }
    const { key, read } = this.#asked.shift()!;
    return { key, bytes: await read() };
  }
}

/** Of what was not let go. */
export function firstSectionOf({ from, trimmed = 0 }: LogEpoch): number {
  return sectionOf(Math.max(from, trimmed));
}

const nameOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);

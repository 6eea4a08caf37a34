// Copying one epoch of a log, object by object, in the order in which it was written: at the replica, too, whether the n-th section or
// range is there is monotone in n, so that its end can be found at any moment, whatever dies where.

import { forEachBounded } from '../base/bounded.ts';
import { Fault } from '../base/faults.ts';
import { listEpoch } from '../engine/log-listing.ts';
import { epochPrefix, rangeKey, sectionKey, sectionOf } from '../engine/log-objects.ts';
import { countWhile } from '../engine/log-reader.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import { type Mirror, readProven } from './mirror-object.ts';

/** Sections on their way from the source while one is stored. */
const SECTIONS_AHEAD = 3;
const DELETES_PARALLEL = 8;

export class EpochMirror {
  readonly epoch: LogEpoch;
  readonly #mirror: Mirror;
  readonly #prefix: string;
  /** Start of the first section that the replica does not have. */
  #section: number;
  /** Ranges of it that the replica has. */
  #ranges: number;
  /** At the most: sections count in full. */
  bytesBehind = 0;

  private constructor(mirror: Mirror, epoch: LogEpoch, prefix: string, section: number, ranges: number) {
    this.#mirror = mirror;
    this.epoch = epoch;
    this.#prefix = prefix;
    this.#section = section;
    this.#ranges = ranges;
  }

  /** Deletes what the source has let go of: sections before a position, or all. */
  static async letGo({ replica, signal }: Mirror, assetId: Uint8Array, epoch: LogEpoch, before: number): Promise<void> {
    const prefix = epochPrefix(assetId, epoch);
    const { sections, ranges } = await listEpoch(replica, prefix, { signal });
    const gone = [...sections, ...ranges].filter(({ section }) => section < before);
    await forEachBounded(gone, DELETES_PARALLEL, ({ key }) => replica.delete(key, { signal }));
  }

  /** Goes on where the replica ends. */
  static async resume(mirror: Mirror, assetId: Uint8Array, epoch: LogEpoch): Promise<EpochMirror> {
    const { replica, signal } = mirror;
    const prefix = epochPrefix(assetId, epoch);
    const has = async (key: string): Promise<boolean> => (await replica.size(key, { signal })) !== undefined;
    // What was let go before is not copied.
    const first = sectionOf(Math.max(epoch.from, epoch.trimmed ?? 0));
    const section = first + (await countWhile((n) => has(sectionKey(prefix, first + n * LOG_SECTION_BYTES)))) * LOG_SECTION_BYTES;
    const ranges = await countWhile((n) => has(rangeKey(prefix, section, n)));
    return new EpochMirror(mirror, epoch, prefix, section, ranges);
  }

  /** Whether it can go on under the epoch as it is now: where the source has let go of log, or lost some, it begins anew. */
  isOf({ trimmed = 0, lost = [] }: LogEpoch): boolean {
    return trimmed === (this.epoch.trimmed ?? 0) && lost.length === (this.epoch.lost?.length ?? 0);
  }

  /** Until the source has no more. Answers how many objects were copied. */
  async pull(): Promise<number> {
    let copied = 0;
    for (;;) {
      // In this order: a range that is gone is in a section that was stored before.
      const some = (await this.#pullRanges()) + (await this.#pullSections());
      if (some === 0) return copied;
      copied += some;
    }
  }

  async #pullRanges(): Promise<number> {
    const { source, signal } = this.#mirror;
    for (let copied = 0; ; copied++) {
      const key = rangeKey(this.#prefix, this.#section, this.#ranges);
      const bytes = await readProven(source, key, 'sealed', signal);
      if (bytes === undefined) return copied;
      await this.#store(key, bytes);
      this.#ranges++;
    }
  }

  async #pullSections(): Promise<number> {
    const { source, signal } = this.#mirror;
    const first = this.#section;
    const keyOf = (n: number): string => sectionKey(this.#prefix, first + n * LOG_SECTION_BYTES);
    // Nobody reads what is written down as lost: the log goes on behind it.
    const lost = new Set(this.epoch.lost?.map(({ object }) => object));
    const isLost = (n: number): boolean => lost.has(keyOf(n).slice(this.#prefix.length + 1));
    const count = await countWhile(async (n) => isLost(n) || (await source.size(keyOf(n), { signal })) !== undefined);
    const ahead: Promise<Uint8Array | undefined>[] = [];
    for (let n = 0, next = 0; n < count; n++) {
      this.bytesBehind = (count - n) * LOG_SECTION_BYTES;
      for (; ahead.length < SECTIONS_AHEAD && next < count; next++) {
        const bytes = isLost(next) ? Promise.resolve(undefined) : readProven(source, keyOf(next), 'sealed', signal);
        bytes.catch(() => {});
        ahead.push(bytes);
      }
      const bytes = await ahead.shift()!;
      // Nothing may be stored behind a hole that nobody knows of.
      if (bytes === undefined && !isLost(n))
        throw new Fault('STORE_NOT_FOUND', `The log object ${keyOf(n)} is gone from ${source.location}`);
      if (bytes !== undefined) await this.#store(keyOf(n), bytes);
      await this.#deleteRanges();
      this.#section += LOG_SECTION_BYTES;
      this.#ranges = 0;
    }
    this.bytesBehind = 0;
    return count;
  }

  async #store(key: string, bytes: Uint8Array): Promise<void> {
    const { replica, progress, signal } = this.#mirror;
    await replica.put(key, bytes, { signal });
    progress.bytesCopied += bytes.length;
    progress.logObjects++;
  }

  /** They are in the section now. From the last on, some at a time: a reader must not take the rest for all there is. */
  async #deleteRanges(): Promise<void> {
    const { replica, signal } = this.#mirror;
    for (let end = this.#ranges; end > 0; end -= DELETES_PARALLEL) {
      const numbers = Array.from({ length: Math.min(DELETES_PARALLEL, end) }, (_, i) => end - 1 - i);
      await forEachBounded(numbers, DELETES_PARALLEL, (n) => replica.delete(rangeKey(this.#prefix, this.#section, n), { signal }));
    }
  }
}

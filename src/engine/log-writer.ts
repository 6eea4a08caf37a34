// Storing a log as it grows: one epoch, from a position on, without a hole.
//
// Bytes gather in sections of 16 MiB. A section that is full becomes one object. What an open section holds is shipped as it grows, in
// ranges: immutable objects that are numbered, so that a reader finds the last one by asking for it and never has to trust a listing. Every
// 64th range holds the section from its start, so that few must be read. `durable` is the end of what the store has acknowledged, in order:
// a section is never stored before the one before it.
//
// An epoch that goes on where another one ended begins a little earlier. What both have must be equal (LOG_FORKED), and is compared before
// anything of the new one is made known.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import { bytesEqual } from '../model/reference.ts';
import { sessionKeyKey, unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { LOG_EPOCH_PREFIX } from '../repository/strays.ts';
import type { LogCatalogueKeeper } from './log-catalogue.ts';
import { type EpochKeys, epochPrefix, RANGES_UNTIL_WHOLE, rangeKey, sealLogObject, sectionKey, sectionOf } from './log-objects.ts';

const EPOCH_RANDOM_BYTES = 7;
/** Sections in memory: the one that fills, and those on their way. */
const SECTIONS_MAX = 3;
const SHARE_BETWEEN = 0.2;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;
const DELETES_PARALLEL = 8;
/** So often it is looked whether the epoch is still in the catalogue: retention may have let it go. */
const LISTED_CHECK_MS = 60_000;

export type ShipPolicy = {
  /** An open section is shipped when so many bytes wait, */
  readonly bytes: number;
  /** or when the first of them has waited for so long. */
  readonly ms: number;
};

export const SHIP_POLICY: ShipPolicy = { bytes: 256 * 1024, ms: 1000 };

/** A stretch that another epoch has stored. */
export type KnownStretch = Pick<LogIndex, 'from' | 'to' | 'digest'>;

export type LogWriterOptions = {
  readonly repository: OpenedRepository;
  readonly catalogue: LogCatalogueKeeper;
  readonly assetId: Uint8Array;
  readonly incarnation: string;
  readonly timeline: number;
  readonly from: number;
  readonly host: string;
  readonly now: () => Date;
  readonly policy: ShipPolicy;
  /** In order; compared with what is appended. */
  readonly known: readonly KnownStretch[];
  readonly signal: AbortSignal;
  /** What kept an object from being stored; it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  readonly onDurable: (position: number) => void;
};

type Section = {
  readonly start: number;
  readonly bytes: Uint8Array;
  /** Where this epoch's bytes begin in it. */
  readonly from: number;
  filled: number;
  shipped: number;
  ranges: number;
  shippedMarks: number;
  readonly marks: LogMark[];
  readonly timeBefore: number;
  recordFrom: number;
};

export class LogWriter {
  readonly epoch: LogEpoch;
  readonly #options: LogWriterOptions;
  readonly #keys: EpochKeys;
  readonly #sealedKey: { readonly key: string; readonly bytes: Uint8Array };
  readonly #prefix: string;
  #sections: Section[];
  #known: readonly KnownStretch[];
  #isPublished = false;
  #listedAt = 0;
  #durable: number;
  #durableRecord: number;
  #timeMax = 0;
  #waitingSince: number | undefined;
  #shippedAt = Number.NEGATIVE_INFINITY;
  #pump: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #flushWanted = false;
  #wake: (() => void)[] = [];
  bytesStored = 0;

  constructor(options: LogWriterOptions) {
    const { repository, assetId, incarnation, timeline, from, host, now } = options;
    const session = Buffer.concat([unhex(LOG_EPOCH_PREFIX), randomBytes(EPOCH_RANDOM_BYTES)]);
    const { keys, pairId, sealed } = repository.keyring.newSession(session, assetId, randomBytes);
    this.#options = options;
    this.epoch = { epoch: session.toString('hex'), incarnation, timeline, from, at: now().toISOString(), host };
    this.#keys = { metadata: keys.metadataKey, data: keys.dataKey };
    this.#sealedKey = { key: sessionKeyKey(pairId, session), bytes: sealed };
    this.#prefix = epochPrefix(assetId, this.epoch);
    this.#known = options.known.filter((stretch) => stretch.from >= from);
    this.#durable = from;
    this.#durableRecord = from;
    this.#sections = [this.#newSection(from)];
  }

  /** Everything before is stored. */
  get durable(): number {
    return this.#durable;
  }

  /** As `durable`, less a record of which only a part is stored: an epoch that follows begins there. */
  get durableRecord(): number {
    return this.#durableRecord;
  }

  get end(): number {
    const last = this.#sections.at(-1)!;
    return last.start + last.filled;
  }

  /** Bytes that `append` takes at once: never beyond the section's end. */
  get room(): number {
    return LOG_SECTION_BYTES - this.#sections.at(-1)!.filled;
  }

  /** Waits until memory has room for more. */
  async ready(): Promise<void> {
    this.#throwIfFailed();
    while (this.#sections.length >= SECTIONS_MAX) {
      this.#start();
      await new Promise<void>((resolve) => this.#wake.push(resolve));
      this.#throwIfFailed();
    }
  }

  /** `marks`: those that are complete with these bytes. `recordFrom`: where the first record begins that is not. LOG_FORKED. */
  append(bytes: Uint8Array, marks: readonly LogMark[], recordFrom: number): void {
    this.#throwIfFailed();
    const section = this.#sections.at(-1)!;
    invariant(bytes.length <= LOG_SECTION_BYTES - section.filled, 'what is appended fits into the section');
    section.bytes.set(bytes, section.filled);
    section.filled += bytes.length;
    section.marks.push(...marks);
    section.recordFrom = recordFrom;
    for (const { time } of marks) this.#timeMax = Math.max(this.#timeMax, time);
    this.#compareKnown(section);
    this.#waitingSince ??= performance.now();
    if (section.filled === LOG_SECTION_BYTES) this.#sections.push(this.#newSection(section.start + LOG_SECTION_BYTES));
    if (this.#isDue()) this.#start();
  }

  /** To be called now and then: ships what has waited long enough. */
  tick(): void {
    this.#throwIfFailed();
    if (this.#isDue()) this.#start();
  }

  /** Milliseconds until `tick` has something to do; undefined when nothing waits. */
  get dueInMs(): number | undefined {
    if (this.#waitingSince === undefined) return undefined;
    return Math.max(0, this.#waitingSince + this.#options.policy.ms - performance.now());
  }

  /** Waits until all that was appended is stored. */
  async flush(): Promise<void> {
    this.#flushWanted = true;
    while (this.#durable < this.end && this.#failure === undefined && this.#known.length === 0) {
      this.#start();
      await this.#pump;
    }
    this.#flushWanted = false;
    this.#throwIfFailed();
  }

  #newSection(from: number): Section {
    const start = sectionOf(from);
    return {
      start,
      bytes: new Uint8Array(LOG_SECTION_BYTES),
      from: from - start,
      filled: from - start,
      shipped: from - start,
      ranges: 0,
      shippedMarks: 0,
      marks: [],
      timeBefore: this.#timeMax,
      recordFrom: from,
    };
  }

  #compareKnown({ start, bytes, filled }: Section): void {
    for (let next = this.#known[0]; next !== undefined && next.to <= start + filled; next = this.#known[0]) {
      this.#known = this.#known.slice(1);
      if (next.from < start) continue;
      const digest = this.#options.repository.keyring.ids.id(bytes.subarray(next.from - start, next.to - start));
      if (!bytesEqual(digest, next.digest)) {
        this.#failure = {
          error: new Fault(
            'LOG_FORKED',
            `The log of timeline ${this.epoch.timeline} has other bytes from ${next.from} to ${next.to} than those that are stored`,
          ),
        };
        throw this.#failure.error;
      }
    }
  }

  /** Nothing is made known before it was compared with what others have stored. Under load ranges are not shipped one after the other: a
   *  fifth of the policy's time lies between two, so that small ones do not cost more than what they hold. */
  #isDue(): boolean {
    if (this.#waitingSince === undefined || this.#known.length > 0) return false;
    if (this.#sections.length > 1) return true;
    const last = this.#sections.at(-1)!;
    const { bytes, ms } = this.#options.policy;
    const now = performance.now();
    if (now - this.#waitingSince >= ms) return true;
    return last.filled - last.shipped >= bytes && now - this.#shippedAt >= ms * SHARE_BETWEEN;
  }

  #start(): void {
    if (this.#pump !== undefined || this.#failure !== undefined || this.#known.length > 0) return;
    this.#pump = this.#run()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#pump = undefined;
        for (const wake of this.#wake.splice(0)) wake();
      });
  }

  async #run(): Promise<void> {
    if (!this.#isPublished) await this.#publish();
    for (;;) {
      const section = this.#sections[0]!;
      if (section.filled === LOG_SECTION_BYTES) await this.#sealSection(section);
      else if (section.filled > section.shipped && (this.#isDue() || this.#flushWanted)) await this.#shipRange(section);
      else return;
    }
  }

  /** The key before what it opens, and the epoch in the catalogue before anything of it. */
  async #publish(): Promise<void> {
    const { repository, catalogue, signal } = this.#options;
    await this.#persist(async () => void (await repository.store.put(this.#sealedKey.key, this.#sealedKey.bytes, { signal })));
    await this.#persist(async () => void (await catalogue.addEpoch(this.epoch, { signal })));
    this.#isPublished = true;
    this.#listedAt = performance.now();
  }

  /** Retention lets an epoch go only when it is old and another one of this host goes on; who slept through that begins anew. */
  async #mustBeListed(): Promise<void> {
    if (performance.now() - this.#listedAt < LISTED_CHECK_MS) return;
    const { catalogue, signal } = this.#options;
    await this.#persist(async () => {
      const { epochs } = await catalogue.read({ signal });
      if (!epochs.some(({ epoch }) => epoch === this.epoch.epoch))
        throw new Fault('LOG_LET_GO', `The epoch ${this.epoch.epoch} is no part of the log any more`);
    });
    this.#listedAt = performance.now();
  }

  async #sealSection(section: Section): Promise<void> {
    await this.#put(
      'section',
      sectionKey(this.#prefix, section.start),
      section,
      section.from,
      LOG_SECTION_BYTES,
      section.marks,
      section.recordFrom,
    );
    this.#sections.shift();
    for (const wake of this.#wake.splice(0)) wake();
    if (this.#sections.length === 1 && this.#sections[0]!.filled === this.#sections[0]!.from) this.#waitingSince = undefined;
    void this.#deleteRanges(section);
  }

  async #shipRange(section: Section): Promise<void> {
    const { filled, recordFrom } = section;
    this.#shippedAt = performance.now();
    const isWhole = section.ranges % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1;
    const from = isWhole ? section.from : section.shipped;
    const marks = section.marks.slice(isWhole ? 0 : section.shippedMarks);
    const shippedMarks = section.marks.length;
    this.#waitingSince = undefined;
    await this.#put('range', rangeKey(this.#prefix, section.start, section.ranges), section, from, filled, marks, recordFrom);
    section.ranges++;
    section.shipped = filled;
    section.shippedMarks = shippedMarks;
    if (section.filled > filled) this.#waitingSince ??= performance.now();
  }

  async #put(
    kind: 'section' | 'range',
    key: string,
    section: Section,
    from: number,
    to: number,
    marks: readonly LogMark[],
    recordFrom: number,
  ): Promise<void> {
    await this.#mustBeListed();
    const { repository, signal } = this.#options;
    const bytes = section.bytes.subarray(from, to);
    const firstMark = section.marks.length - marks.length;
    const timeBefore = section.marks
      .slice(0, from === section.from ? 0 : firstMark)
      .reduce((max, { time }) => Math.max(max, time), section.timeBefore);
    const index = {
      from: section.start + from,
      to: section.start + to,
      digest: repository.keyring.ids.id(bytes),
      recordFrom,
      timeBefore,
      marks,
    };
    const object = await sealLogObject(repository, this.#keys, { kind, key, index, bytes });
    await this.#persist(async () => void (await repository.store.put(key, object, { signal })));
    this.bytesStored += object.length;
    this.#durable = index.to;
    this.#durableRecord = recordFrom;
    this.#options.onDurable(index.to);
  }

  /** Again and again, as long as the fault may pass: what was captured is held until it is stored. */
  async #persist(work: () => Promise<void>): Promise<void> {
    const { signal, onTrouble } = this.#options;
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (!isFault(error) || (error.retry === 'never' && error.code !== 'STORE_FULL') || error.code === 'LOG_LET_GO') throw error;
        onTrouble(error);
        await sleep(waitMs, undefined, { signal });
      }
    }
  }

  /** They are in the section now. What stays is waste, no harm. */
  async #deleteRanges({ start, ranges }: Section): Promise<void> {
    const { repository } = this.#options;
    for (let n = 0; n < ranges; n += DELETES_PARALLEL) {
      const some = Array.from({ length: Math.min(DELETES_PARALLEL, ranges - n) }, (_, i) => rangeKey(this.#prefix, start, n + i));
      // From the last on: a reader that asks for the first one meanwhile must not take the rest for all there is.
      const deleted = await Promise.allSettled(some.map((key) => repository.store.delete(key)));
      if (deleted.some(({ status }) => status === 'rejected')) return;
    }
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

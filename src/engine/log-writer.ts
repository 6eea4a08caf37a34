// Storing a log as it grows: one epoch, from a position on, without a hole.
//
// Bytes gather in sections of 16 MiB. A section that is full becomes one object. What an open section holds is shipped as it grows, in
// ranges: immutable objects that are numbered, so that a reader finds the last one by asking for it and never has to trust a listing. Every
// 64th range holds once more what those before it hold, so that few must be read, and the last one of a section ends with it: whoever has the
// ranges can make the section of them. `durable` is the end of what the store has acknowledged, in order: a section is never stored before
// the one before it.
//
// Others may store the same log: the capture that ran before this one, or one that runs at once on another node of the cluster. What they
// have is compared (LOG_FORKED) and left out, until nobody stores what waits here; then this epoch begins, if in the catalogue no newer
// one has begun meanwhile. So one of several stores, the others are ready to, and whoever finds a newer epoch than its own gives way.

import { Fault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { LogCatalogueKeeper } from './log-catalogue.ts';
import { type KnownStretch, LogCoverage } from './log-coverage.ts';
import { RANGES_UNTIL_WHOLE } from './log-objects.ts';
import type { OtherEpochs } from './log-others.ts';
import { persist } from './log-persist.ts';
import { type LogSection, leaveOut, newSection } from './log-section.ts';
import { LogShipper, RANGES_KEPT_MS, type ShippedKind } from './log-shipper.ts';

/** Sections in memory: the one that fills, and those on their way. */
const SECTIONS_MAX = 3;
const SHARE_BETWEEN = 0.4;
/** So often it is looked whether the epoch is still in the catalogue: retention may have let it go. */
const LISTED_CHECK_MS = 60_000;
/** Others that store are late when they have not stored for so many times the policy's time. */
const PATIENCE = 3;

export type ShipPolicy = {
  /** An open section is shipped when so many bytes wait, */
  readonly bytes: number;
  /** or when the first of them has waited for so long. */
  readonly ms: number;
};

export const SHIP_POLICY: ShipPolicy = { bytes: 256 * 1024, ms: 1000 };

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
  /** So long after their section ranges are deleted. */
  readonly rangesKeptMs?: number;
  /** What others have stored, in order. */
  readonly known: readonly KnownStretch[];
  /** Others that may store the same log now; without this nobody is looked at. */
  readonly others?: OtherEpochs;
  readonly signal: AbortSignal;
  /** What kept an object from being stored; it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  readonly onDurable: (position: number) => void;
};

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #shipper: LogShipper;
  readonly #coverage: LogCoverage;
  #epoch: LogEpoch;
  #sections: LogSection[];
  /** Of the section that was stored last: fresh memory costs more than what is copied into it. */
  #spare: Uint8Array | undefined;
  /** Where the epoch begins is settled. */
  #isBound = false;
  #isPublished = false;
  #looking: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #durable: number;
  #durableRecord: number;
  #listedAt = 0;
  #movedAt = 0;
  #timeMax = 0;
  #waitingSince: number | undefined;
  #shippedAt = Number.NEGATIVE_INFINITY;
  #pump: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #flushWanted = false;
  #wake: (() => void)[] = [];

  constructor(options: LogWriterOptions) {
    const { repository, assetId, incarnation, timeline, from, host, now, rangesKeptMs = RANGES_KEPT_MS } = options;
    this.#options = options;
    const log = { repository, assetId, incarnation, timeline, rangesKeptMs };
    this.#shipper = new LogShipper({ ...log, persist: (work) => this.#persist(work) });
    this.#epoch = { epoch: this.#shipper.epoch, incarnation, timeline, from, at: now().toISOString(), host };
    this.#coverage = new LogCoverage(from, timeline, (bytes) => repository.keyring.ids.id(bytes));
    this.#coverage.add(options.known);
    this.#durable = from;
    this.#durableRecord = from;
    this.#sections = [newSection(from, 0)];
    // Even a store that never answers keeps nobody waiting then.
    options.signal.addEventListener('abort', () => {
      this.#failure ??= { error: options.signal.reason };
      this.#wakeAll();
    });
  }

  get epoch(): LogEpoch {
    return this.#epoch;
  }

  get bytesStored(): number {
    return this.#shipper.bytesStored;
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

  /** For so long nothing was stored of what waits; 0: nothing waits. */
  get stalledMs(): number {
    return this.#durable < this.end ? performance.now() - this.#movedAt : 0;
  }

  /** Bytes that `append` takes at once: never beyond the section's end. */
  get room(): number {
    return LOG_SECTION_BYTES - this.#sections.at(-1)!.filled;
  }

  /** Waits until memory has room for more. */
  async ready(): Promise<void> {
    this.#throwIfFailed();
    while (this.#isFull) {
      if (this.#isDue()) this.#start();
      await this.#woken();
      this.#throwIfFailed();
    }
  }

  /** `marks`: those that are complete with these bytes. `recordFrom`: where the first record begins that is not. LOG_FORKED. */
  append(bytes: Uint8Array, marks: readonly LogMark[], recordFrom: number): void {
    this.#throwIfFailed();
    if (this.#durable >= this.end) this.#movedAt = performance.now();
    const section = this.#sections.at(-1)!;
    invariant(bytes.length <= LOG_SECTION_BYTES - section.filled, 'what is appended fits into the section');
    section.bytes.set(bytes, section.filled);
    section.filled += bytes.length;
    section.marks.push(...marks);
    section.recordFrom = recordFrom;
    for (const { time } of marks) this.#timeMax = Math.max(this.#timeMax, time);
    if (section.filled === LOG_SECTION_BYTES) {
      this.#sections.push(newSection(section.start + LOG_SECTION_BYTES, this.#timeMax, this.#spare));
      this.#spare = undefined;
    }
    if (this.end > this.#coverage.to) this.#waitingSince ??= performance.now();
    this.#compare();
    if (this.#isDue()) this.#start();
  }

  /** To be called now and then: ships what has waited long enough, and looks at what others have stored. */
  tick(): void {
    this.#throwIfFailed();
    this.#shipper.deleteEnded();
    if (this.#isDue()) this.#start();
    else if (this.#isLookDue()) this.#lookOnce();
  }

  /** Milliseconds until `tick` has something to do; undefined when nothing waits. */
  get dueInMs(): number | undefined {
    if (this.#waitingSince === undefined) return undefined;
    return Math.max(0, this.#waitingSince + this.#options.policy.ms - performance.now());
  }

  /** Waits until all that was appended is stored. */
  async flush(): Promise<void> {
    this.#flushWanted = true;
    while (this.#durable < this.end && this.#failure === undefined && !this.#coverage.isOpen) {
      this.#start();
      await this.#woken();
    }
    this.#flushWanted = false;
    this.#throwIfFailed();
  }

  /** What is held only because others have no more than the begin of a record does not count: it ends with the record. */
  get #isFull(): boolean {
    const isHeldForRecord = !this.#isBound && this.#waitingSince === undefined;
    return this.#sections.length >= SECTIONS_MAX && !isHeldForRecord;
  }

  /** Others are given time to store what waits here; one that has stored before stores at once. */
  get #patienceMs(): number {
    const { others, policy } = this.#options;
    return others?.isElsewhere === true ? policy.ms * PATIENCE : 0;
  }

  #compare(): void {
    try {
      this.#coverage.compare(this.#sections);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
    const { to, record } = this.#coverage;
    if (this.#isBound || to <= this.#durable) return;
    this.#timeMax = leaveOut(this.#sections, record);
    this.#durable = to;
    this.#movedAt = performance.now();
    this.#durableRecord = Math.max(this.#durableRecord, record);
    this.#waitingSince = this.end > to ? performance.now() : undefined;
    this.#wakeAll();
    this.#options.onDurable(to);
  }

  #isLookDue(): boolean {
    if (this.#isBound || this.#waitingSince === undefined || this.#patienceMs === 0 || this.#looking !== undefined) return false;
    const { ms } = this.#options.policy;
    return performance.now() - this.#lookedAt >= (this.#isFull ? ms * SHARE_BETWEEN : ms);
  }

  #lookOnce(): void {
    this.#looking = this.#look()
      .catch((error: unknown) => {
        if (this.#failure === undefined) this.#options.onTrouble(error);
      })
      .finally(() => {
        this.#looking = undefined;
        this.#wakeAll();
      });
  }

  async #look(): Promise<void> {
    this.#coverage.add((await this.#options.others?.news()) ?? []);
    this.#lookedAt = performance.now();
    this.#compare();
  }

  /** Nothing is made known before it was compared with what others have stored. Under load ranges are not shipped one after the other: two
   *  fifths of the policy's time lie between two, so that small ones do not cost more than what they hold. */
  #isDue(): boolean {
    if (this.#waitingSince === undefined || this.#mustCompare()) return false;
    const now = performance.now();
    if (!this.#isPublished && now - this.#waitingSince < this.#patienceMs) return false;
    if (this.#sections.length > 1) return true;
    const last = this.#sections.at(-1)!;
    const { bytes, ms } = this.#options.policy;
    if (now - this.#waitingSince >= ms) return true;
    return last.filled - last.shipped >= bytes && now - this.#shippedAt >= ms * SHARE_BETWEEN;
  }

  /** A full memory holds nothing that was not compared. */
  #mustCompare(): boolean {
    return this.#coverage.isOpen && !this.#isFull;
  }

  #start(): void {
    if (this.#pump !== undefined || this.#failure !== undefined || this.#mustCompare()) return;
    this.#pump = this.#run()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#pump = undefined;
        this.#wakeAll();
      });
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #run(): Promise<void> {
    if (!this.#isPublished && !(await this.#publish())) return;
    for (;;) {
      const section = this.#sections[0]!;
      if (section.filled === LOG_SECTION_BYTES) await this.#sealSection(section);
      else if (section.filled > section.shipped && (this.#isDue() || this.#flushWanted)) await this.#shipRange(section);
      else return;
    }
  }

  /** The key before what it opens, and the epoch in the catalogue before anything of it. False when others have stored what waits here, or
   *  have begun to. */
  async #publish(): Promise<boolean> {
    const { catalogue, signal, others } = this.#options;
    await this.#shipper.keepKey(signal);
    if (others !== undefined) {
      await this.#looking;
      await this.#persist(() => this.#look());
      if (this.#waitingSince === undefined) return false;
      if (performance.now() - this.#waitingSince < this.#patienceMs && !this.#flushWanted) return false;
    }
    this.#isBound = true;
    const epoch = { ...this.#epoch, from: Math.max(this.#epoch.from, this.#coverage.record) };
    const newest = others?.newest;
    const isAdded = await this.#persist(() => catalogue.addEpoch(epoch, others === undefined ? undefined : { newest }, { signal }));
    this.#epoch = epoch;
    this.#isPublished = isAdded;
    this.#listedAt = performance.now();
    this.#isBound = isAdded;
    if (!isAdded) this.#waitingSince = performance.now();
    return isAdded;
  }

  async #sealSection(section: LogSection): Promise<void> {
    // Without ranges nobody has a part of it.
    if (section.ranges > 0 && section.shipped < section.filled) await this.#ship(section, 'range');
    await this.#ship(section, 'section');
    this.#sections.shift();
    this.#spare = section.bytes;
    this.#wakeAll();
    if (this.#sections.length === 1 && this.#sections[0]!.filled === this.#sections[0]!.from) this.#waitingSince = undefined;
    this.#shipper.deleteEnded();
    await this.#giveWay();
  }

  async #shipRange(section: LogSection): Promise<void> {
    this.#shippedAt = performance.now();
    this.#waitingSince = undefined;
    await this.#ship(section, 'range');
    if (section.ranges % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) await this.#ship(section, 'whole');
    if (section.filled > section.shipped) this.#waitingSince ??= performance.now();
  }

  /** Retention lets an epoch go only when it is old and another one of this host goes on; who slept through that begins anew. */
  async #mustBeListed(): Promise<void> {
    if (performance.now() - this.#listedAt < LISTED_CHECK_MS) return;
    const { catalogue, signal } = this.#options;
    const { epochs } = await this.#persist(() => catalogue.read({ signal }));
    if (!epochs.some(({ epoch }) => epoch === this.#epoch.epoch))
      throw new Fault('LOG_LET_GO', `The epoch ${this.#epoch.epoch} is no part of the log any more`);
    this.#listedAt = performance.now();
  }

  async #ship(section: LogSection, kind: ShippedKind): Promise<void> {
    const { policy, onDurable, signal } = this.#options;
    await this.#mustBeListed();
    const began = performance.now();
    const { to, recordFrom } = await this.#shipper.ship(section, kind, signal);
    this.#durable = section.start + to;
    this.#movedAt = performance.now();
    this.#durableRecord = recordFrom;
    onDurable(this.#durable);
    // Others were patient for longer than this before they began.
    if (kind === 'range' && this.#movedAt - began > policy.ms) await this.#giveWay();
  }

  /** LOG_TAKEN_OVER when another epoch of the timeline has begun since. */
  async #giveWay(): Promise<void> {
    const { others } = this.#options;
    if (others === undefined || (await this.#persist(() => others.isNewest(this.#epoch.epoch)))) return;
    throw new Fault('LOG_TAKEN_OVER', `Another capture stores the log of timeline ${this.#epoch.timeline} since this one was slow`);
  }

  #persist<T>(work: () => Promise<T>): Promise<T> {
    return persist(work, this.#options.signal, this.#options.onTrouble);
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

// An epoch's objects on their way to the store: its key, whole sections, ranges of the one that is open.

import { randomBytes } from 'node:crypto';
import { sessionKeyKey, unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { LOG_EPOCH_PREFIX } from '../repository/strays.ts';
import { compressPieces, joinFrames } from './log-frames.ts';
import { type EpochKeys, epochPrefix, rangeKey, sealLogObject, sectionKey } from './log-objects.ts';
import { type LogSection, timeBefore } from './log-section.ts';

const EPOCH_RANDOM_BYTES = 7;
const DELETES_PARALLEL = 8;
/** Ranges stay for so long after their section: a replica that has come so far makes the section of them. */
export const RANGES_KEPT_MS = 5_000;

/** A range with what was added since the last one; one with all that was shipped before; the section. */
export type ShippedKind = 'range' | 'whole' | 'section';

type LogSpan = Pick<LogSection, 'start' | 'ranges'>;

export type LogShipperOptions = {
  readonly repository: OpenedRepository;
  readonly assetId: Uint8Array;
  readonly incarnation: string;
  readonly timeline: number;
  readonly rangesKeptMs: number;
  /** Repeats what may pass. */
  readonly persist: <T>(work: () => Promise<T>) => Promise<T>;
};

export class LogShipper {
  /** Its name, 20 hex digits. */
  readonly epoch: string;
  readonly #options: LogShipperOptions;
  readonly #keys: EpochKeys;
  readonly #sealedKey: { readonly key: string; readonly bytes: Uint8Array };
  readonly #prefix: string;
  /** Sections that are stored, and their ranges are not deleted yet. */
  readonly #ended: { readonly section: LogSpan; readonly atMs: number }[] = [];
  #isKeyStored = false;
  bytesStored = 0;

  constructor(options: LogShipperOptions) {
    const { repository, assetId, incarnation, timeline } = options;
    const session = Buffer.concat([unhex(LOG_EPOCH_PREFIX), randomBytes(EPOCH_RANDOM_BYTES)]);
    const { keys, pairId, sealed } = repository.keyring.newSession(session, assetId, randomBytes);
    this.#options = options;
    this.epoch = session.toString('hex');
    this.#keys = { metadata: keys.metadataKey, data: keys.dataKey };
    this.#sealedKey = { key: sessionKeyKey(pairId, session), bytes: sealed };
    this.#prefix = epochPrefix(assetId, { incarnation, timeline, epoch: this.epoch });
  }

  /** Before anything that it opens. */
  async keepKey(signal: AbortSignal): Promise<void> {
    const { repository, persist } = this.#options;
    const { key, bytes } = this.#sealedKey;
    if (!this.#isKeyStored) await persist(() => repository.store.put(key, bytes, { signal }));
    this.#isKeyStored = true;
  }

  /** What is added to the section meanwhile is no part of it, bytes and marks alike. Answers its end in the section, and where the first
   *  record begins that is not complete there. */
  async ship(
    section: LogSection,
    kind: ShippedKind,
    signal: AbortSignal,
  ): Promise<{ readonly to: number; readonly recordFrom: number }> {
    const { repository, persist } = this.#options;
    const to = kind === 'whole' ? section.shipped : section.filled;
    const recordFrom = kind === 'whole' ? section.shippedRecord : section.recordFrom;
    const marksEnd = kind === 'whole' ? section.shippedMarks : section.marks.length;
    const [from, firstMark] = kind === 'range' ? [section.shipped, section.shippedMarks] : [section.from, 0];
    const bytes = section.bytes.subarray(from, to);
    const index = {
      from: section.start + from,
      to: section.start + to,
      digest: repository.keyring.ids.id(bytes),
      recordFrom,
      timeBefore: timeBefore(section, firstMark),
      marks: section.marks.slice(firstMark, marksEnd),
    };
    const key =
      kind === 'section' ? sectionKey(this.#prefix, section.start) : rangeKey(this.#prefix, section.start, section.ranges);
    const frames =
      kind === 'range'
        ? await compressPieces(bytes)
        : await joinFrames(bytes.length, (begin, end) => bytes.subarray(begin, end), section.frames);
    const object = sealLogObject(repository, this.#keys, { kind: kind === 'section' ? kind : 'range', key, index, frames });
    await persist(() => repository.store.put(key, object, { signal }));
    this.bytesStored += object.length;
    if (kind === 'range') section.frames.push(...frames);
    Object.assign(section, { shipped: to, shippedMarks: marksEnd, shippedRecord: recordFrom });
    if (kind !== 'section') section.ranges++;
    else if (section.ranges > 0)
      this.#ended.push({ section: { start: section.start, ranges: section.ranges }, atMs: performance.now() });
    return { to, recordFrom };
  }

  /** What lies in sections that were stored some time ago. What stays, since its capture ended, is waste until retention comes to it, no harm. */
  deleteEnded(): void {
    const before = performance.now() - this.#options.rangesKeptMs;
    for (let next = this.#ended[0]; next !== undefined && next.atMs <= before; next = this.#ended[0]) {
      this.#ended.shift();
      void this.#deleteRanges(next.section);
    }
  }

  async #deleteRanges({ start, ranges }: LogSpan): Promise<void> {
    const { repository } = this.#options;
    for (let n = 0; n < ranges; n += DELETES_PARALLEL) {
      const some = Array.from({ length: Math.min(DELETES_PARALLEL, ranges - n) }, (_, i) => rangeKey(this.#prefix, start, n + i));
      // From the last on: a reader that asks for the first one meanwhile must not take the rest for all there is.
      const deleted = await Promise.allSettled(some.map((key) => repository.store.delete(key, { kind: 'object' })));
      if (deleted.some(({ status }) => status === 'rejected')) return;
    }
  }
}

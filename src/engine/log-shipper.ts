// An epoch's objects on their way to the store: its key, whole sections, ranges of the one that is open.

import { randomBytes } from 'node:crypto';
import { sessionKeyKey, unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { LOG_EPOCH_PREFIX } from '../repository/strays.ts';
import { type EpochKeys, epochPrefix, RANGES_UNTIL_WHOLE, rangeKey, sealLogObject, sectionKey } from './log-objects.ts';
import { type LogSection, timeBefore } from './log-section.ts';

const EPOCH_RANDOM_BYTES = 7;
const DELETES_PARALLEL = 8;

export type LogShipperOptions = {
  readonly repository: OpenedRepository;
  readonly assetId: Uint8Array;
  readonly incarnation: string;
  readonly timeline: number;
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

  /** Stores the section, or what was added to it since the last range. What is added meanwhile is not part of it, bytes and marks alike. */
  async ship(section: LogSection, kind: 'section' | 'range', signal: AbortSignal): Promise<void> {
    const { repository, persist } = this.#options;
    const { filled: to, recordFrom } = section;
    const isWhole = kind === 'section' || section.ranges % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1;
    const from = isWhole ? section.from : section.shipped;
    const firstMark = isWhole ? 0 : section.shippedMarks;
    const marks = section.marks.slice(firstMark);
    const shippedMarks = section.marks.length;
    const bytes = section.bytes.subarray(from, to);
    const index = {
      from: section.start + from,
      to: section.start + to,
      digest: repository.keyring.ids.id(bytes),
      recordFrom,
      timeBefore: timeBefore(section, firstMark),
      marks,
    };
    const key =
      kind === 'section' ? sectionKey(this.#prefix, section.start) : rangeKey(this.#prefix, section.start, section.ranges);
    const object = await sealLogObject(repository, this.#keys, { kind, key, index, bytes });
    await persist(() => repository.store.put(key, object, { signal }));
    this.bytesStored += object.length;
    section.shipped = to;
    section.shippedMarks = shippedMarks;
    if (kind === 'range') section.ranges++;
  }

  /** They are in the section now. What stays is waste, no harm. */
  async deleteRanges({ start, ranges }: LogSection): Promise<void> {
    const { repository } = this.#options;
    for (let n = 0; n < ranges; n += DELETES_PARALLEL) {
      const some = Array.from({ length: Math.min(DELETES_PARALLEL, ranges - n) }, (_, i) => rangeKey(this.#prefix, start, n + i));
      // From the last on: a reader that asks for the first one meanwhile must not take the rest for all there is.
      const deleted = await Promise.allSettled(some.map((key) => repository.store.delete(key)));
      if (deleted.some(({ status }) => status === 'rejected')) return;
    }
  }
}

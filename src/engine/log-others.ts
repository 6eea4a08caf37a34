// Other epochs of a timeline, as a capture looks at them while it stores nothing itself: the newest one is followed by asking for its next
// object by name, one or two requests at a time; when it stands still, the catalogue is asked for a newer one.

import type { LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import { unhex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { LogCatalogueKeeper } from './log-catalogue.ts';
import type { KnownStretch } from './log-coverage.ts';
import { type EpochKeys, epochPrefix, rangeKey, readLogIndex, sectionKey } from './log-objects.ts';
import { EpochReader } from './log-reader.ts';

/** What a writer asks of them. */
export interface OtherEpochs {
  /** Name of the newest one; undefined: there is none. */
  readonly newest: string | undefined;
  /** The newest one is not by whoever asks: it may be at work. */
  readonly isElsewhere: boolean;
  /** What was stored since the last call. */
  news(): Promise<readonly KnownStretch[]>;
  isNewest(epoch: string): Promise<boolean>;
}

export type TimelineOthers = {
  readonly repository: OpenedRepository & { readonly keys: SessionKeyFinder };
  readonly catalogue: LogCatalogueKeeper;
  readonly assetId: Uint8Array;
  readonly incarnation: string;
  readonly timeline: number;
  /** Who asks, as its own epochs say it. */
  readonly host: string;
  /** Log before is of no interest. */
  readonly from: number;
  readonly signal: AbortSignal;
};

export class EpochsOfOthers implements OtherEpochs {
  readonly #options: TimelineOthers;
  #epoch: LogEpoch | undefined;
  #tail: EpochTail | undefined;

  constructor(options: TimelineOthers) {
    this.#options = options;
  }

  get newest(): string | undefined {
    return this.#epoch?.epoch;
  }

  get isElsewhere(): boolean {
    return this.#epoch !== undefined && this.#epoch.host !== this.#options.host;
  }

  async news(): Promise<readonly KnownStretch[]> {
    const found = (await this.#tail?.next()) ?? [];
    if (found.length > 0) return found;
    const { repository, assetId, from, signal } = this.#options;
    const newest = await this.#readNewest();
    if (newest === undefined || newest.epoch === this.#epoch?.epoch) return [];
    const reader = await EpochReader.open(repository, assetId, newest, { signal });
    const all: KnownStretch[] = [];
    for await (const index of reader.indexes(from, { signal })) all.push(index);
    this.#tail = new EpochTail(this.#options, reader);
    this.#epoch = newest;
    return all;
  }

  async isNewest(epoch: string): Promise<boolean> {
    return (await this.#readNewest())?.epoch === epoch;
  }

  async #readNewest(): Promise<LogEpoch | undefined> {
    const { catalogue, incarnation, timeline, signal } = this.#options;
    const { epochs } = await catalogue.read({ signal });
    return epochs.findLast((one) => one.incarnation === incarnation && one.timeline === timeline);
  }
}

/** The objects of an epoch that come after those that a reader has seen. */
class EpochTail {
  readonly #options: TimelineOthers;
  readonly #keys: EpochKeys;
  readonly #prefix: string;
  #section: number;
  #range: number;

  constructor(options: TimelineOthers, reader: EpochReader) {
    const { repository, assetId } = options;
    this.#options = options;
    this.#keys = { metadata: repository.keys.metadataKey(unhex(reader.epoch.epoch), assetId), data: undefined };
    this.#prefix = epochPrefix(assetId, reader.epoch);
    ({ section: this.#section, range: this.#range } = reader.next);
  }

  async next(): Promise<LogIndex[]> {
    const found: LogIndex[] = [];
    for (;;) {
      const range = await this.#read(rangeKey(this.#prefix, this.#section, this.#range));
      const index = range ?? (await this.#read(sectionKey(this.#prefix, this.#section)));
      if (index === undefined) return found;
      found.push(index);
      if (range !== undefined) this.#range++;
      else {
        this.#section += LOG_SECTION_BYTES;
        this.#range = 0;
      }
    }
  }

  #read(key: string): Promise<LogIndex | undefined> {
    const { repository, signal } = this.#options;
    return readLogIndex(repository, this.#keys, key, { signal });
  }
}

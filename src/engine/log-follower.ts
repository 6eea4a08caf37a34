// A timeline's log as it arrives: the bytes behind a position, also those of the section that is open. What there is at first comes by a view
// of everything; from its end on the next object of the newest epoch is asked for by name, which costs one or two questions a look. When
// the catalogue says that there is another epoch, or nothing has come for a while, everything is looked at again. Nothing leads over a hole.

import { Fault, isFault } from '../base/faults.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import { unhex } from '../repository/layout.ts';
import type { CallOptions } from '../store/object-store.ts';
import { LogCatalogueKeeper } from './log-catalogue.ts';
import {
  type EpochKeys,
  epochPrefix,
  type OpenedLogObject,
  openLogObject,
  rangeKey,
  readLogObject,
  sectionKey,
} from './log-objects.ts';
import type { ReadingRepository } from './log-tail.ts';
import { LogView } from './log-view.ts';
import type { RecentLog } from './recent-log.ts';

/** How often the catalogue is asked while nothing comes, and how often everything is looked at. */
const CATALOGUE_MS = 1_000;
const VIEW_MS = 10_000;
/** Where this process tells what it stores: how often the store is asked for what somebody else may have stored. */
export const ASK_MS = 500;

export type LogFollowerOptions = {
  readonly repository: ReadingRepository;
  readonly recent: RecentLog;
  readonly assetId: Uint8Array;
  readonly incarnation: string;
  readonly timeline: number;
  readonly position: number;
  readonly nowMs: () => number;
};

export type FollowedLog = { readonly from: number; readonly bytes: Uint8Array };

type Cursor = { readonly prefix: string; readonly keys: EpochKeys; section: number; range: number };

export class LogFollower {
  readonly #options: LogFollowerOptions;
  readonly #catalogue: LogCatalogueKeeper;
  #position: number;
  /** What was there when everything was looked at. */
  #known: { readonly view: LogView; readonly end: number } | undefined;
  #cursor: Cursor | undefined;
  #epochs = '';
  #askedAtMs = Number.NEGATIVE_INFINITY;
  /** When the store had no more, if it was the last to be asked, and what had been told by then. */
  #emptyAtMs = Number.NEGATIVE_INFINITY;
  #told = 0;
  #viewedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LogFollowerOptions) {
    this.#options = options;
    this.#position = options.position;
    this.#catalogue = new LogCatalogueKeeper(options.repository, options.assetId);
  }

  /** Of the byte that follows. */
  get position(): number {
    return this.#position;
  }

  /** At most a section; undefined when there is none now. Faults of the store, KEY_CANNOT_READ: ask again. */
  async next(options?: CallOptions): Promise<FollowedLog | undefined> {
    const isLookDue = this.#options.nowMs() - this.#viewedAtMs >= CATALOGUE_MS;
    if (this.#known === undefined && this.#cursor === undefined && isLookDue) await this.#look(options);
    if (this.#known !== undefined) return this.#take(await this.#fromKnown(this.#known, options));
    const found = await this.#nextObject(options);
    if (found !== undefined) return this.#take(found);
    if (await this.#isChanged(options)) this.#cursor = undefined;
    return undefined;
  }

  #take(log: FollowedLog): FollowedLog {
    this.#position = log.from + log.bytes.length;
    return log;
  }

  async #fromKnown({ view, end }: { readonly view: LogView; readonly end: number }, options?: CallOptions): Promise<FollowedLog> {
    const from = this.#position;
    const to = Math.min(end, Math.floor(from / LOG_SECTION_BYTES + 1) * LOG_SECTION_BYTES);
    const bytes = new Uint8Array(to - from);
    await view.read(this.#options.timeline, from, bytes, options);
    if (to === end) await this.#leave(view, end, options);
    return { from, bytes };
  }

  /** Everything. Nothing is known afterwards when nothing follows. */
  async #look(options?: CallOptions): Promise<void> {
    const { repository, assetId, incarnation, timeline, nowMs } = this.#options;
    this.#viewedAtMs = nowMs();
    const view = await LogView.open(repository, assetId, incarnation, options);
    if (view === undefined) return;
    this.#epochs = signature(view.catalogue.epochs);
    const end = view.storedTo(timeline, this.#position);
    if (end > this.#position) this.#known = { view, end };
    else await this.#leave(view, end, options);
  }

  /** From here on by name: where the newest epoch that ends here goes on. */
  async #leave(view: LogView, end: number, options?: CallOptions): Promise<void> {
    this.#known = undefined;
    const { repository, assetId, timeline } = this.#options;
    const last = view.epochs.findLast(({ reader }) => reader.epoch.timeline === timeline && reader.end === end);
    if (last === undefined) return;
    const { epoch } = last.reader.epoch;
    const name = unhex(epoch);
    const keys = {
      metadata: repository.keys.metadataKey(name, assetId),
      data: await repository.keys.dataKey(name, options),
    };
    const { section, range } = last.reader.next;
    this.#cursor = { prefix: epochPrefix(assetId, last.reader.epoch), keys, section, range };
  }

  async #nextObject(options?: CallOptions): Promise<FollowedLog | undefined> {
    const cursor = this.#cursor;
    if (cursor === undefined) return undefined;
    const nextSection = (): void => {
      Object.assign(cursor, { section: cursor.section + LOG_SECTION_BYTES, range: 0 });
    };
    try {
      // Its ranges held all of it.
      if (this.#position === cursor.section + LOG_SECTION_BYTES) nextSection();
      if (!this.#mayHaveMore(rangeKey(cursor.prefix, cursor.section, cursor.range))) return undefined;
      for (;;) {
        const range = await this.#read(rangeKey(cursor.prefix, cursor.section, cursor.range), options);
        if (range !== undefined) cursor.range++;
        // It repeats what those before it hold.
        if (range?.bytes.length === 0) continue;
        const found = range ?? (await this.#read(sectionKey(cursor.prefix, cursor.section), options));
        if (found !== undefined && range === undefined) nextSection();
        if (found === undefined) this.#emptyAtMs = this.#options.nowMs();
        return found;
      }
    } catch (error) {
      // Another epoch may stand in for what does not open.
      if (isFault(error, 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER', 'LOG_GAP')) this.#cursor = undefined;
      throw error;
    }
  }

  #mayHaveMore(key: string): boolean {
    const { recent, nowMs } = this.#options;
    const isNew = recent.count === 0 || recent.count !== this.#told || recent.get(key) !== undefined;
    this.#told = recent.count;
    return isNew || nowMs() - this.#emptyAtMs >= ASK_MS;
  }

  /** What it holds behind our position. */
  async #read(key: string, options?: CallOptions): Promise<FollowedLog | undefined> {
    const { repository, recent } = this.#options;
    const keys = this.#cursor!.keys;
    const kept = recent.get(key);
    let object: OpenedLogObject;
    try {
      object =
        kept === undefined ? await readLogObject(repository, keys, key, options) : openLogObject(repository, keys, key, kept);
    } catch (error) {
      if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
      throw error;
    }
    if (kept === undefined) this.#emptyAtMs = Number.NEGATIVE_INFINITY;
    const { index, bytes } = object;
    if (index.from > this.#position || index.to < this.#position)
      throw new Fault('LOG_GAP', `The log object ${key} begins at ${index.from}, and ${this.#position} was to follow`);
    return { from: this.#position, bytes: bytes.subarray(this.#position - index.from) };
  }

  async #isChanged(options?: CallOptions): Promise<boolean> {
    const { nowMs } = this.#options;
    const now = nowMs();
    if (now - this.#viewedAtMs >= VIEW_MS) return true;
    if (now - this.#askedAtMs < CATALOGUE_MS) return false;
    this.#askedAtMs = now;
    if (signature((await this.#catalogue.read(options)).epochs) === this.#epochs) return false;
    this.#viewedAtMs = Number.NEGATIVE_INFINITY;
    return true;
  }
}

/** What of the catalogue decides where the log goes on. */
function signature(epochs: LogView['catalogue']['epochs']): string {
  return epochs.map(({ epoch, trimmed = 0, lost = [] }) => `${epoch} ${trimmed} ${lost.length}`).join('\n');
}

// An open repository: its keys, its head, its index on local disk, and reading single blocks.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../base/faults.ts';
import type { Derive } from '../codec/derive.ts';
import type { IndexRef, ProcessFacts } from '../format/head.ts';
import type { RepositoryParameters } from '../format/repository-object.ts';
import { type IndexReader, openReader } from '../index/index-reader.ts';
import { LocalIndex } from '../index/local-index.ts';
import type { AcquiredSource } from '../index/run-set.ts';
import { type BlockPlace, newBlockPlace } from '../index/tables.ts';
import type { References } from '../model/reference.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { type BlockFinder, BlockReader } from './block-reader.ts';
import { HeadKeeper } from './head.ts';
import { readableIndexes } from './head-changes.ts';
import { readIndexObject } from './index-objects.ts';
import type { Keyring } from './keyring.ts';
import { hex } from './layout.ts';
import { initRepository, type OpenedRepository, openRepository } from './open.ts';
import { registerCodec } from './register-codec.ts';
import { type Remembered, recall, remember } from './remembered.ts';
import { SessionKeyCache } from './session-keys.ts';

const INDEX_FETCHES_PARALLEL = 8;

export type RepositoryOptions = {
  readonly store: ObjectStore;
  readonly passphrase: Uint8Array;
  /** Of all repositories; made when it is not there. */
  readonly cacheDirectory: string;
  readonly process: ProcessFacts;
  /** Instead of `deriveFromPassphrase`. */
  readonly derive?: Derive;
};

export class Repository implements OpenedRepository {
  readonly store: ObjectStore;
  readonly parameters: RepositoryParameters;
  readonly keyring: Keyring;
  readonly heads: HeadKeeper;
  readonly keys: SessionKeyCache;
  /** Where blocks lie. */
  readonly blocks: BlockFinder;
  readonly reader: BlockReader;
  readonly process: ProcessFacts;
  readonly cacheDirectory: string;
  #index: LocalIndex | undefined;
  #syncing: Promise<void> = Promise.resolve();
  #synced: readonly IndexRef[] | undefined;
  #refreshing: Promise<void> | undefined;
  #acquired: AcquiredSource | undefined;
  #places: IndexReader | undefined;

  private constructor(opened: OpenedRepository, options: RepositoryOptions, sequenceSeen: number) {
    this.store = opened.store;
    this.parameters = opened.parameters;
    this.keyring = opened.keyring;
    this.process = options.process;
    this.cacheDirectory = join(options.cacheDirectory, hex(opened.parameters.id));
    const codec = registerCodec(this.keyring, randomBytes);
    const pause = async (durationMs: number, call?: CallOptions): Promise<void> => {
      await sleep(durationMs, undefined, call?.signal === undefined ? {} : { signal: call.signal });
    };
    this.heads = new HeadKeeper(
      { store: this.store, codec, random: randomBytes, now: () => new Date(), sleep: pause },
      sequenceSeen,
    );
    this.keys = new SessionKeyCache(this.store, this.keyring);
    this.blocks = { find: (id) => this.findPlace(id), refresh: () => this.refreshIndex() };
    this.reader = new BlockReader(this.store, this.keyring, this.keys, this.blocks);
  }

  static async init(options: RepositoryOptions & { readonly label: string }): Promise<Repository> {
    const { store, passphrase, label } = options;
    let repository: Repository | undefined;
    await initRepository(store, { passphrase, label, now: new Date(), random: randomBytes }, async (opened) => {
      repository = new Repository(opened, options, 0);
      return repository.heads.create();
    });
    return repository!;
  }

  static async open(options: RepositoryOptions): Promise<Repository> {
    let remembered: Remembered = {};
    const preferredKey = (repositoryId: string): string | undefined => {
      remembered = recall(join(options.cacheDirectory, repositoryId));
      return remembered.keyId;
    };
    const opened = await openRepository(options.store, options.passphrase, preferredKey, undefined, options.derive);
    return new Repository(opened, options, remembered.sequences?.[options.store.location] ?? 0);
  }

  /** Brings the index on local disk to these index objects. `find` and `source` answer from it afterwards. One at a time: those who ask
   *  meanwhile wait. */
  syncIndex(indexes: readonly IndexRef[], options?: CallOptions): Promise<void> {
    const synced = this.#syncing.then(() => this.#sync(indexes, options));
    this.#syncing = synced.catch(() => {});
    return synced;
  }

  async #sync(indexes: readonly IndexRef[], options?: CallOptions): Promise<void> {
    this.#index ??= await LocalIndex.open({ directory: join(this.cacheDirectory, 'index') });
    const missing = this.#index.retain(indexes.map(({ id }) => id));
    if (missing.length > 0) await this.#index.add(this.#fetch(missing, options));
    const acquired = this.#index.acquire();
    this.#places = await openReader(acquired.source);
    this.#acquired?.release();
    this.#acquired = acquired;
    this.#synced = indexes;
  }

  /** Syncs the index with the head's, once, for reading. */
  async openIndex(options?: CallOptions): Promise<void> {
    if (this.#synced === undefined) await this.#syncWithHead(options);
  }

  /** Brings the index to the head as it is now. Those who ask at the same time share one look. */
  refreshIndex(options?: CallOptions): Promise<void> {
    this.#refreshing ??= this.#syncWithHead(options).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** The index as workers open it; held until the next sync or the end. */
  get source(): AcquiredSource['source'] | undefined {
    return this.#acquired?.source;
  }

  /** Where a block lies; undefined when it is in no pack of the index. */
  findPlace(blockId: Uint8Array): BlockPlace | undefined {
    const place = newBlockPlace();
    return this.#places?.block(blockId, place) === true ? place : undefined;
  }

  readonly readNode = (reference: References): Promise<Uint8Array> => this.reader.read(reference);

  async close(): Promise<void> {
    remember(
      this.cacheDirectory,
      { keyId: this.keyring.keyId, location: this.store.location, sequence: this.heads.sequenceSeen },
      process.pid,
    );
    this.#acquired?.release();
    this.#acquired = undefined;
    await this.#index?.close();
    await this.store.close();
  }

  /** A prune may take an index object away between a look at the head and its reading: then the head names others. */
  async #syncWithHead(options?: CallOptions): Promise<void> {
    for (let before: readonly IndexRef[] | undefined; ; ) {
      const indexes = readableIndexes(await this.heads.read(options));
      if (this.#synced !== undefined && areSame(indexes, this.#synced)) return;
      try {
        await this.syncIndex(indexes, options);
        return;
      } catch (error) {
        if (!isFault(error, 'STORE_NOT_FOUND') || (before !== undefined && areSame(indexes, before))) throw error;
        before = indexes;
      }
    }
  }

  async *#fetch(
    ids: readonly string[],
    options?: CallOptions,
  ): AsyncGenerator<{ readonly id: string; readonly packs: Awaited<ReturnType<typeof readIndexObject>> }> {
    const ahead: Promise<{ id: string; packs: Awaited<ReturnType<typeof readIndexObject>> }>[] = [];
    let next = 0;
    const start = (): void => {
      const id = ids[next++]!;
      const one = readIndexObject(this.store, id, this.keyring, options).then((packs) => ({ id, packs }));
      one.catch(() => {});
      ahead.push(one);
    };
    while (next < ids.length || ahead.length > 0) {
      while (next < ids.length && ahead.length < INDEX_FETCHES_PARALLEL) start();
      yield await ahead.shift()!;
    }
  }
}

function areSame(some: readonly IndexRef[], others: readonly IndexRef[]): boolean {
  const ids = new Set(some.map(({ id }) => id));
  return some.length === others.length && others.every(({ id }) => ids.has(id));
}

// The index of one tenant's repository on local disk, for the sessions of its agents.
//
// What a session may refer to is the live index of a head in which it was among the writers (src/repository/README.md), so each session
// holds the state that it learned, as long as it runs, whatever others learn meanwhile. States that are held stay readable although newer
// ones replace them on disk.

import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
import type { IndexRef } from '../format/head.ts';
import { type IndexReader, openReader } from '../index/index-reader.ts';
import { LocalIndex } from '../index/local-index.ts';
import { readIndexObject } from '../repository/index-objects.ts';
import type { Repository } from '../repository/repository.ts';

const FETCHES_AHEAD = 4;
const ATTEMPTS_MAX = 10;

export type HeldIndex = {
  readonly reader: IndexReader;
  /** It names no chunk. */
  readonly isEmpty: boolean;
  readonly release: () => void;
};

/** One for each opened repository. */
export class SessionIndexes {
  readonly #of = new WeakMap<Repository, SessionIndex>();

  of(repository: Repository): SessionIndex {
    let index = this.#of.get(repository);
    if (index === undefined) {
      index = new SessionIndex(repository);
      this.#of.set(repository, index);
    }
    return index;
  }
}

export class SessionIndex {
  readonly #repository: Repository;
  #index: Promise<LocalIndex> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #holders = 0;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** Exactly these index objects. To be released. */
  hold(indexes: readonly IndexRef[]): Promise<HeldIndex> {
    this.#holders++;
    const held = this.#turn.then(() => this.#hold(indexes));
    this.#turn = held.catch(() => this.#released());
    return held;
  }

  async #hold(indexes: readonly IndexRef[]): Promise<HeldIndex> {
    this.#index ??= LocalIndex.open({ directory: join(this.#repository.cacheDirectory, 'index') });
    const index = await this.#index;
    const ids = indexes.map(({ id }) => id);
    // Others who use the same files, with another state in mind, may take away what was added until it is acquired.
    for (let attempt = 1, missing = index.retain(ids); missing.length > 0; attempt++, missing = index.retain(ids)) {
      if (attempt > ATTEMPTS_MAX)
        throw new Fault('REPOSITORY_BUSY', `The local index of ${this.#repository.store.location} is changed by too many at once`);
      await index.add(this.#fetch(missing));
    }
    const { source, release } = index.acquire();
    const reader = await openReader(source);
    let isHeld = true;
    return {
      reader,
      isEmpty: source.chunks.every(({ records }) => records === 0),
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        release();
        this.#released();
      },
    };
  }

  /** Memory and files are for those who need them. */
  #released(): void {
    if (--this.#holders > 0) return;
    const index = this.#index;
    this.#index = undefined;
    this.#turn = this.#turn.then(async () => (await index)?.close()).catch(() => {});
  }

  async *#fetch(ids: readonly string[]): AsyncGenerator<{ id: string; packs: Awaited<ReturnType<typeof readIndexObject>> }> {
    const { store, keyring } = this.#repository;
    const ahead: Promise<{ id: string; packs: Awaited<ReturnType<typeof readIndexObject>> }>[] = [];
    for (let next = 0; next < ids.length || ahead.length > 0; ) {
      while (next < ids.length && ahead.length < FETCHES_AHEAD) {
        const id = ids[next++]!;
        const one = readIndexObject(store, id, keyring).then((packs) => ({ id, packs }));
        one.catch(() => {});
        ahead.push(one);
      }
      yield await ahead.shift()!;
    }
  }
}

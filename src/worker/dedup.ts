// Which chunks are in the repository already: those that this backup made (a table shared by its workers) and those of the index as it
// was when the backup began (files on local disk). Best effort: a miss costs room, never data.

import { ID_BYTES } from '../codec/chunk-id.ts';
import { SESSION_BYTES } from '../format/pack.ts';

/** Ids of one question. */
export const ASK_IDS_MAX = 2048;

/** Where a known chunk lies. Filled by `find`. */
export type Found = { readonly block: Uint8Array; offset: number; length: number };

export function newFound(): Found {
  return { block: new Uint8Array(16), offset: 0, length: 0 };
}

export type SessionHit = { counter: number; offset: number; length: number };

/** Chunks that the running session made, by the counter of their block. */
export type SessionChunks = {
  readonly findOrInsert: (
    id: Uint8Array,
    counter: number,
    offset: number,
    length: number,
    hit: SessionHit,
  ) => 'found' | 'inserted' | 'refused';
};

/** What is on its way. Names are those of ids that are asked for, latin1; no question when there is none. */
export type Asked = { readonly question: number | undefined; readonly names: readonly string[] };

/** Chunks of the repository. */
export type KnownChunks = {
  readonly chunk: (id: Uint8Array, found: Found) => boolean;
  /** Where asking takes a while: `chunk` knows of those only that were asked for before, many at once. */
  readonly begin?: (ids: Uint8Array, count: number, isAwaited: boolean) => Asked;
  readonly finish?: (asked: Asked) => void;
};

export class Dedup {
  readonly #session: Uint8Array;
  #made: SessionChunks;
  #known: KnownChunks | undefined;
  readonly #hit: SessionHit = { counter: 0, offset: 0, length: 0 };

  constructor(session: Uint8Array, made: SessionChunks, known: KnownChunks | undefined) {
    this.#session = session;
    this.#made = made;
    this.#known = known;
  }

  /** Ids must be given to `ask`, many at once, before `find` is asked for them. */
  get isAsked(): boolean {
    return this.#known?.begin !== undefined;
  }

  ask(ids: Uint8Array, count: number): void {
    for (let from = 0; from < count; from += ASK_IDS_MAX) {
      const some = Math.min(ASK_IDS_MAX, count - from);
      this.finish(this.begin(ids.subarray(from * ID_BYTES, (from + some) * ID_BYTES), some, false));
    }
  }

  /** As `ask`, but leaves waiting to `finish`. */
  begin(ids: Uint8Array, count: number, isAwaited: boolean): Asked {
    return this.#known?.begin?.(ids, count, isAwaited) ?? { question: undefined, names: [] };
  }

  finish(asked: Asked): void {
    this.#known?.finish?.(asked);
  }

  /** Goes on with a fresh table; what the old one knew is in `known` now. */
  exchange(made: SessionChunks, known: KnownChunks | undefined): void {
    this.#made = made;
    this.#known = known;
  }

  /** True when the chunk is known, and then `found` says where. Otherwise the caller must keep it at `counter`, `offset`: others may
   *  already refer to it there. */
  find(id: Uint8Array, counter: number, offset: number, length: number, found: Found): boolean {
    if (this.#known?.chunk(id, found) && found.length === length) return true;
    const hit = this.#hit;
    if (this.#made.findOrInsert(id, counter, offset, length, hit) !== 'found' || hit.length !== length) return false;
    found.block.set(this.#session);
    writeCounter(found.block, SESSION_BYTES, hit.counter);
    found.offset = hit.offset;
    found.length = hit.length;
    return true;
  }
}

/** Six bytes, big-endian. */
export function writeCounter(target: Uint8Array, at: number, counter: number): void {
  for (let i = 5, rest = counter; i >= 0; i--, rest = Math.floor(rest / 256)) target[at + i] = rest % 256;
}

// Blocks of a repository whose index is at the service. Places are learned many at a time, ahead of the need: whoever reads a node learns
// where the blocks lie that it refers to, so that those who then look them up one by one find them here.
//
// Bytes come by ranges as those who read packs ask for them. Of a range only the blocks are fetched whose places are known, each run of
// neighbours by a request of its own that the service has signed; the gaps stay zero.

import { Fault, isFault } from '../base/faults.ts';
import type { BlockPlace } from '../index/tables.ts';
import { decodePlaces, BLOCK_ID_BYTES as ID_BYTES } from '../protocol/presence-codec.ts';
import { OutcomeAnswer, PLACE_IDS_MAX, RANGES_MAX, ReadsAnswer } from '../protocol/session-messages.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import { hex } from '../repository/layout.ts';
import type { ByteRange, CallOptions, ObjectStore } from '../store/object-store.ts';
import type { ServiceClient } from './service-client.ts';
import type { StoreClient } from './store-client.ts';

/** Places that are remembered, at least half of these. */
const REMEMBERED_MAX = 512 * 1024;
const GRANT_ATTEMPTS_MAX = 5;

export type BlockPaths = { readonly places: string; readonly reads: string; readonly refresh: string };

type Known = {
  /** By block id, latin1; undefined where it is nowhere. */
  readonly places: Map<string, BlockPlace | undefined>;
  /** Of each pack (hex): block ids by offset. */
  readonly packs: Map<string, Map<number, Uint8Array>>;
};

type Run = { readonly ids: Uint8Array[]; readonly offset: number; length: number };

export class RemoteBlocks implements BlockFinder {
  readonly #client: ServiceClient;
  readonly #store: StoreClient;
  readonly #paths: BlockPaths;
  readonly #signal: AbortSignal;
  #recent: Known = { places: new Map(), packs: new Map() };
  #older: Known = { places: new Map(), packs: new Map() };

  constructor(client: ServiceClient, store: StoreClient, paths: BlockPaths, signal: AbortSignal) {
    this.#client = client;
    this.#store = store;
    this.#paths = paths;
    this.#signal = signal;
  }

  readonly find = (id: Uint8Array): BlockPlace | undefined => {
    const name = nameOf(id);
    return this.#recent.places.has(name) ? this.#recent.places.get(name) : this.#older.places.get(name);
  };

  /** Makes `find` know of these (16 bytes each). */
  async learn(ids: Uint8Array): Promise<void> {
    const unknown: Uint8Array[] = [];
    const seen = new Set<string>();
    for (let at = 0; at < ids.length; at += ID_BYTES) {
      const id = ids.slice(at, at + ID_BYTES);
      const name = nameOf(id);
      if (seen.has(name) || this.#recent.places.has(name)) continue;
      seen.add(name);
      unknown.push(id);
    }
    for (let from = 0; from < unknown.length; from += PLACE_IDS_MAX) await this.#ask(unknown.slice(from, from + PLACE_IDS_MAX));
  }

  /** Looks where blocks lie now. */
  readonly refresh = async (): Promise<void> => {
    await this.#client.say(this.#paths.refresh, {}, OutcomeAnswer, this.#signal);
    const known = [...this.#recent.places.keys(), ...this.#older.places.keys()];
    this.#recent = { places: new Map(), packs: new Map() };
    this.#older = { places: new Map(), packs: new Map() };
    await this.learn(Buffer.from(known.join(''), 'latin1'));
  };

  /** A range of a pack, as far as its blocks are known. */
  async read(packId: string, { offset, length }: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    const signal = options?.signal ?? this.#signal;
    const runs = this.#runsOf(packId, offset, length);
    const bytes = new Uint8Array(length);
    await Promise.all(
      Array.from({ length: Math.ceil(runs.length / RANGES_MAX) }, (_, i) =>
        this.#fetch(packId, runs.slice(i * RANGES_MAX, (i + 1) * RANGES_MAX), bytes, offset, signal),
      ),
    );
    return bytes;
  }

  /** For those who read packs of a store: `get` of ranges, and nothing else. */
  asStore(): ObjectStore {
    const refuse = async (): Promise<never> => {
      throw new Fault('STORE_DENIED', 'An agent only reads ranges of packs that were granted to it');
    };
    return {
      location: 'the service',
      get: (key, range, options) => (range === undefined ? refuse() : this.read(packOf(key), range, options)),
      put: refuse,
      size: refuse,
      delete: refuse,
      read: refuse,
      swap: refuse,
      probe: refuse,
      list: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
      close: async () => {},
    };
  }

  async #fetch(packId: string, runs: readonly Run[], target: Uint8Array, begin: number, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#client.repeat(() => this.#fetchOnce(packId, runs, target, begin, signal), signal);
        return;
      } catch (error) {
        // Too old by the time it was sent: a new one is made.
        if (!isFault(error, 'GRANT_REFUSED') || attempt >= GRANT_ATTEMPTS_MAX) throw error;
      }
    }
  }

  async #fetchOnce(packId: string, runs: readonly Run[], target: Uint8Array, begin: number, signal: AbortSignal): Promise<void> {
    const ranges = runs.map(({ ids }) => Buffer.concat(ids).toString('base64'));
    const { reads } = await this.#client.say(this.#paths.reads, { ranges }, ReadsAnswer, signal);
    await Promise.all(
      runs.map(async (run, i) => {
        const read = reads[i];
        if (read === undefined || read === null || read.pack !== packId || read.offset !== run.offset || read.length !== run.length)
          throw new Fault('STORE_NOT_FOUND', `Blocks of the pack ${packId} do not lie there any more`);
        target.set(await this.#store.get(read.request, run.length, signal), run.offset - begin);
      }),
    );
  }

  /** The known blocks of a range, neighbours together. */
  #runsOf(packId: string, offset: number, length: number): Run[] {
    const runs: Run[] = [];
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const id = this.#recent.packs.get(packId)?.get(at) ?? this.#older.packs.get(packId)?.get(at);
      const place = id === undefined ? undefined : this.find(id);
      if (id === undefined || place === undefined) {
        at = this.#nextKnown(packId, at, end);
        continue;
      }
      const last = runs.at(-1);
      if (last !== undefined && last.offset + last.length === at) {
        last.ids.push(id);
        last.length += place.storedLength;
      } else runs.push({ ids: [id], offset: at, length: place.storedLength });
      at += place.storedLength;
    }
    if (runs.length === 0) throw new Fault('STORE_NOT_FOUND', `Nothing is known of the pack ${packId} at ${offset}`);
    return runs;
  }

  #nextKnown(packId: string, after: number, end: number): number {
    let next = end;
    for (const { packs } of [this.#recent, this.#older])
      for (const offset of packs.get(packId)?.keys() ?? []) if (offset > after && offset < next) next = offset;
    return next;
  }

  async #ask(ids: readonly Uint8Array[]): Promise<void> {
    const answer = await this.#client.ask(this.#paths.places, Buffer.concat(ids), this.#signal);
    const places = decodePlaces(answer, ids.length);
    ids.forEach((id, i) => {
      const place = places[i];
      this.#recent.places.set(nameOf(id), place);
      if (place === undefined) return;
      const pack = hex(place.pack);
      let blocks = this.#recent.packs.get(pack);
      if (blocks === undefined) {
        blocks = new Map();
        this.#recent.packs.set(pack, blocks);
      }
      blocks.set(place.offset, id);
    });
    if (this.#recent.places.size < REMEMBERED_MAX / 2) return;
    this.#older = this.#recent;
    this.#recent = { places: new Map(), packs: new Map() };
  }
}

function nameOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, ID_BYTES).toString('latin1');
}

/** "packs/ab/abcd..." -> "abcd..." */
function packOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

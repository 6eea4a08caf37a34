// Damaged packs, one by one: from another copy of the repository if there is one, otherwise the blocks of it that are good.

import { isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { bytesEqual } from '../model/reference.ts';
import { hex, packKey } from '../repository/layout.ts';
import type { PackMover } from '../repository/pack-mover.ts';
import type { Repository } from '../repository/repository.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { BlockOpener } from '../worker/block-opener.ts';
import { PackRange } from '../worker/restore-job.ts';
import { PackVerifier } from '../worker/verify-job.ts';
import { isDamage } from './verify-structure.ts';

const NO_KEY = new Uint8Array(32);

export type Salvaged =
  /** It was read well this time, or the other copy had it and it was missing here: it stays. */
  | { readonly kind: 'good'; readonly isFetched: boolean }
  /** Its good blocks are in new packs. */
  | { readonly kind: 'moved'; readonly isFetched: boolean; readonly blocksSaved: number; readonly blocksLost: number };

export class Salvager {
  readonly #repository: Repository;
  readonly #from: ObjectStore | undefined;
  readonly #mover: PackMover;
  readonly #call: CallOptions | undefined;
  readonly #opener = new BlockOpener();
  readonly #verifier: PackVerifier;

  constructor(repository: Repository, from: ObjectStore | undefined, mover: PackMover, call?: CallOptions) {
    this.#repository = repository;
    this.#from = from;
    this.#mover = mover;
    this.#call = call;
    this.#verifier = new PackVerifier(repository.keyring.payload.idKey, this.#opener, new PackRange());
  }

  async salvage(pack: IndexedPack): Promise<Salvaged> {
    const { store } = this.#repository;
    const here = await readOr(store, pack, this.#call);
    const bad = here === undefined ? undefined : await this.#badBlocks(pack, here);
    // Read once more, it may be whole: then it was the way, not the pack.
    if (here !== undefined && isNamed(pack, here) && bad!.size === 0) return { kind: 'good', isFetched: false };
    const there = this.#from === undefined ? undefined : await readOr(this.#from, pack, this.#call);
    if (there !== undefined && isNamed(pack, there)) {
      // Where nothing is in the way the same object can be made again; what is damaged is never overwritten.
      if (here === undefined && (await store.put(packKey(pack.packId), there, this.#call)) === 'created')
        return { kind: 'good', isFetched: true };
      return this.#move(pack, there, await this.#badBlocks(pack, there), true);
    }
    return this.#move(pack, here ?? new Uint8Array(0), bad ?? (await this.#badBlocks(pack, new Uint8Array(0))), false);
  }

  close(): void {
    this.#opener.close();
  }

  async #move(pack: IndexedPack, bytes: Uint8Array, bad: ReadonlySet<string>, isFetched: boolean): Promise<Salvaged> {
    const directory = directoryOf(pack);
    const good = directory.blocks.flatMap(({ id, rawLength }, position) =>
      bad.has(hex(id)) ? [] : [{ position, ranges: [0, rawLength] }],
    );
    await this.#mover.move({ bytes, kind: pack.kind, directory }, good, false);
    return { kind: 'moved', isFetched, blocksSaved: good.length, blocksLost: directory.blocks.length - good.length };
  }

  /** Hex ids. */
  async #badBlocks(pack: IndexedPack, bytes: Uint8Array): Promise<Set<string>> {
    const { sessions } = directoryOf(pack);
    const keys = await Promise.all(sessions.map(({ session, assetId }) => this.#keyOf(pack, session, assetId)));
    const { unitBytes } = this.#repository.parameters.paged;
    const { packId, packLength, directory } = pack;
    const { damaged } = this.#verifier.run({ kind: 'verify', pack: { bytes }, packId, packLength, directory, keys, unitBytes });
    return new Set(damaged.map(({ block }) => hex(block)));
  }

  async #keyOf(pack: IndexedPack, session: Uint8Array, assetId: Uint8Array): Promise<Uint8Array> {
    const { keys } = this.#repository;
    if (pack.kind === 'metadata') return keys.metadataKey(session, assetId);
    try {
      return await keys.dataKey(session, this.#call);
    } catch (error) {
      // Sealed to a pair that this key does not hold: another key may open it, so nothing of it is lost.
      if (!isDamage(error) || isFault(error, 'KEY_NOT_FOUND')) throw error;
      return NO_KEY;
    }
  }
}

const isNamed = (pack: IndexedPack, bytes: Uint8Array): boolean =>
  bytes.length === pack.packLength && bytesEqual(objectId(bytes), pack.packId);

/** One byte more than it should have tells one that has grown, be it by a terabyte: its blocks lie where they did. */
async function readOr(
  store: ObjectStore,
  { packId, packLength }: IndexedPack,
  call?: CallOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await store.get(packKey(packId), { offset: 0, length: packLength + 1 }, call);
  } catch (error) {
    if (isFault(error, 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER')) return undefined;
    throw error;
  }
}

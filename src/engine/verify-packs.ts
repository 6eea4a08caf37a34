// Proves packs: read whole, by workers, a bounded number at a time.

import { objectId } from '../codec/chunk-id.ts';
import type { IndexRef } from '../format/head.ts';
import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { readIndexes } from '../repository/index-stream.ts';
import { hex } from '../repository/layout.ts';
import { lookAnew } from '../repository/read-anew.ts';
import type { Repository } from '../repository/repository.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { ReadAnswer } from '../worker/read-task.ts';
import { ReadingPool, type ReadThreads } from './reading-pool.ts';
import type { DamageList, VerifyProgress } from './verify-report.ts';
import { isDamage } from './verify-structure.ts';

const NO_KEY = new Uint8Array(32);

export type PackSelection = {
  readonly indexes: readonly IndexRef[];
  readonly isWanted: (pack: IndexedPack) => boolean;
  readonly threads: number;
  readonly readThreads?: ReadThreads | undefined;
};

export type ReadPacks = { readonly packsRead: number; readonly bytesRead: number };

/** Of every `1 / share` packs one, others for each seed: seeds that follow each other cover all packs in turn. */
export function sampleOf(share: number, seed: number): (pack: Pick<IndexedPack, 'packId'>) => boolean {
  const begin = (seed * share) % 1;
  return ({ packId: id }) => {
    const point = (((id[0]! << 24) | (id[1]! << 16) | (id[2]! << 8) | id[3]!) >>> 0) / 2 ** 32;
    return (point - begin + 1) % 1 < share;
  };
}

/** As `sampleOf`, for objects that are not named by their bytes. */
export function sampleOfKeys(share: number, seed: number): (key: string) => boolean {
  const isInSample = sampleOf(share, seed);
  return (key) => isInSample({ packId: objectId(Buffer.from(key)) });
}

export async function verifyPacks(
  repository: Repository,
  selection: PackSelection,
  damage: DamageList,
  progress: VerifyProgress,
  options?: CallOptions,
): Promise<ReadPacks> {
  const { indexes, isWanted, threads, readThreads } = selection;
  const signal = options?.signal ?? new AbortController().signal;
  const spec = { idKey: repository.keyring.payload.idKey, target: undefined };
  const pool = new ReadingPool(repository.store, threads, spec, signal, readThreads);
  const keys = new KeyFinder(repository, damage, options);
  let packsRead = 0;
  let bytesRead = 0;
  try {
    for await (const { packs } of readIndexes(repository, indexes, options)) {
      for (const pack of packs) {
        if (!isWanted(pack)) continue;
        await pool.start(async () => {
          const bytes = await verifyPack(repository, pool, keys, pack, damage);
          bytesRead += bytes;
          packsRead++;
          progress.packsDone++;
          progress.bytesDone += pack.packLength;
        });
      }
    }
    await pool.drain();
    return { packsRead, bytesRead };
  } finally {
    await pool.close();
  }
}

async function verifyPack(
  { parameters }: Repository,
  pool: ReadingPool,
  keys: KeyFinder,
  pack: IndexedPack,
  damage: DamageList,
): Promise<number> {
  const { packId, packLength, kind, directory } = pack;
  const id = hex(packId);
  if (damage.missing.has(id)) return 0;
  try {
    const { sessions } = directoryOf(pack);
    const look = async (): Promise<ReadAnswer> =>
      pool.run({
        kind: 'verify',
        pack: await pool.packBytes(packId, 0, packLength),
        // Copies: with a view the whole index object would travel to the worker.
        packId: packId.slice(),
        packLength,
        directory: directory.slice(),
        keys: await Promise.all(sessions.map(({ session, assetId }) => keys.find(kind, session, assetId))),
        unitBytes: parameters.paged.unitBytes,
      });
    const answer = await lookAnew(look, (seen) => seen.kind !== 'verify' || (seen.nameHolds && seen.damaged.length === 0));
    if (answer.kind !== 'verify') return 0;
    if (!answer.nameHolds && !damage.packs.has(id))
      damage.add({ kind: 'pack', id, message: 'its bytes are not those that its name says' });
    for (const { block, message } of answer.damaged) damage.add({ kind: 'block', id: hex(block), pack: id, message });
    return answer.bytes;
  } catch (error) {
    if (!isDamage(error)) throw error;
    damage.add({ kind: 'pack', id, message: (error as Error).message });
    for (const block of directoryOf(pack).blocks) damage.blocks.add(hex(block.id));
    return 0;
  }
}

/** Keys of sessions; one that is lost is reported once, and blocks that it sealed are found not to open. */
class KeyFinder {
  readonly #repository: Repository;
  readonly #damage: DamageList;
  readonly #options: CallOptions | undefined;
  readonly #lost = new Set<string>();

  constructor(repository: Repository, damage: DamageList, options: CallOptions | undefined) {
    this.#repository = repository;
    this.#damage = damage;
    this.#options = options;
  }

  async find(kind: IndexedPack['kind'], session: Uint8Array, assetId: Uint8Array): Promise<Uint8Array> {
    const { keys } = this.#repository;
    if (kind === 'metadata') return keys.metadataKey(session, assetId);
    const name = hex(session);
    if (this.#lost.has(name)) return NO_KEY;
    try {
      return await keys.dataKey(session, this.#options);
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (!this.#lost.has(name)) this.#damage.add({ kind: 'session-key', id: name, message: (error as Error).message });
      this.#lost.add(name);
      return NO_KEY;
    }
  }
}

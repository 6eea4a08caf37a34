// Proving a pack in a worker: its bytes are those that its name says, every block opens, every extent is what its id says.

import { IdHasher, ObjectHasher } from '../codec/chunk-id.ts';
import { decodeDirectory, EXTENT_GROUP, type Extent, type PackBlock } from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import type { BlockOpener } from './block-opener.ts';
import type { VerifyAnswer, VerifyJob } from './read-task.ts';
import type { PackRange } from './restore-job.ts';

/** A pack is read in pieces of about this size: memory is not that of a pack. */
const PIECE_BYTES = 512 * 1024;
const GROUP_CONTEXT = Buffer.from('group\0', 'latin1');

export class PackVerifier {
  readonly #ids: IdHasher;
  readonly #name = new ObjectHasher();
  readonly #opener: BlockOpener;
  readonly #range: PackRange;
  #block = new Uint8Array(1024 * 1024);

  constructor(idKey: Uint8Array, opener: BlockOpener, range: PackRange) {
    this.#ids = new IdHasher(idKey);
    this.#opener = opener;
    this.#range = range;
  }

  run(job: VerifyJob): VerifyAnswer {
    const { packId, packLength } = job;
    const answer = { kind: 'verify' as const, bytes: 0, nameHolds: false, damaged: [] as { block: Uint8Array; message: string }[] };
    const take = (offset: number, length: number): Uint8Array => {
      const piece =
        'bytes' in job.pack ? job.pack.bytes.subarray(offset, offset + length) : this.#range.read(job.pack.path, offset, length);
      this.#name.update(piece);
      answer.bytes += piece.length;
      return piece;
    };
    try {
      const end = job.directory === undefined ? 0 : this.#proveBlocks(job, take, answer.damaged);
      // The rest: directory and trailer, and what must not be behind them.
      for (let at = end; at < packLength + 1 && at === answer.bytes; at += PIECE_BYTES)
        take(at, Math.min(PIECE_BYTES, packLength + 1 - at));
    } finally {
      this.#range.close();
      answer.nameHolds = bytesEqual(this.#name.id(), packId) && answer.bytes === packLength;
    }
    return answer;
  }

  /** Answers where the blocks end. */
  #proveBlocks(
    job: VerifyJob,
    take: (offset: number, length: number) => Uint8Array,
    damaged: { block: Uint8Array; message: string }[],
  ): number {
    const { blocks } = decodeDirectory(job.directory!);
    let end = 0;
    for (let from = 0; from < blocks.length; ) {
      const begin = blocks[from]!.offset;
      let to = from;
      for (end = begin; to < blocks.length && (to === from || end + blocks[to]!.storedLength - begin <= PIECE_BYTES); to++)
        end += blocks[to]!.storedLength;
      const piece = take(begin, end - begin);
      for (const block of blocks.slice(from, to)) {
        const message = this.#prove(block, piece.subarray(block.offset - begin, block.offset - begin + block.storedLength), job);
        if (message !== undefined) damaged.push({ block: block.id, message });
      }
      from = to;
    }
    return end;
  }

  /** What is wrong with the block. */
  #prove(block: PackBlock, sealed: Uint8Array, { keys, unitBytes, pack }: VerifyJob): string | undefined {
    if (this.#block.length < block.rawLength) this.#block = new Uint8Array(block.rawLength);
    const isOpen =
      sealed.length === block.storedLength &&
      this.#opener.open(this.#block, sealed, { ...block, key: keys[block.sealedBy]! }, 'path' in pack);
    if (!isOpen) return 'it does not open';
    return block.extents.every((extent) => this.#holds(extent, unitBytes)) ? undefined : 'an extent is not what its id says';
  }

  #holds(extent: Extent, unitBytes: number): boolean {
    const bytes = this.#block.subarray(extent.offset, extent.offset + extent.length);
    if (extent.kind !== EXTENT_GROUP) return bytesEqual(this.#ids.id(bytes), extent.id);
    const digests: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += unitBytes)
      digests.push(this.#ids.id(bytes.subarray(at, at + unitBytes)).subarray(0, 16));
    return bytesEqual(this.#ids.idOf(GROUP_CONTEXT, ...digests), extent.id);
  }
}

// Proving a pack in a worker: its bytes are those that its name says, every block opens, every extent is what its id says.

import { IdHasher, objectId } from '../codec/chunk-id.ts';
import { decodeDirectory, EXTENT_GROUP, type Extent } from '../format/pack.ts';
import { bytesEqual } from '../model/reference.ts';
import type { BlockOpener } from './block-opener.ts';
import type { VerifyAnswer, VerifyJob } from './read-task.ts';
import type { PackRange } from './restore-job.ts';

const GROUP_CONTEXT = Buffer.from('group\0', 'latin1');

export class PackVerifier {
  readonly #ids: IdHasher;
  readonly #opener: BlockOpener;
  readonly #range: PackRange;
  #block = new Uint8Array(1024 * 1024);

  constructor(idKey: Uint8Array, opener: BlockOpener, range: PackRange) {
    this.#ids = new IdHasher(idKey);
    this.#opener = opener;
    this.#range = range;
  }

  run(job: VerifyJob): VerifyAnswer {
    const bytes = 'bytes' in job.pack ? job.pack.bytes : this.#range.read(job.pack.path, 0, job.packLength + 1);
    const nameHolds = bytes.length === job.packLength && bytesEqual(objectId(bytes), job.packId);
    const damaged: { block: Uint8Array; message: string }[] = [];
    if (job.directory !== undefined) {
      for (const block of decodeDirectory(job.directory).blocks) {
        if (this.#block.length < block.rawLength) this.#block = new Uint8Array(block.rawLength);
        const sealed = bytes.subarray(block.offset, block.offset + block.storedLength);
        const key = job.keys[block.sealedBy]!;
        if (sealed.length !== block.storedLength || !this.#opener.open(this.#block, sealed, { ...block, key })) {
          damaged.push({ block: block.id, message: 'it does not open' });
        } else if (!block.extents.every((extent) => this.#holds(extent, job.unitBytes))) {
          damaged.push({ block: block.id, message: 'an extent is not what its id says' });
        }
      }
    }
    return { kind: 'verify', bytes: bytes.length, nameHolds, damaged };
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

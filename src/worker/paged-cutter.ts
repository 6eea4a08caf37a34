// Reads a volume or a paged file by position: zero units cost nothing, units that are as in the parent's map keep its reference, the new
// ones of a group of neighbours are stored together and known to the index as one. So the unit of dedup is 16 KiB while the index grows by
// one entry in 256 KiB, and what is compressed together is still a block of up to 1 MiB. Of a volume, long runs of new units are cut by
// content instead (volume-cutter.ts).

import { DIGEST_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import type { Chunker } from '../codec/chunker.ts';
import type { Holes } from '../files/sparse.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import type { Dedup } from './dedup.ts';
import type { FileTask, PagedLeaf } from './file-task.ts';
import { LeafBuilder } from './leaf-builder.ts';
import type { PackWriter } from './pack-writer.ts';
import { type ReadAt, readZeroed } from './read-at.ts';
import { UnitGroups } from './unit-groups.ts';
import { VolumeCutter } from './volume-cutter.ts';

const READ_BYTES = 1024 * 1024;

export type PagedCut = { readonly leaves: PagedLeaf[]; readonly bytesRead: number };

export class PagedCutter {
  readonly #paged: PagedChunking;
  readonly #ids: IdHasher;
  readonly #isZero: (bytes: Uint8Array) => boolean;
  readonly #buffer: Uint8Array;
  readonly #groups: UnitGroups;
  readonly #volume: VolumeCutter;
  readonly #isAsked: boolean;
  #zeroBytes = 0;
  /** Of the buffer: what planned groups stand in. */
  #filled = 0;

  /** The chunker's window is lent: at least one group long, a multiple of the group's length. */
  constructor(
    paged: PagedChunking,
    chunker: Chunker,
    session: Uint8Array,
    ids: IdHasher,
    dedup: Dedup,
    packs: PackWriter,
    isZero: (bytes: Uint8Array) => boolean,
  ) {
    const { groupUnits, unitBytes } = paged;
    const buffer = chunker.window;
    const plannedMax = dedup.isAsked ? Math.floor(buffer.length / (groupUnits * unitBytes)) : 1;
    this.#paged = paged;
    this.#buffer = buffer;
    this.#ids = ids;
    this.#isZero = isZero;
    this.#isAsked = dedup.isAsked;
    this.#groups = new UnitGroups({ groupUnits, plannedMax, buffer, session, ids, dedup, packs });
    this.#volume = new VolumeCutter({ paged, chunker, session, ids, dedup, packs, isZero, groups: this.#groups });
  }

  get chunks(): number {
    return this.#groups.chunks + this.#volume.runs.chunks;
  }

  get newChunks(): number {
    return this.#groups.newChunks + this.#volume.runs.newChunks;
  }

  get newBytes(): number {
    return this.#groups.newBytes + this.#volume.runs.newBytes;
  }

  get zeroBytes(): number {
    return this.#zeroBytes + this.#volume.zeroBytes;
  }

  /** `holes`: of the file, where it has some; all of a leaf in one is not even looked at. */
  cut(read: ReadAt, task: FileTask, holes?: Holes): PagedCut {
    const builders = leafBuilders(task, this.#paged.unitBytes);
    if (holes?.cover(task.offset, task.offset + task.length) === true) {
      this.#zeroBytes += task.length;
      return { leaves: builders.map((builder) => builder.finish()), bytesRead: task.length };
    }
    const bytesRead =
      task.cut === 'volume' && task.changedUnits === undefined
        ? this.#volume.cut(read, task, builders)
        : this.#cutByPosition(read, task, builders);
    return { leaves: builders.map((builder) => builder.finish()), bytesRead };
  }

  #cutByPosition(read: ReadAt, task: FileTask, builders: readonly LeafBuilder[]): number {
    const leafBytes = UNITS_PER_LEAF * this.#paged.unitBytes;
    let bytes = 0;
    for (const [i, builder] of builders.entries()) {
      const offset = task.offset + i * leafBytes;
      const length = Math.min(leafBytes, task.length - i * leafBytes);
      const changed = task.changedUnits?.[i] ?? undefined;
      bytes +=
        changed === undefined
          ? this.#cutWhole(builder, read, offset, length)
          : this.#cutChanged(builder, read, offset, length, changed);
    }
    this.#groups.store();
    this.#filled = 0;
    return bytes;
  }

  /** Where `length` bytes can be read to. Where the index must be asked, groups gather in the buffer before that is done. */
  #roomFor(length: number): number {
    if (!this.#isAsked) return 0;
    if (this.#filled + length > this.#buffer.length) {
      this.#groups.store();
      this.#filled = 0;
    }
    const at = this.#filled;
    this.#filled += length;
    return at;
  }

  #cutWhole(builder: LeafBuilder, read: ReadAt, offset: number, length: number): number {
    const groupBytes = this.#paged.groupUnits * this.#paged.unitBytes;
    const readBytes = Math.max(groupBytes, Math.floor(Math.min(READ_BYTES, this.#buffer.length) / groupBytes) * groupBytes);
    let bytes = 0;
    for (let from = 0; from < length; from += readBytes) {
      const want = Math.min(readBytes, length - from);
      const slot = this.#roomFor(readBytes);
      bytes += readZeroed(read, this.#buffer.subarray(slot, slot + want), offset + from);
      for (let at = 0; at < want; at += groupBytes) {
        this.#cutGroup(builder, (from + at) / this.#paged.unitBytes, slot + at, Math.min(groupBytes, want - at), undefined);
      }
    }
    return bytes;
  }

  /** Of each group, reads from the first to the last unit that may have changed. */
  #cutChanged(builder: LeafBuilder, read: ReadAt, offset: number, length: number, changed: Uint8Array): number {
    const { unitBytes, groupUnits } = this.#paged;
    let bytes = 0;
    for (let unit = 0; unit < changed.length; unit += groupUnits) {
      const end = Math.min(unit + groupUnits, changed.length);
      const first = changed.indexOf(1, unit);
      if (first === -1 || first >= end) {
        for (let u = unit; u < end; u++) builder.keepParent(u);
        continue;
      }
      const last = changed.lastIndexOf(1, end - 1);
      const slot = this.#roomFor(groupUnits * unitBytes);
      const at = slot + (first - unit) * unitBytes;
      const groupLength = Math.min(end * unitBytes, length) - unit * unitBytes;
      const want = Math.min((last + 1) * unitBytes, length) - first * unitBytes;
      bytes += readZeroed(read, this.#buffer.subarray(at, at + want), offset + first * unitBytes);
      this.#cutGroup(builder, unit, slot, groupLength, changed);
    }
    return bytes;
  }

  /** The group whose first unit is `firstUnit` and whose bytes stand at `at` in the buffer. */
  #cutGroup(builder: LeafBuilder, firstUnit: number, at: number, length: number, changed: Uint8Array | undefined): void {
    const { unitBytes } = this.#paged;
    const group = this.#groups.begin();
    for (let u = 0, from = 0; from < length; u++, from += unitBytes) {
      const unit = firstUnit + u;
      if (changed !== undefined && changed[unit] === 0) {
        builder.keepParent(unit);
        continue;
      }
      const bytes = this.#buffer.subarray(at + from, at + Math.min(from + unitBytes, length));
      if (this.#isZero(bytes)) {
        this.#zeroBytes += bytes.length;
        continue;
      }
      const id = this.#ids.id(bytes);
      if (builder.keepParentIfSame(unit, id)) continue;
      this.#groups.add(group, { unit, at: at + from, length: bytes.length }, id.subarray(0, DIGEST_BYTES));
    }
    this.#groups.plan(group, builder);
  }
}

function leafBuilders({ length, parentLeaves }: FileTask, unitBytes: number): LeafBuilder[] {
  const leafBytes = UNITS_PER_LEAF * unitBytes;
  return Array.from({ length: Math.ceil(length / leafBytes) }, (_, i) => {
    return new LeafBuilder(Math.min(leafBytes, length - i * leafBytes), unitBytes, parentLeaves[i] ?? undefined);
  });
}

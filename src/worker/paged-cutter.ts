// Reads a volume or a paged file by position: zero units cost nothing, units that are as in the parent's map keep its reference, the new
// ones of a group of neighbours are stored together and known to the index as one. So the unit of dedup is 16 KiB while the index grows by
// one entry in 256 KiB, and what is compressed together is still a block of up to 1 MiB.

import { DIGEST_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import { EXTENT_GROUP, SESSION_BYTES } from '../format/pack.ts';
import type { PagedChunking } from '../format/repository-object.ts';
import { decodeUnitsLeaf, encodeUnitsLeaf, UNITS_PER_LEAF, type UnitsLeaf } from '../format/units-node.ts';
import { bytesEqual, digestOf, REFERENCE_BYTES, writeReference } from '../model/reference.ts';
import type { ReadAt } from './content-cutter.ts';
import { type Dedup, newFound, writeCounter } from './dedup.ts';
import type { FileTask, PagedLeaf } from './file-task.ts';
import type { PackWriter } from './pack-writer.ts';

const GROUP_CONTEXT = Buffer.from('group\0', 'latin1');
const READ_BYTES = 1024 * 1024;
const ID_BYTES = 32;

/** A group whose new units stand in the buffer. */
type PlannedGroup = {
  /** The new units: position in the leaf, where in the buffer, length. */
  readonly units: { unit: number; at: number; length: number }[];
  readonly digests: Uint8Array;
  bytes: number;
  id: Uint8Array;
};

export class PagedCutter {
  readonly #paged: PagedChunking;
  readonly #ids: IdHasher;
  readonly #dedup: Dedup;
  readonly #packs: PackWriter;
  readonly #isZero: (bytes: Uint8Array) => boolean;
  readonly #buffer: Uint8Array;
  readonly #found = newFound();
  readonly #ownBlock = new Uint8Array(16);
  /** Groups that wait to be stored: one, or as many as stand in the buffer where many must be asked for at once. */
  readonly #planned: PlannedGroup[] = [];
  #plannedCount = 0;
  readonly #plannedMax: number;
  readonly #plannedIds: Uint8Array;
  chunks = 0;
  newChunks = 0;
  newBytes = 0;
  zeroBytes = 0;

  /** `buffer` is lent: at least one group long, a multiple of the group's length. */
  constructor(
    paged: PagedChunking,
    buffer: Uint8Array,
    session: Uint8Array,
    ids: IdHasher,
    dedup: Dedup,
    packs: PackWriter,
    isZero: (bytes: Uint8Array) => boolean,
  ) {
    this.#paged = paged;
    this.#buffer = buffer;
    this.#ids = ids;
    this.#dedup = dedup;
    this.#packs = packs;
    this.#isZero = isZero;
    this.#ownBlock.set(session);
    this.#plannedMax = dedup.isAsked ? Math.floor(buffer.length / (paged.groupUnits * paged.unitBytes)) : 1;
    this.#plannedIds = new Uint8Array(this.#plannedMax * ID_BYTES);
  }

  cut(read: ReadAt, task: FileTask): { readonly leaves: PagedLeaf[]; readonly bytesRead: number } {
    const leafBytes = UNITS_PER_LEAF * this.#paged.unitBytes;
    const leaves: PagedLeaf[] = [];
    let bytesRead = 0;
    for (let at = 0, i = 0; at < task.length; at += leafBytes, i++) {
      const length = Math.min(leafBytes, task.length - at);
      const changed = task.changedUnits?.[i] ?? undefined;
      const { leaf, bytes } = this.#cutLeaf(read, task.offset + at, length, task.parentLeaves[i] ?? undefined, changed);
      leaves.push(leaf);
      bytesRead += bytes;
    }
    return { leaves, bytesRead };
  }

  #cutLeaf(
    read: ReadAt,
    offset: number,
    length: number,
    parentNode: Uint8Array | undefined,
    changed: Uint8Array | undefined,
  ): { readonly leaf: PagedLeaf; readonly bytes: number } {
    const { unitBytes } = this.#paged;
    const units = Math.ceil(length / unitBytes);
    const lastUnitBytes = length - (units - 1) * unitBytes;
    const parent = parentNode === undefined ? undefined : decodeUnitsLeaf(parentNode, units, unitBytes, lastUnitBytes);
    const builder = new LeafBuilder(units, parent);
    const bytes =
      changed === undefined
        ? this.#cutWhole(builder, read, offset, length)
        : this.#cutChanged(builder, read, offset, length, changed);
    return { leaf: builder.finish(unitBytes, parentNode), bytes };
  }

  #cutWhole(builder: LeafBuilder, read: ReadAt, offset: number, length: number): number {
    const groupBytes = this.#paged.groupUnits * this.#paged.unitBytes;
    const most = this.#dedup.isAsked ? this.#buffer.length : Math.min(READ_BYTES, this.#buffer.length);
    const readBytes = Math.max(groupBytes, Math.floor(most / groupBytes) * groupBytes);
    let bytes = 0;
    for (let from = 0; from < length; from += readBytes) {
      const want = Math.min(readBytes, length - from);
      bytes += this.#readZeroed(read, 0, want, offset + from);
      for (let at = 0; at < want; at += groupBytes) {
        this.#cutGroup(builder, (from + at) / this.#paged.unitBytes, at, Math.min(groupBytes, want - at), undefined);
      }
      this.#storePlanned(builder);
    }
    return bytes;
  }

  /** Of each group, reads from the first to the last unit that may have changed. */
  #cutChanged(builder: LeafBuilder, read: ReadAt, offset: number, length: number, changed: Uint8Array): number {
    const { unitBytes, groupUnits } = this.#paged;
    let bytes = 0;
    for (let unit = 0; unit < changed.length; unit += groupUnits) {
      const slot = this.#plannedCount * groupUnits * unitBytes;
      const end = Math.min(unit + groupUnits, changed.length);
      const first = changed.indexOf(1, unit);
      if (first === -1 || first >= end) {
        for (let u = unit; u < end; u++) builder.keepParent(u);
        continue;
      }
      const last = changed.lastIndexOf(1, end - 1);
      const at = (first - unit) * unitBytes;
      const groupLength = Math.min(end * unitBytes, length) - unit * unitBytes;
      const want = Math.min((last + 1) * unitBytes, length) - first * unitBytes;
      bytes += this.#readZeroed(read, slot + at, want, offset + first * unitBytes);
      this.#cutGroup(builder, unit, slot, groupLength, changed);
    }
    this.#storePlanned(builder);
    return bytes;
  }

  /** Reads into the buffer. A source that became shorter: what is missing reads as zeros, and the result says "changed". */
  #readZeroed(read: ReadAt, at: number, want: number, position: number): number {
    const got = read(this.#buffer.subarray(at, at + want), want, position);
    if (got < want) this.#buffer.fill(0, at + got, at + want);
    return got;
  }

  /** The group whose first unit is `firstUnit` and whose bytes stand at `at` in the buffer. */
  #cutGroup(builder: LeafBuilder, firstUnit: number, at: number, length: number, changed: Uint8Array | undefined): void {
    const { unitBytes } = this.#paged;
    const group = (this.#planned[this.#plannedCount] ??= this.#newGroup());
    const { units, digests } = group;
    units.length = 0;
    group.bytes = 0;
    for (let u = 0, from = 0; from < length; u++, from += unitBytes) {
      const unit = firstUnit + u;
      if (changed !== undefined && changed[unit] === 0) {
        builder.keepParent(unit);
        continue;
      }
      const bytes = this.#buffer.subarray(at + from, at + Math.min(from + unitBytes, length));
      if (this.#isZero(bytes)) {
        this.zeroBytes += bytes.length;
        continue;
      }
      const id = this.#ids.id(bytes);
      if (builder.keepParentIfSame(unit, id)) continue;
      digests.set(id.subarray(0, DIGEST_BYTES), units.length * DIGEST_BYTES);
      units.push({ unit, at: at + from, length: bytes.length });
      group.bytes += bytes.length;
    }
    if (units.length === 0) return;
    group.id = this.#ids.idOf(GROUP_CONTEXT, digests.subarray(0, units.length * DIGEST_BYTES));
    if (++this.#plannedCount === this.#plannedMax) this.#storePlanned(builder);
  }

  #newGroup(): PlannedGroup {
    return { units: [], digests: new Uint8Array(this.#paged.groupUnits * DIGEST_BYTES), bytes: 0, id: this.#plannedIds };
  }

  #storePlanned(builder: LeafBuilder): void {
    const count = this.#plannedCount;
    this.#plannedCount = 0;
    if (this.#dedup.isAsked && count > 0) {
      for (let i = 0; i < count; i++) this.#plannedIds.set(this.#planned[i]!.id, i * ID_BYTES);
      this.#dedup.ask(this.#plannedIds, count);
    }
    for (let i = 0; i < count; i++) this.#storeGroup(builder, this.#planned[i]!);
  }

  #storeGroup(builder: LeafBuilder, { units, digests, bytes, id }: PlannedGroup): void {
    this.chunks++;
    const room = this.#packs.room(bytes);
    let block = this.#found.block;
    let offset = this.#packs.blockLength;
    if (this.#dedup.find(id, this.#packs.blockCounter, offset, bytes, this.#found)) {
      offset = this.#found.offset;
    } else {
      let to = 0;
      for (const { at, length } of units) {
        room.set(this.#buffer.subarray(at, at + length), to);
        to += length;
      }
      this.#packs.keep(bytes, EXTENT_GROUP, id);
      writeCounter(this.#ownBlock, SESSION_BYTES, this.#packs.blockCounter);
      block = this.#ownBlock;
      this.newChunks++;
      this.newBytes += bytes;
    }
    for (let i = 0; i < units.length; i++) {
      const { unit, length } = units[i]!;
      builder.set(unit, block, digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), offset, length);
      offset += length;
    }
  }
}

/** One leaf in the making: a slot of one reference for each unit. */
class LeafBuilder {
  readonly #set: Uint8Array;
  readonly #slots: Uint8Array;
  readonly #parentSlots: Uint8Array | undefined;
  readonly #parentSet: Uint8Array | undefined;

  constructor(units: number, parent: UnitsLeaf | undefined) {
    this.#set = new Uint8Array(units);
    this.#slots = new Uint8Array(units * REFERENCE_BYTES);
    if (parent === undefined) return;
    this.#parentSet = parent.set;
    this.#parentSlots = new Uint8Array(units * REFERENCE_BYTES);
    for (let u = 0, n = 0; u < units; u++) {
      if (parent.set[u] === 1)
        this.#parentSlots.set(parent.references.subarray(n * REFERENCE_BYTES, ++n * REFERENCE_BYTES), u * REFERENCE_BYTES);
    }
  }

  set(unit: number, block: Uint8Array, digest: Uint8Array, offset: number, length: number): void {
    this.#set[unit] = 1;
    writeReference(this.#slots, unit * REFERENCE_BYTES, block, digest, offset, length);
  }

  keepParent(unit: number): void {
    if (this.#parentSet?.[unit] !== 1) return;
    this.#set[unit] = 1;
    const at = unit * REFERENCE_BYTES;
    this.#slots.set(this.#parentSlots!.subarray(at, at + REFERENCE_BYTES), at);
  }

  keepParentIfSame(unit: number, id: Uint8Array): boolean {
    if (this.#parentSet?.[unit] !== 1 || !bytesEqual(digestOf(this.#parentSlots!, unit), id.subarray(0, DIGEST_BYTES)))
      return false;
    this.keepParent(unit);
    return true;
  }

  finish(unitBytes: number, parentNode: Uint8Array | undefined): PagedLeaf {
    let n = 0;
    for (let u = 0; u < this.#set.length; u++) {
      if (this.#set[u] === 1) this.#slots.copyWithin(n++ * REFERENCE_BYTES, u * REFERENCE_BYTES, (u + 1) * REFERENCE_BYTES);
    }
    if (n === 0) return { kind: 'zero' };
    const bytes = encodeUnitsLeaf(this.#set, this.#slots.subarray(0, n * REFERENCE_BYTES), unitBytes);
    return parentNode !== undefined && bytesEqual(parentNode, bytes) ? { kind: 'same' } : { kind: 'node', bytes };
  }
}

// New units of a volume or a paged file that stand near each other are stored together and known to the index as one group. Groups are
// planned in the buffer in which their units stand, and stored when it is to be used again: one at a time, or as many as stand in it where
// the index must be asked for many at once. Few of them are put aside instead, and asked for with what comes next.

import { DIGEST_BYTES, type IdHasher } from '../codec/chunk-id.ts';
import { EXTENT_GROUP, SESSION_BYTES } from '../format/pack.ts';
import { type Dedup, newFound, writeCounter } from './dedup.ts';
import type { PackWriter } from './pack-writer.ts';

export const GROUP_CONTEXT = Buffer.from('group\0', 'latin1');
const ID_BYTES = 32;

/** Hears where a unit lies. */
export interface UnitSink {
  set(unit: number, block: Uint8Array, digest: Uint8Array, offset: number, length: number): void;
}

export type UnitGroup = {
  /** Which unit, where in the buffer, how long. */
  readonly units: { unit: number; at: number; length: number }[];
  readonly digests: Uint8Array;
  buffer: Uint8Array;
  bytes: number;
  id: Uint8Array;
  sink: UnitSink | undefined;
};

/** What is put aside at the most. */
const ASIDE_BYTES = 2 * 1024 * 1024;

export type UnitGroupsParts = {
  readonly groupUnits: number;
  readonly plannedMax: number;
  readonly buffer: Uint8Array;
  readonly session: Uint8Array;
  readonly ids: IdHasher;
  readonly dedup: Dedup;
  readonly packs: PackWriter;
};

export class UnitGroups {
  readonly #parts: UnitGroupsParts;
  readonly #found = newFound();
  readonly #ownBlock = new Uint8Array(16);
  readonly #planned: UnitGroup[] = [];
  readonly #plannedIds: Uint8Array;
  #aside: Uint8Array | undefined;
  plannedCount = 0;
  chunks = 0;
  newChunks = 0;
  newBytes = 0;

  constructor(parts: UnitGroupsParts) {
    this.#parts = parts;
    this.#ownBlock.set(parts.session);
    this.#plannedIds = new Uint8Array(parts.plannedMax * ID_BYTES);
  }

  /** An empty group, of which there is one at a time. */
  begin(): UnitGroup {
    const { groupUnits, buffer } = this.#parts;
    const digests = (): Uint8Array => new Uint8Array(groupUnits * DIGEST_BYTES);
    const fresh = (): UnitGroup => ({ units: [], digests: digests(), buffer, bytes: 0, id: this.#plannedIds, sink: undefined });
    const group = (this.#planned[this.plannedCount] ??= fresh());
    group.units.length = 0;
    group.buffer = buffer;
    group.bytes = 0;
    return group;
  }

  add(group: UnitGroup, unit: UnitGroup['units'][number], digest: Uint8Array): void {
    group.digests.set(digest, group.units.length * DIGEST_BYTES);
    group.units.push(unit);
    group.bytes += unit.length;
  }

  /** Does nothing with an empty group. */
  plan(group: UnitGroup, sink: UnitSink): void {
    const { units, digests } = group;
    if (units.length === 0) return;
    group.id = this.#parts.ids.idOf(GROUP_CONTEXT, digests.subarray(0, units.length * DIGEST_BYTES));
    group.sink = sink;
    if (++this.plannedCount === this.#parts.plannedMax) this.store();
  }

  /** Those of what is planned. */
  plannedIds(): Uint8Array {
    const count = this.plannedCount;
    for (let i = 0; i < count; i++) this.#plannedIds.set(this.#planned[i]!.id, i * ID_BYTES);
    return this.#plannedIds.subarray(0, count * ID_BYTES);
  }

  /** Stores what is planned and not known. */
  store(): void {
    const { dedup } = this.#parts;
    const count = this.plannedCount;
    if (dedup.isAsked && count > 0) dedup.ask(this.plannedIds(), count);
    this.plannedCount = 0;
    for (let i = 0; i < count; i++) this.#storeGroup(this.#planned[i]!);
  }

  /** Lets the buffer be used again: what is planned is copied, if that is little, and stored otherwise. To be called once between two `store`. */
  leaveBuffer(): void {
    const count = this.plannedCount;
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += this.#planned[i]!.bytes;
    if (!this.#parts.dedup.isAsked || bytes > ASIDE_BYTES) {
      this.store();
      return;
    }
    this.#aside ??= new Uint8Array(ASIDE_BYTES);
    let to = 0;
    for (let i = 0; i < count; i++) {
      const group = this.#planned[i]!;
      for (const unit of group.units) {
        this.#aside.set(group.buffer.subarray(unit.at, unit.at + unit.length), to);
        unit.at = to;
        to += unit.length;
      }
      group.buffer = this.#aside;
    }
  }

  #storeGroup({ units, digests, buffer, bytes, id, sink }: UnitGroup): void {
    const { packs, dedup } = this.#parts;
    this.chunks++;
    const room = packs.room(bytes);
    let block = this.#found.block;
    let offset = packs.blockLength;
    if (dedup.find(id, packs.blockCounter, offset, bytes, this.#found)) {
      offset = this.#found.offset;
    } else {
      let to = 0;
      for (const { at, length } of units) {
        room.set(buffer.subarray(at, at + length), to);
        to += length;
      }
      packs.keep(bytes, EXTENT_GROUP, id);
      writeCounter(this.#ownBlock, SESSION_BYTES, packs.blockCounter);
      block = this.#ownBlock;
      this.newChunks++;
      this.newBytes += bytes;
    }
    for (let i = 0; i < units.length; i++) {
      const { unit, length } = units[i]!;
      sink!.set(unit, block, digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), offset, length);
      offset += length;
    }
  }
}

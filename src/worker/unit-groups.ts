// New units of a volume or a paged file that stand near each other are stored together and known to the index as one group. Groups are
// planned in the buffer in which their units stand, and stored when it is to be used again: one at a time, or as many as stand in it where
// the index must be asked for many at once.

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
  bytes: number;
  id: Uint8Array;
};

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
    const { groupUnits } = this.#parts;
    const digests = (): Uint8Array => new Uint8Array(groupUnits * DIGEST_BYTES);
    const group = (this.#planned[this.plannedCount] ??= { units: [], digests: digests(), bytes: 0, id: this.#plannedIds });
    group.units.length = 0;
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
    if (++this.plannedCount === this.#parts.plannedMax) this.store(sink);
  }

  /** Stores what is planned and not known. */
  store(sink: UnitSink): void {
    const { dedup } = this.#parts;
    const count = this.plannedCount;
    this.plannedCount = 0;
    if (dedup.isAsked && count > 0) {
      for (let i = 0; i < count; i++) this.#plannedIds.set(this.#planned[i]!.id, i * ID_BYTES);
      dedup.ask(this.#plannedIds, count);
    }
    for (let i = 0; i < count; i++) this.#storeGroup(sink, this.#planned[i]!);
  }

  #storeGroup(sink: UnitSink, { units, digests, bytes, id }: UnitGroup): void {
    const { packs, dedup, buffer } = this.#parts;
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
      sink.set(unit, block, digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES), offset, length);
      offset += length;
    }
  }
}

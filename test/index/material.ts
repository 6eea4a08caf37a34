// Seeded material for the tests of the index: numbers, keys, packs, index objects. Also for the processes that they start.

import type { IndexedPack } from '../../src/format/index-object.ts';
import { EXTENT_CHUNK, EXTENT_GROUP, EXTENT_NODE, encodeDirectory, type PackBlock } from '../../src/format/pack.ts';

/** Same seed, same numbers. */
export class Seeded {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761) | 1;
  }

  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return Math.imul(x, 0x9e3779b1) >>> 0;
  }

  below(n: number): number {
    return this.u32() % n;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.u32() >>> 24);
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export type MadeBlock = {
  readonly id: string;
  readonly pack: string;
  readonly session: string;
  readonly assetId: string;
  readonly sealingCounter: string;
  readonly kind: 'data' | 'metadata';
  readonly offset: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly codec: number;
};
export type MadeChunk = { readonly id: string; readonly block: string; readonly offset: number; readonly length: number };
export type MadePack = {
  readonly pack: IndexedPack;
  readonly blocks: MadeBlock[];
  readonly chunks: MadeChunk[];
  readonly nodes: string[];
};

export type MadeObject = { readonly id: string; readonly packs: MadePack[] };

/** An index object of random packs. */
export function makeObject(random: Seeded, packs: number, ids: readonly string[] = []): MadeObject {
  const made = Array.from({ length: packs }, () => makePack(random, 6, ids));
  return { id: hex(random.bytes(32)), packs: made };
}

/** A pack of random blocks; with `ids`, of those blocks (a repack). */
export function makePack(random: Seeded, blocksMax = 6, ids: readonly string[] = []): MadePack {
  const sessions = Array.from({ length: 1 + random.below(3) }, () => ({ session: random.bytes(10), assetId: random.bytes(16) }));
  const kind = random.below(4) === 0 ? 'metadata' : 'data';
  const packId = random.bytes(32);
  const made: MadePack = {
    pack: { packId, kind, packLength: 0, session: random.bytes(10), directory: new Uint8Array(0) },
    blocks: [],
    chunks: [],
    nodes: [],
  };
  const blocks: PackBlock[] = [];
  let offset = 0;
  const origin = random.bytes(10);
  for (let n = 0; n < (ids.length || 1 + random.below(blocksMax)); n++) {
    const id = ids[n] === undefined ? Uint8Array.from([...origin, 0, 0, 0, 0, n >>> 8, n]) : bytesOf(ids[n]);
    const sealedBy = random.below(sessions.length);
    const extents = makeExtents(random, kind);
    const rawLength = 1 + extents.reduce((end, extent) => Math.max(end, extent.offset + extent.length), 0);
    const codec = random.below(2);
    const block = {
      id,
      offset,
      storedLength: codec === 0 ? rawLength + 16 : 17 + random.below(1 << 20),
      rawLength,
      codec,
      sealedBy,
      sealingCounter: random.bytes(6),
      extents,
    };
    blocks.push(block);
    const { session, assetId } = sessions[sealedBy]!;
    const hexes = {
      id: hex(id),
      pack: hex(packId),
      session: hex(session),
      assetId: hex(assetId),
      sealingCounter: hex(block.sealingCounter),
    };
    made.blocks.push({ ...hexes, kind, offset, storedLength: block.storedLength, rawLength, codec });
    for (const extent of extents) {
      if (extent.kind === EXTENT_NODE) made.nodes.push(hex(extent.id));
      else made.chunks.push({ id: hex(extent.id), block: hex(id), offset: extent.offset, length: extent.length });
    }
    offset += block.storedLength;
  }
  const directory = encodeDirectory({ sessions, blocks });
  const pack = { ...made.pack, packLength: offset + directory.length + 80, directory };
  return { ...made, pack };
}

function makeExtents(random: Seeded, kind: 'data' | 'metadata') {
  let offset = 0;
  return Array.from({ length: random.below(5) }, () => {
    offset += random.below(100);
    const length = 1 + random.below(200_000);
    const extent = {
      offset,
      length,
      kind: kind === 'metadata' ? EXTENT_NODE : random.below(2) ? EXTENT_CHUNK : EXTENT_GROUP,
      id: random.bytes(32),
    };
    offset += length;
    return extent;
  });
}

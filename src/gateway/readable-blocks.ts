// Blocks that one agent may read now: where they lie, and single requests for them. A request covers blocks that follow each other in one
// pack, all of which the agent may read, and not a byte more.

import { type BlockPlace, newBlockPlace } from '../index/tables.ts';
import { bytesEqual } from '../model/reference.ts';
import { BLOCK_ID_BYTES, encodePlaces } from '../protocol/presence-codec.ts';
import type { ReadsAnswer } from '../protocol/session-messages.ts';
import { hex, packKey } from '../repository/layout.ts';
import type { StoreDoor } from './session-door.ts';
import type { HeldIndex } from './session-index.ts';

export type ReadableOptions = {
  /** As of now. */
  readonly index: () => HeldIndex;
  readonly mayRead: (blockId: Uint8Array, place: BlockPlace) => boolean;
  readonly door: StoreDoor;
};

export class ReadableBlocks {
  readonly #options: ReadableOptions;
  /** Hex: whose data keys open what was answered. */
  readonly sessions = new Set<string>();
  bytesGranted = 0;

  constructor(options: ReadableOptions) {
    this.#options = options;
  }

  /** `ids`: 16 bytes each. */
  places(ids: Uint8Array): Uint8Array {
    const places = idsOf(ids).map((id) => this.#find(id));
    for (const place of places) if (place?.kind === 'data') this.sessions.add(hex(place.session));
    return encodePlaces(places);
  }

  reads(ranges: readonly string[]): ReadsAnswer {
    return { reads: ranges.map((range) => this.#read(idsOf(Buffer.from(range, 'base64')))) };
  }

  #read(ids: readonly Uint8Array[]): ReadsAnswer['reads'][number] {
    const first = ids[0] === undefined ? undefined : this.#find(ids[0]);
    if (first === undefined) return null;
    let end = first.offset;
    for (const id of ids) {
      const place = this.#find(id);
      if (place === undefined || !bytesEqual(place.pack, first.pack) || place.offset !== end) return null;
      end += place.storedLength;
    }
    const length = end - first.offset;
    this.bytesGranted += length;
    const request = this.#options.door.get(packKey(first.pack), first.offset, length);
    return { pack: hex(first.pack), offset: first.offset, length, request };
  }

  #find(id: Uint8Array): BlockPlace | undefined {
    const place = newBlockPlace();
    const { index, mayRead } = this.#options;
    return index().reader.block(id, place) && mayRead(id, place) ? place : undefined;
  }
}

function idsOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.floor(bytes.length / BLOCK_ID_BYTES) }, (_, i) =>
    bytes.subarray(i * BLOCK_ID_BYTES, (i + 1) * BLOCK_ID_BYTES),
  );
}

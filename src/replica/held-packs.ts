// What a set of index objects names, held in memory: packs, and the sessions that sealed their blocks. About 100 bytes a pack: 130 MB
// for 10 TiB of packs of 8 MiB.

import { directoryOf, type IndexedPack } from '../format/index-object.ts';
import { hex } from '../repository/layout.ts';

export class HeldPacks {
  readonly #packs = new Set<string>();
  readonly sessions = new Set<string>();

  get size(): number {
    return this.#packs.size;
  }

  has(packId: Uint8Array): boolean {
    return this.#packs.has(nameOf(packId));
  }

  add(packs: readonly IndexedPack[]): void {
    for (const pack of packs) {
      this.#packs.add(nameOf(pack.packId));
      for (const session of sessionsOf(pack)) this.sessions.add(session);
    }
  }

  *packIds(): Generator<Uint8Array> {
    for (const name of this.#packs) yield Buffer.from(name, 'latin1');
  }
}

/** One byte a character: a third of the memory of hex. */
const nameOf = (packId: Uint8Array): string => Buffer.from(packId).toString('latin1');

/** 20 hex each. */
export function sessionsOf(pack: IndexedPack): string[] {
  return directoryOf(pack).sessions.map(({ session }) => hex(session));
}

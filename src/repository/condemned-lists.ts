// Condemned lists in the store. See src/format/condemned-list.ts.

import { Fault, isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { CONDEMNED_SALT_BYTES, type CondemnedList, decodeCondemnedList, encodeCondemnedList } from '../format/condemned-list.ts';
import type { Condemned, Head } from '../format/head.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import type { HeadKeeper } from './head.ts';
import { CONDEMNED_PREFIX, hex } from './layout.ts';
import { readAnew } from './read-anew.ts';

export const condemnedKey = (id: string): string => `${CONDEMNED_PREFIX}${id}`;

/** Stores a list; null when there is nothing to put into it. */
export async function putCondemnedList(
  heads: HeadKeeper,
  session: string,
  packs: readonly string[],
  options?: CallOptions,
): Promise<{ readonly id: string; readonly packs: number } | null> {
  if (packs.length === 0) return null;
  const bytes = encodeCondemnedList({ session, salt: heads.ports.random(CONDEMNED_SALT_BYTES), packs });
  const id = hex(objectId(bytes));
  await heads.store.put(condemnedKey(id), bytes, options);
  return { id, packs: packs.length };
}

export async function readCondemnedList(store: ObjectStore, id: string, options?: CallOptions): Promise<CondemnedList> {
  return readAnew(async () => {
    const bytes = await store.get(condemnedKey(id), undefined, options);
    if (hex(objectId(bytes)) !== id)
      throw new Fault('FORMAT_DAMAGED', `The condemned list ${id} is damaged: its bytes are not those that its name says`);
    return decodeCondemnedList(bytes, `The condemned list ${id}`);
  });
}

/** A head, and every pack (hex) that is condemned in it. */
export type SeenCondemned = { readonly head: Head; readonly packs: ReadonlySet<string> };

export async function readCondemned(heads: HeadKeeper, options?: CallOptions): Promise<SeenCondemned> {
  for (let head = await heads.read(options); ; ) {
    const packs = new Set<string>();
    const missing = await addAll(heads.store, head.condemned, packs, options);
    if (missing === undefined) return { head, packs };
    // A list is deleted after it has left the head: then it was swept in the meantime. Otherwise it is lost.
    const newer = await heads.read(options);
    if (newer.condemned.some(({ id }) => id === missing.id)) throw missing.fault;
    head = newer;
  }
}

async function addAll(
  store: ObjectStore,
  condemned: readonly Condemned[],
  packs: Set<string>,
  options?: CallOptions,
): Promise<{ readonly id: string; readonly fault: Fault } | undefined> {
  for (const { id } of condemned) {
    if (id === null) continue;
    try {
      for (const pack of (await readCondemnedList(store, id, options)).packs) packs.add(pack);
    } catch (fault) {
      if (isFault(fault, 'STORE_NOT_FOUND')) return { id, fault };
      throw fault;
    }
  }
  return undefined;
}

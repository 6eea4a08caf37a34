// All packs of many index objects, in order, a few objects ahead: what plans over the whole index read instead of holding it.

import type { IndexRef } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { readIndexObject } from './index-objects.ts';
import type { Keyring } from './keyring.ts';

const AHEAD = 4;

export type ReadIndex = { readonly index: IndexRef; readonly packs: readonly IndexedPack[] };
export type IndexPlace = { readonly store: ObjectStore; readonly keyring: Keyring };

/** STORE_NOT_FOUND or FORMAT_DAMAGED when one cannot be read. */
export async function* readIndexes(
  place: IndexPlace,
  indexes: readonly IndexRef[],
  options?: CallOptions,
): AsyncGenerator<ReadIndex> {
  const ahead: Promise<ReadIndex>[] = [];
  let next = 0;
  while (next < indexes.length || ahead.length > 0) {
    while (next < indexes.length && ahead.length < AHEAD) {
      const index = indexes[next++]!;
      const read = readIndexObject(place.store, index.id, place.keyring, options).then((packs) => ({ index, packs }));
      // It is awaited later; until then its failure is nobody's.
      read.catch(() => {});
      ahead.push(read);
    }
    yield await ahead.shift()!;
  }
}

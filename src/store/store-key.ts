// The closed grammar of names in a store. Whatever lies outside it (an upper case letter, "~") is free for the drivers' own names.

import { Fault } from '../base/faults.ts';
import type { StoreKey } from './object-store.ts';

const KEY_BYTES_MAX = 200;
const SEGMENT = /^[a-z0-9._-]+$/;

function isSegment(text: string): boolean {
  return SEGMENT.test(text) && text !== '.' && text !== '..';
}

export function isStoreKey(text: string): boolean {
  return text.length <= KEY_BYTES_MAX && text.split('/').every(isSegment);
}

/** Throws STORE_BAD_KEY unless `key` is one. */
export function checkKey(key: StoreKey): void {
  if (!isStoreKey(key))
    throw new Fault('STORE_BAD_KEY', `${JSON.stringify(key.slice(0, KEY_BYTES_MAX))} is not a name for an object in a store`);
}

/** Splits the prefix of a listing into whole segments and the start of one more: "packs/0" -> ["packs"] and "0". */
export function splitPrefix(prefix: StoreKey): { readonly segments: readonly string[]; readonly start: string } {
  const segments = prefix.split('/');
  const start = segments.pop() ?? '';
  const good = prefix.length <= KEY_BYTES_MAX && segments.every(isSegment) && (start === '' || SEGMENT.test(start));
  if (!good)
    throw new Fault('STORE_BAD_KEY', `${JSON.stringify(prefix.slice(0, KEY_BYTES_MAX))} is not the start of a name in a store`);
  return { segments, start };
}

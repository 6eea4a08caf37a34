// Marks on snapshots that repair has found to lack something: objects `unsound/<session>`. A backup takes no marked snapshot for its
// parent: it would refer to what is lost, unread, in the name of "unchanged". A mark is only ever a reason to read more.

import { forEachBounded } from '../base/bounded.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';

export const UNSOUND_PREFIX = 'unsound/';
const MARK = new TextEncoder().encode('HFUS\x01\n');
const IN_FLIGHT_MAX = 8;

const unsoundKey = (session: string): string => `${UNSOUND_PREFIX}${session}`;

export async function isUnsound(store: ObjectStore, session: string, options?: CallOptions): Promise<boolean> {
  return (await store.size(unsoundKey(session), options)) !== undefined;
}

export async function markUnsound(store: ObjectStore, sessions: Iterable<string>, options?: CallOptions): Promise<void> {
  await forEachBounded(sessions, IN_FLIGHT_MAX, async (session) => void (await store.put(unsoundKey(session), MARK, options)));
}

/** Takes away the marks of all but these. */
export async function clearUnsound(
  store: ObjectStore,
  isStillUnsound: (session: string) => boolean,
  options?: CallOptions,
): Promise<number> {
  const keys: string[] = [];
  for await (const page of store.list(UNSOUND_PREFIX, options)) {
    for (const { key } of page) if (!isStillUnsound(key.slice(UNSOUND_PREFIX.length))) keys.push(key);
  }
  await forEachBounded(keys, IN_FLIGHT_MAX, (key) => store.delete(key, options));
  return keys.length;
}

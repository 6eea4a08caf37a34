// Small objects that nobody needs: index objects that no head names any more or ever did, keys of sessions of which nothing is left.
//
// Both are listed before the head is read. An index object that the head does not name then can only come into it by the session that
// wrote it; so it is waste when nobody else is among the writers. The key of a session is waste when the session is over, nothing in the
// index is sealed with it, and no pack can come back that is: a backup takes over packs only of sessions that it finds among the writers
// or the retired ones of a head, and it is itself among the writers of that head (src/engine/adopt-orphans.ts). So when no backup is among
// the writers and the session is in neither list, nobody ever will.

import { forEachBounded } from '../base/bounded.ts';
import type { Head } from '../format/head.ts';
import type { CallOptions, ObjectStore, StoreKey } from '../store/object-store.ts';
import { INDEX_PREFIX, indexKey, SESSION_KEYS_PREFIX } from './layout.ts';

const DELETES_IN_FLIGHT_MAX = 16;
/** Epochs of logs are named so; their keys open the log, which is no part of the index. One in 16 million sessions has such a name, too:
 *  then its key stays, which is no harm. */
export const LOG_EPOCH_PREFIX = '6c6f67';
const SESSION_KEY = /^session-keys\/[0-9a-f]+\/([0-9a-f]{20})$/;

export type StrayListing = { readonly indexes: readonly StoreKey[]; readonly sessionKeys: readonly StoreKey[] };

/** Call it before the head is read that `findStrays` gets. */
export async function listStrayCandidates(store: ObjectStore, options?: CallOptions): Promise<StrayListing> {
  const keysOf = async (prefix: StoreKey): Promise<StoreKey[]> => {
    const keys: StoreKey[] = [];
    for await (const page of store.list(prefix, options)) for (const { key } of page) keys.push(key);
    return keys;
  };
  return { indexes: await keysOf(INDEX_PREFIX), sessionKeys: await keysOf(SESSION_KEYS_PREFIX) };
}

export type StrayEvidence = {
  readonly head: Head;
  /** Sessions with packs that are in no index, and those that sealed a block of this head's index. */
  readonly needed: ReadonlySet<string>;
  /** Who asks: the maintenance session; undefined for a dry run. */
  readonly self: string | undefined;
};

export function findStrays({ indexes, sessionKeys }: StrayListing, { head, needed, self }: StrayEvidence): StoreKey[] {
  const others = head.writers.filter(({ session }) => session !== self);
  if (others.length > 0 || head.condemned.some(({ awaits }) => awaits.length > 0)) return [];
  const named = new Set([...head.indexes, ...head.condemned.flatMap((entry) => entry.indexes)].map(({ id }) => indexKey(id)));
  const known = new Set([...head.writers.map(({ session }) => session), ...head.retired]);
  return [
    ...indexes.filter((key) => !named.has(key)),
    ...sessionKeys.filter((key) => {
      const session = SESSION_KEY.exec(key)?.[1];
      return session !== undefined && !session.startsWith(LOG_EPOCH_PREFIX) && !needed.has(session) && !known.has(session);
    }),
  ];
}

export async function deleteStrays(store: ObjectStore, keys: readonly StoreKey[], options?: CallOptions): Promise<void> {
  await forEachBounded(keys, DELETES_IN_FLIGHT_MAX, (key) => store.delete(key, options));
}

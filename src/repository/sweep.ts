// Deleting, and only with positive evidence: packs and index objects that a settled condemnation names, registers that the head has
// retired, and stray objects of sessions that are over.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import { decodeCondemnedList } from '../format/condemned-list.ts';
import type { Condemned, Head } from '../format/head.ts';
import type { CallOptions, StoreKey } from '../store/object-store.ts';
import { condemnedKey, readCondemnedList } from './condemned-lists.ts';
import type { HeadKeeper } from './head.ts';
import { deletableRegisters, dropCondemned, dropRetired, writerOf } from './head-changes.ts';
import { CONDEMNED_PREFIX, indexKey, packKey, unhex } from './layout.ts';

const DELETES_IN_FLIGHT_MAX = 16;

export type SweepProgress = { readonly onDeleted?: (kind: 'pack' | 'index', id: string) => void };

/** Deletes the packs of one settled condemnation, and the index objects that named them. Dying anywhere, it is resumed by the next prune;
 *  two at once do no harm. */
export async function sweep(
  heads: HeadKeeper,
  entry: Condemned,
  { onDeleted }: SweepProgress = {},
  options?: CallOptions,
): Promise<void> {
  invariant(entry.awaits.length === 0, 'only what is settled is swept');
  const { store } = heads;
  const packs = entry.id === null ? [] : await settledPacks(heads, entry, entry.id, options);
  await forEachBounded(packs, DELETES_IN_FLIGHT_MAX, async (id) => {
    await store.delete(packKey(unhex(id)), options);
    onDeleted?.('pack', id);
  });
  await forEachBounded(entry.indexes, DELETES_IN_FLIGHT_MAX, async ({ id }) => {
    await store.delete(indexKey(id), options);
    onDeleted?.('index', id);
  });
  await heads.change((head) => {
    const next = dropCondemned(head, entry.generation);
    return next.condemned.length === head.condemned.length ? { result: undefined } : { next, result: undefined };
  }, options);
  // After it has left the head: while the head names a list, the list is there.
  if (entry.id !== null) await store.delete(condemnedKey(entry.id), options);
}

async function settledPacks(heads: HeadKeeper, entry: Condemned, id: string, options?: CallOptions): Promise<readonly string[]> {
  try {
    return (await readCondemnedList(heads.store, id, options)).packs;
  } catch (fault) {
    if (!isFault(fault, 'STORE_NOT_FOUND')) throw fault;
    const { condemned } = await heads.read(options);
    if (condemned.some(({ generation }) => generation === entry.generation)) throw fault;
    return [];
  }
}

/** Deletes the registers of sessions that are over and that nobody reads. */
export async function sweepRegisters(heads: HeadKeeper, options?: CallOptions): Promise<number> {
  const sessions = deletableRegisters(await heads.read(options));
  if (sessions.length === 0) return 0;
  await forEachBounded(sessions, DELETES_IN_FLIGHT_MAX, (session) => heads.registers.deleteSnapshot(session, options));
  const deleted = new Set(sessions);
  await heads.change((head) => {
    const next = dropRetired(head, deleted);
    return next.retired.length === head.retired.length ? { result: undefined } : { next, result: undefined };
  }, options);
  return sessions.length;
}

export type StrayDetails = {
  readonly prefix: StoreKey;
  /** Keys under the prefix that this head needs. */
  readonly named: (head: Head) => Iterable<StoreKey>;
  /** The session that stored an object; undefined when it is gone already. Asked only for objects that the head does not name. */
  readonly sessionOf: (key: StoreKey) => Promise<string | undefined>;
};

/** Deletes objects that the head does not name and whose session is over: only that session could have brought them into the head. For
 *  condemned lists and index objects; not for packs, which others may adopt (condemn those). First the list, then the head: what was listed
 *  and is not named then will never be. Answers what it deleted. */
export async function sweepStrays(
  heads: HeadKeeper,
  { prefix, named, sessionOf }: StrayDetails,
  options?: CallOptions,
): Promise<readonly StoreKey[]> {
  const listed: StoreKey[] = [];
  for await (const page of heads.store.list(prefix, options)) for (const { key } of page) listed.push(key);
  const head = await heads.read(options);
  const needed = new Set(named(head));
  const deleted: StoreKey[] = [];
  await forEachBounded(listed, DELETES_IN_FLIGHT_MAX, async (key) => {
    if (needed.has(key)) return;
    const session = await sessionOf(key);
    if (session === undefined || writerOf(head, session) !== undefined) return;
    await heads.store.delete(key, options);
    deleted.push(key);
  });
  return deleted;
}

/** Condemned lists of prunes that died before the head named them, or after it did not any more. */
export function sweepStrayLists(heads: HeadKeeper, options?: CallOptions): Promise<readonly StoreKey[]> {
  return sweepStrays(
    heads,
    {
      prefix: CONDEMNED_PREFIX,
      named: (head) => head.condemned.flatMap(({ id }) => (id === null ? [] : [condemnedKey(id)])),
      sessionOf: async (key) => {
        try {
          return decodeCondemnedList(await heads.store.get(key, undefined, options), `The object ${key}`).session;
        } catch (fault) {
          if (isFault(fault, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED')) return undefined;
          throw fault;
        }
      },
    },
    options,
  );
}

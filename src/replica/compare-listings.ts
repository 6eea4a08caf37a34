// What listings of both places tell: objects that the replica should have and has not are copied, and those that neither head names and
// that the source has deleted are deleted here, too. A listing is only a hint. What decides that something goes: the replica's head, which
// is the source's at this moment, does not name it, and the source answers that it has none of that name; names never come back.
//
// The source may have been emptied by an attacker or by mistake, so what is needed to read what this head names never goes because it is
// gone there: packs and index objects that it names, keys of the sessions that it needs, the last key object.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import type { Head } from '../format/head.ts';
import { condemnedKey } from '../repository/condemned-lists.ts';
import { readableIndexes } from '../repository/head-changes.ts';
import {
  CONDEMNED_PREFIX,
  INDEX_PREFIX,
  indexKey,
  KEYS_PREFIX,
  PACKS_PREFIX,
  packKey,
  SESSION_KEYS_PREFIX,
} from '../repository/layout.ts';
import { LOG_EPOCH_PREFIX } from '../repository/strays.ts';
import { UNSOUND_PREFIX } from '../repository/unsound.ts';
import type { HeldPacks } from './held-packs.ts';
import { copyObject, type Mirror } from './mirror-object.ts';
import type { ReplicaClaim } from './replica-claim.ts';

const PARALLEL = 8;

export type Comparison = { readonly head: Head; readonly held: HeldPacks; readonly claim: ReplicaClaim; readonly keepAll: boolean };

/** Objects of which there are few and that no head names. */
export async function copyLoose(mirror: Mirror): Promise<void> {
  for (const prefix of [KEYS_PREFIX, UNSOUND_PREFIX]) {
    const there = new Set(await keysOf(mirror.replica, prefix, mirror));
    const wanted = (await keysOf(mirror.source, prefix, mirror)).filter((key) => !there.has(key));
    await forEachBounded(wanted, PARALLEL, async (key) => void (await copyObject(mirror, key, 'any')));
  }
}

/** To be called when the replica has the head that the source has. */
export async function compareListings(mirror: Mirror, { head, held, claim, keepAll }: Comparison): Promise<void> {
  const { progress, source, replica, signal } = mirror;
  const packs = new Set(await keysOf(replica, PACKS_PREFIX, mirror));
  const named = new Set([...held.packIds()].map(packKey));
  for (const { id } of readableIndexes(head)) named.add(indexKey(id));
  for (const { id } of head.condemned) if (id !== null) named.add(condemnedKey(id));
  const lost = [...held.packIds()].filter((packId) => !packs.has(packKey(packId)));
  await forEachBounded(lost, PARALLEL, async (packId) => {
    const key = packKey(packId);
    if ((await replica.size(key, { signal })) !== undefined) return;
    try {
      if ((await copyObject(mirror, key, 'named')) === undefined) progress.missing.set(key, 'neither place has it');
      else progress.missing.delete(key);
    } catch (error) {
      if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
      progress.missing.set(key, error.message);
    }
  });
  if (keepAll) return;
  const others = [
    ...(await keysOf(replica, INDEX_PREFIX, mirror)),
    ...(await keysOf(replica, CONDEMNED_PREFIX, mirror)),
    ...(await keysOf(replica, UNSOUND_PREFIX, mirror)),
    ...(await sessionKeysToDrop(mirror, held)),
    ...(await keysToDrop(mirror)),
  ];
  await claim.mustHold();
  const candidates = [...packs, ...others].filter((key) => !named.has(key));
  await forEachBounded(candidates, PARALLEL, async (key) => {
    if ((await source.size(key, { signal })) !== undefined) return;
    try {
      await replica.delete(key, { signal });
      progress.removed++;
    } catch (error) {
      // Locked for a time: later.
      if (!isFault(error, 'STORE_DENIED')) throw error;
    }
  });
}

/** Of sessions that this head does not need, and of those that are there under another pair, too. Never keys of a log. */
async function sessionKeysToDrop(mirror: Mirror, held: HeldPacks): Promise<string[]> {
  const keys = await keysOf(mirror.replica, SESSION_KEYS_PREFIX, mirror);
  const pairs = new Map<string, number>();
  const sessionOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
  for (const key of keys) pairs.set(sessionOf(key), (pairs.get(sessionOf(key)) ?? 0) + 1);
  return keys.filter((key) => {
    const session = sessionOf(key);
    const isNeeded = held.sessions.has(session) || session.startsWith(LOG_EPOCH_PREFIX);
    return !isNeeded || pairs.get(session)! > 1;
  });
}

async function keysToDrop(mirror: Mirror): Promise<string[]> {
  const there = new Set(await keysOf(mirror.source, KEYS_PREFIX, mirror));
  return there.size === 0 ? [] : (await keysOf(mirror.replica, KEYS_PREFIX, mirror)).filter((key) => !there.has(key));
}

async function keysOf(store: Mirror['source'], prefix: string, { signal }: Mirror): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list(prefix, { signal })) for (const { key } of page) keys.push(key);
  return keys;
}

// How far a replica is behind, as the two places say it themselves; and its release.

import { randomBytes } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import { decodeHead, type Head } from '../format/head.ts';
import type { ReplicaMark } from '../format/replica-mark.ts';
import { readableIndexes } from '../repository/head-changes.ts';
import { decodeIndexObject } from '../repository/index-objects.ts';
import type { Keyring } from '../repository/keyring.ts';
import { HEAD_REGISTER, hex, indexKey } from '../repository/layout.ts';
import { type RegisterCodec, registerCodec } from '../repository/register-codec.ts';
import { Registers } from '../repository/registers.ts';
import { readReplicaMark, swapReplicaMark } from '../repository/replica-mark.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { readProven } from './mirror-object.ts';

const RELEASE_ATTEMPTS_MAX = 20;
const SEQUENCES_AHEAD = 2 ** 32;

export type ReplicaStatus = {
  readonly mark: ReplicaMark;
  /** By the clock of who asks, against that of who copies. */
  readonly asOfSecondsAgo: number;
  /** Undefined when the source was not asked. */
  readonly behind?: {
    /** Changes of the head. */
    readonly changes: number;
    readonly snapshots: number;
    readonly packs: number;
    readonly bytes: number;
  };
};

/** Undefined when the place is no replica. */
export async function replicaStatus(
  replica: ObjectStore,
  source: ObjectStore | undefined,
  { keyring, now, signal }: { readonly keyring: Keyring; readonly now: Date; readonly signal: AbortSignal },
): Promise<ReplicaStatus | undefined> {
  const codec = registerCodec(keyring, randomBytes);
  const mark = (await readReplicaMark(replica, codec, { signal }))?.value;
  if (mark === undefined) return undefined;
  const asOfSecondsAgo = Math.max(0, (now.getTime() - Date.parse(mark.asOf)) / 1000);
  if (source === undefined) return { mark, asOfSecondsAgo };
  const headOf = async (store: ObjectStore): Promise<Head | undefined> => {
    const register = await store.read(HEAD_REGISTER, { signal });
    return register === undefined ? undefined : decodeHead(codec.decode(HEAD_REGISTER, register.bytes));
  };
  const [here, there] = await Promise.all([headOf(replica), headOf(source)]);
  if (there === undefined) throw new Fault('HEAD_MISSING', `The repository at ${source.location} has no head`);
  const had = new Set(here?.snapshots.map(({ session }) => session));
  const packs = await missingPacks(source, keyring, there, here, signal);
  return {
    mark,
    asOfSecondsAgo,
    behind: {
      changes: there.sequence - (here?.sequence ?? 0),
      snapshots: there.snapshots.filter(({ session }) => !had.has(session)).length,
      packs: packs.length,
      bytes: packs.reduce((sum, length) => sum + length, 0),
    },
  };
}

/** Their lengths. */
async function missingPacks(
  source: ObjectStore,
  keyring: Keyring,
  there: Head,
  here: Head | undefined,
  signal: AbortSignal,
): Promise<number[]> {
  const packsOf = async (ids: readonly string[]): Promise<Map<string, number>> => {
    const packs = new Map<string, number>();
    for (const id of ids) {
      const object = await readProven(source, indexKey(id), 'named', signal);
      for (const { packId, packLength } of object === undefined ? [] : decodeIndexObject(id, object, keyring))
        packs.set(hex(packId), packLength);
    }
    return packs;
  };
  const idsHere = new Set(here === undefined ? [] : readableIndexes(here).map(({ id }) => id));
  const fresh = readableIndexes(there)
    .map(({ id }) => id)
    .filter((id) => !idsHere.has(id));
  if (fresh.length === 0) return [];
  const packs = await packsOf(fresh);
  // A prune names again what was there before.
  const isMerged = here !== undefined && here.generation !== there.generation;
  for (const id of isMerged ? (await packsOf([...idsHere])).keys() : []) packs.delete(id);
  return [...packs.values()];
}

/** Numbers its head far ahead of whatever the old source may come to: that one can become its replica, and nobody who has seen the old head
 *  takes the new one for a head that was set back. */
async function goAhead(replica: ObjectStore, codec: RegisterCodec, mark: ReplicaMark, signal: AbortSignal): Promise<void> {
  const registers = new Registers(replica, codec, randomBytes);
  for (let attempt = 0; attempt < RELEASE_ATTEMPTS_MAX; attempt++) {
    const head = await registers.readHead({ signal });
    if (head === undefined) throw new Fault('HEAD_MISSING', `The replica at ${replica.location} has no head`);
    const sequence = mark.sequence + SEQUENCES_AHEAD;
    if (head.value.sequence >= sequence) return;
    if ((await registers.swapHead({ ...head.value, sequence }, head.version, { signal })) !== 'conflict') return;
  }
  throw new Fault('HEAD_CONTENTION', `The head of the replica at ${replica.location} changes too often`);
}

/** Makes the replica a repository of its own: from the moment on at which this answers no replication changes it any more, and others may.
 *  Again: nothing changes. REPLICA_FOREIGN when it is none, or not whole yet. */
export async function releaseReplica(
  replica: ObjectStore,
  keyring: Keyring,
  { by, reason, signal }: { readonly by: string; readonly reason: string; readonly signal: AbortSignal },
): Promise<ReplicaMark> {
  const codec = registerCodec(keyring, randomBytes);
  for (let attempt = 0; attempt < RELEASE_ATTEMPTS_MAX; attempt++) {
    const current = await readReplicaMark(replica, codec, { signal });
    if (current === undefined) throw new Fault('REPLICA_FOREIGN', `The repository at ${replica.location} is no replica`);
    if (current.value.state === 'released') {
      await goAhead(replica, codec, current.value, signal);
      return current.value;
    }
    if (current.value.state === 'seeding')
      throw new Fault('REPLICA_FOREIGN', `The replica at ${replica.location} is not whole yet: its first copy has not ended`);
    const mark: ReplicaMark = { ...current.value, state: 'released', releasedBy: by, reason };
    const swapped = await swapReplicaMark(replica, { codec, random: randomBytes }, mark, current.version, { signal });
    if (swapped !== 'conflict') {
      await goAhead(replica, codec, mark, signal);
      return mark;
    }
  }
  throw new Fault('HEAD_CONTENTION', `The mark of the replica at ${replica.location} changes too often`);
}

// The way back: a repository whose replica was released, and went on as the repository, becomes the replica of that one.
//
//   values of registers that only it has -> objects below left/ -> the list of left states -> the mark of a replica
//
// Only then does a replication write there. Its head is the one that was there, which the mark names, so the first head that is copied
// follows it: a release has numbered heads far ahead. Killed anywhere, the same call goes on; until the mark is there nothing has changed, and
// from then on it is a replica like any other that keeps all. Whoever changes it nevertheless is found by the next replication, which stops.

import { randomBytes } from 'node:crypto';
import { forEachBounded } from '../base/bounded.ts';
import { Fault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { decodeHead, type Head, SESSION_DIGITS } from '../format/head.ts';
import type { LeftState } from '../format/left-states.ts';
import { decodeLogCatalogue } from '../format/log-catalogue.ts';
import type { ReplicaMark } from '../format/replica-mark.ts';
import { rootsOf } from '../repository/head-changes.ts';
import { HEAD_REGISTER, hex } from '../repository/layout.ts';
import { leftKey, leftPrefix, readLeftStates, swapLeftStates } from '../repository/left-states.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { type RegisterCodec, registerCodec } from '../repository/register-codec.ts';
import { snapshotKey } from '../repository/registers.ts';
import { readReplicaMark, swapReplicaMark } from '../repository/replica-mark.ts';
import type { CallOptions, ObjectStore, RegisterValue } from '../store/object-store.ts';
import { LOG_PREFIX } from './mirror-logs.ts';
import { mustBeCopyOf } from './replication.ts';

const PARALLEL = 16;
const ATTEMPTS_MAX = 20;
const HOLDER_BYTES = 10;

export type Rejoin = {
  /** What was released, and is the repository now. */
  readonly source: OpenedRepository;
  /** What was the repository before. Nobody writes there any more. */
  readonly replica: ObjectStore;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

/** nothing: it is empty, or a replica of that source already. joined: it is one now; `left` when it held what the source does not have. */
export type Rejoined = { readonly kind: 'nothing' } | { readonly kind: 'joined'; readonly left: LeftState | undefined };

/** REPLICA_FOREIGN when the source is not a released replica of this repository, REPLICA_DIVERGED when it does not come after it. */
export async function rejoinAsReplica(rejoin: Rejoin): Promise<Rejoined> {
  const { source, replica, signal } = rejoin;
  const codec = registerCodec(source.keyring, randomBytes);
  const options = { signal };
  await mustBeCopyOf(source, replica, signal);
  const register = await replica.read(HEAD_REGISTER, options);
  if (register === undefined) return { kind: 'nothing' };
  const mark = await readReplicaMark(replica, codec, options);
  const digest = hex(objectId(register.bytes));
  const isReplica = mark !== undefined && mark.value.state !== 'released';
  if (isReplica && [mark.value.head, mark.value.next].includes(digest)) return { kind: 'nothing' };
  const origin = await readReplicaMark(source.store, codec, options);
  if (origin?.value.state !== 'released')
    throw new Fault(
      'REPLICA_FOREIGN',
      `The repository at ${source.store.location} is no replica that was released: ${replica.location} cannot follow it`,
    );
  const head = headOf(codec, register);
  const ahead = await source.store.read(HEAD_REGISTER, options);
  if (ahead === undefined) throw new Fault('HEAD_MISSING', `The repository at ${source.store.location} has no head`);
  const { sequence } = headOf(codec, ahead);
  if (sequence <= head.sequence)
    throw new Fault(
      'REPLICA_DIVERGED',
      `The head at ${source.store.location} is change ${sequence}, which does not come after change ${head.sequence} at ${replica.location}`,
    );
  const isKnown = digest === origin.value.head && (await hasAllLogs(source, replica, codec, head, options));
  const left = isKnown ? undefined : await leave(rejoin, codec, head, register);
  const next: ReplicaMark = {
    state: 'following',
    source: source.store.location,
    holder: hex(randomBytes(HOLDER_BYTES)),
    // It holds what the source held when that was released.
    asOf: origin.value.asOf,
    sequence: head.sequence,
    head: digest,
    next: null,
    releasedBy: '',
    reason: '',
  };
  const swapped = await swapReplicaMark(replica, { codec, random: randomBytes }, next, mark?.version, options);
  if (swapped === 'conflict')
    throw new Fault('REPLICA_TAKEN_OVER', `Somebody else changes what ${replica.location} is a replica of`);
  return { kind: 'joined', left };
}

/** Lets a state go: what only it names is waste from then on. Answers whether there was such a state. */
export async function discardLeftState(
  store: ObjectStore,
  codec: RegisterCodec,
  id: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  const changed = await changeStates(store, codec, (states) => states.filter((one) => one.id !== id), signal);
  for await (const page of store.list(leftPrefix(id), { signal }))
    await forEachBounded(page, PARALLEL, ({ key }) => store.delete(key, { signal }));
  return changed;
}

/** Its registers, as objects; then it is in the list. */
async function leave(
  { source, replica, now, signal }: Rejoin,
  codec: RegisterCodec,
  head: Head,
  register: RegisterValue,
): Promise<LeftState> {
  const keys = [
    ...[...rootsOf(head)].map(snapshotKey),
    ...(await assetsOf(replica, head, { signal })).map((asset) => `logs/${asset}`),
  ];
  const values = new Map<string, Uint8Array>([[HEAD_REGISTER, register.bytes]]);
  await forEachBounded(keys, PARALLEL, async (key) => {
    const value = await replica.read(key, { signal });
    if (value !== undefined) values.set(key, value.bytes);
  });
  const logs = [...values].filter(([key]) => !key.startsWith('snapshots/')).map(([, bytes]) => Buffer.from(objectId(bytes)));
  const id = hex(objectId(Buffer.concat(logs))).slice(0, SESSION_DIGITS);
  await forEachBounded(
    [...values],
    PARALLEL,
    async ([key, bytes]) => void (await replica.put(leftKey(id, key), bytes, { signal })),
  );
  const state: LeftState = { id, at: now().toISOString(), source: source.store.location, sequence: head.sequence };
  await changeStates(replica, codec, (states) => (states.some((one) => one.id === id) ? states : [...states, state]), signal);
  return state;
}

async function changeStates(
  store: ObjectStore,
  codec: RegisterCodec,
  change: (states: readonly LeftState[]) => readonly LeftState[],
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const current = await readLeftStates(store, codec, { signal });
    const states = current?.value ?? [];
    const next = change(states);
    if (next.length === states.length) return false;
    const parts = { codec, random: randomBytes };
    if ((await swapLeftStates(store, parts, next, current?.version, { signal })) !== 'conflict') return true;
  }
  throw new Fault('HEAD_CONTENTION', `The list of left states at ${store.location} changes too often`);
}

/** Whether the source's catalogues name every epoch that is named here. */
async function hasAllLogs(
  source: OpenedRepository,
  replica: ObjectStore,
  codec: RegisterCodec,
  head: Head,
  options: CallOptions,
): Promise<boolean> {
  const epochsAt = async (store: ObjectStore, asset: string): Promise<string[]> => {
    const value = await store.read(`logs/${asset}`, options);
    return value === undefined
      ? []
      : decodeLogCatalogue(codec.decode(`logs/${asset}`, value.bytes)).epochs.map(({ epoch }) => epoch);
  };
  for (const asset of await assetsOf(replica, head, options)) {
    const there = new Set(await epochsAt(source.store, asset));
    if ((await epochsAt(replica, asset)).some((epoch) => !there.has(epoch))) return false;
  }
  return true;
}

/** 32 hex. */
async function assetsOf(store: ObjectStore, head: Head, options: CallOptions): Promise<string[]> {
  const assets = new Set([
    ...head.snapshots.map(({ assetId }) => assetId),
    ...head.writers.flatMap(({ assetId }) => assetId ?? []),
  ]);
  for await (const page of store.list(LOG_PREFIX, options))
    for (const { key } of page) assets.add(key.slice(LOG_PREFIX.length).split('/')[0]!);
  return [...assets].sort();
}

function headOf(codec: RegisterCodec, { bytes }: RegisterValue): Head {
  return decodeHead(codec.decode(HEAD_REGISTER, bytes));
}

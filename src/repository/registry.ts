// Which snapshots there are: listing, forgetting, and holding on to one while it is read.

import { Fault, isFault } from '../base/faults.ts';
import type { Head, ProcessFacts } from '../format/head.ts';
import type { CommittedRegister } from '../format/snapshot-register.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { HeadKeeper } from './head.ts';
import { forget, pin, rootsOf, unpin } from './head-changes.ts';
import { hex } from './layout.ts';
import { sweepRegisters } from './sweep.ts';

const HOLDER_BYTES = 10;

/** The register of a snapshot of the registry (or one that is pinned). SNAPSHOT_NOT_FOUND when there is none, or no more. */
export async function readRegistered(heads: HeadKeeper, session: string, options?: CallOptions): Promise<CommittedRegister> {
  let state = 'not there';
  for (const look of ['before', 'after'] as const) {
    const current = await heads.registers.readSnapshot(session, options);
    if (current?.value.state === 'committed') return current.value;
    state = current?.value.state ?? state;
    // Committed before it is registered, deleted after it is forgotten: registered now, it must be there at the second look.
    if (look === 'before' && !rootsOf(await heads.read(options)).has(session)) throw notFound(session);
  }
  if (!rootsOf(await heads.read(options)).has(session)) throw notFound(session);
  throw new Fault('FORMAT_DAMAGED', `The snapshot ${session} is registered and its register is ${state}`);
}

/** Takes snapshots out of the registry, then deletes their registers (those that are pinned stay until they are not). Answers which of them
 *  were not there. */
export async function forgetSnapshots(
  heads: HeadKeeper,
  sessions: ReadonlySet<string>,
  options?: CallOptions,
): Promise<readonly string[]> {
  let absent: readonly string[] | undefined;
  await heads.change((head) => {
    const present = new Set(head.snapshots.map(({ session }) => session));
    // Counted at the first look: at a later one they may be absent because an earlier attempt has succeeded.
    absent ??= [...sessions].filter((session) => !present.has(session));
    return { next: [...sessions].some((session) => present.has(session)) ? forget(head, sessions) : undefined, result: undefined };
  }, options);
  await sweepRegisters(heads, options);
  return absent ?? [];
}

/** Without a holder it is not held: this is a replica, which nobody but its replication changes. */
export type PinnedSnapshot = { readonly holder: string | undefined; readonly head: Head };

/** Holds a snapshot: until `unpinSnapshot` no prune takes away what it needs, even when it is forgotten. Its packs may still move: a reader
 *  that finds one gone reads the head again. SNAPSHOT_NOT_FOUND. */
export async function pinSnapshot(
  heads: HeadKeeper,
  session: string,
  process: ProcessFacts,
  options?: CallOptions,
): Promise<PinnedSnapshot> {
  const holder = hex(heads.ports.random(HOLDER_BYTES));
  try {
    const { head, result } = await heads.change<boolean>((current) => {
      if (current.pins.some((other) => other.holder === holder)) return { result: true };
      const next = pin(current, { holder, session, at: heads.now(), ...process });
      return { next, result: next !== undefined };
    }, options);
    if (!result) throw notFound(session);
    return { holder, head };
  } catch (error) {
    if (!isFault(error, 'REPLICA_READ_ONLY')) throw error;
    const head = await heads.read(options);
    if (!rootsOf(head).has(session)) throw notFound(session);
    return { holder: undefined, head };
  }
}

export async function unpinSnapshot(heads: HeadKeeper, holder: string | undefined, options?: CallOptions): Promise<void> {
  if (holder !== undefined) await dropPins(heads, (pinned) => pinned.holder === holder, options);
}

/** Drops pins of readers that are dead or hang. A reader that loses its pin may find packs gone, and says so; it never reads wrong bytes. */
export async function dropPins(
  heads: HeadKeeper,
  isStale: (pin: Head['pins'][number]) => boolean,
  options?: CallOptions,
): Promise<number> {
  const { result } = await heads.change<number>((head) => {
    const holders = new Set(head.pins.filter(isStale).map(({ holder }) => holder));
    return holders.size === 0 ? { result: 0 } : { next: unpin(head, holders), result: holders.size };
  }, options);
  return result;
}

function notFound(session: string): Fault {
  return new Fault('SNAPSHOT_NOT_FOUND', `There is no snapshot ${session}`);
}

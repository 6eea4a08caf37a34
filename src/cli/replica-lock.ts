// Locks of a replica, kept by whoever keeps the replica: after each whole copy, and twice a day while it follows.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../base/faults.ts';
import { KeptLocks } from '../replica/kept-locks.ts';
import { hex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { cacheDirectoryOf } from './open.ts';
import type { Invocation } from './verb.ts';

const DAY_MS = 86_400_000;
const LOOK_MS = 60_000;

/** Nothing without --lock-days. */
export async function lockReplica(invocation: Invocation, source: OpenedRepository, replica: ObjectStore): Promise<void> {
  const locks = keptLocks(invocation, source);
  if (locks !== undefined) await tend(locks, invocation, source, replica);
}

/** Until the signal. Trouble is told, and it is tried again. */
export async function keepLocked(
  invocation: Invocation,
  source: OpenedRepository,
  { replica, isWhole, signal }: { readonly replica: ObjectStore; readonly isWhole: () => boolean; readonly signal: AbortSignal },
): Promise<void> {
  const locks = keptLocks(invocation, source);
  while (locks !== undefined && !signal.aborted) {
    try {
      if (isWhole()) await tend(locks, { ...invocation, signal }, source, replica);
    } catch (error) {
      if (signal.aborted) return;
      if (!isFault(error)) throw error;
      invocation.output.warning(error.message, { code: error.code });
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

function keptLocks(invocation: Invocation, { parameters }: OpenedRepository): KeptLocks | undefined {
  const days = invocation.options.count('lock-days');
  if (days === undefined) return undefined;
  return new KeptLocks({
    promisedMs: days * DAY_MS,
    directory: join(cacheDirectoryOf(invocation), hex(parameters.id)),
    nowMs: () => performance.now(),
    now: () => new Date(),
  });
}

async function tend(
  locks: KeptLocks,
  { output, signal }: Invocation,
  { keyring }: OpenedRepository,
  replica: ObjectStore,
): Promise<void> {
  const report = await locks.tend(replica, keyring, signal);
  if (report === undefined) return;
  const { locked, skipped, missing, until } = report;
  output.record('lock', { locked, skipped, missing: missing.length, until: until.toISOString() });
  for (const key of missing) output.warning(`${key} was deleted at the replica`, { key });
}

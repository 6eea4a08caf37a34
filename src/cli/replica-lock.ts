// Locks of a replica, kept by whoever keeps the replica: after each whole copy, and twice a day while it follows.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../base/faults.ts';
import { LockProgress, lockContents } from '../replica/lock-contents.ts';
import { LockMarks } from '../replica/lock-marks.ts';
import { hex } from '../repository/layout.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { systemTiming } from '../store/timing.ts';
import { cacheDirectoryOf } from './open.ts';
import type { Invocation } from './verb.ts';

const DAY_MS = 86_400_000;
const EVERY_MS = DAY_MS / 2;
const NOT_YET_MS = 60_000;
const PARALLEL = 8;
const SLACK_SHARE = 1 / 3;

/** Nothing without --lock-days. */
export async function lockReplica(invocation: Invocation, { keyring, parameters }: OpenedRepository, replica: ObjectStore) {
  const { options, output, signal } = invocation;
  const days = options.count('lock-days');
  if (days === undefined) return;
  const { locked, skipped, missing, until } = await lockContents({
    store: replica,
    keyring,
    lockMs: (days + 1) * DAY_MS,
    slackMs: Math.max(1, Math.round(days * SLACK_SHARE)) * DAY_MS,
    now: new Date(),
    marks: new LockMarks(join(cacheDirectoryOf(invocation), hex(parameters.id)), replica.location, {
      nowMs: () => performance.now(),
      forget: false,
    }),
    parallel: PARALLEL,
    timing: systemTiming,
    signal,
    progress: new LockProgress(),
  });
  output.record('lock', { locked, skipped, missing: missing.length, until: until.toISOString() });
  for (const key of missing) output.warning(`${key} was deleted at the replica`, { key });
}

/** Until the signal. Trouble is told, and it is tried again. */
export async function keepLocked(
  invocation: Invocation,
  source: OpenedRepository,
  { replica, isWhole, signal }: { readonly replica: ObjectStore; readonly isWhole: () => boolean; readonly signal: AbortSignal },
): Promise<void> {
  if (invocation.options.count('lock-days') === undefined) return;
  while (!signal.aborted) {
    let pauseMs = NOT_YET_MS;
    try {
      if (isWhole()) {
        await lockReplica(invocation, source, replica);
        pauseMs = EVERY_MS;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isFault(error)) throw error;
      invocation.output.warning(error.message, { code: error.code });
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

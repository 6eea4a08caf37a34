// The end of a drill: its processes, its namespaces, its directory. Looks afterwards whether anything is left, and says what. May be called any
// number of times, by the drill and by its watcher; needs nobody to be alive.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf, isAlive, type ProcessIdentity } from '../../src/base/process-identity.ts';
import type { RoomIdentity } from './room.ts';

const PATIENCE_MS = 8_000;
const LOOK_MS = 25;

export type Destruction = {
  readonly isGone: boolean;
  /** What was looked at, or what is left. */
  readonly text: string;
};

/** `room`: undefined when it was never made. */
export async function destroy(work: string, room: RoomIdentity | undefined): Promise<Destruction> {
  const until = Date.now() + PATIENCE_MS;
  const members = room === undefined ? [] : membersOf(room);
  // When the first process of a namespace dies the kernel ends all others in it, also those that were started behind our look. It has left its
  // namespaces before, and is dead only after the last of them.
  const first = room?.first ?? [];
  for (const one of first) if (isAlive(one)) tryKill(one.id);
  const remaining = (): ProcessIdentity[] => [...first.filter(isAlive), ...members.filter((one) => isThere(one, room!))];
  let left = remaining();
  while (left.length > 0 && Date.now() < until) {
    await sleep(LOOK_MS);
    left = remaining();
  }
  const kept = left.length === 0 ? removed(work, until) : [work];
  const problems = [...left.map(({ id }) => `the process ${id}`), ...kept];
  if (problems.length > 0) return { isGone: false, text: `left: ${problems.join(', ')}` };
  const rooms =
    room === undefined ? 'no room was made' : `${members.length} processes ended, none in ${room.processes} and ${room.network}`;
  return { isGone: true, text: `${rooms}; ${work} is removed` };
}

/** Processes in the room's namespaces. None when its first one is dead: then nobody is there any more, and the numbers of the namespaces may be
 *  those of another room by now. */
function membersOf(room: RoomIdentity): ProcessIdentity[] {
  if (!room.first.some((one) => isThere(one, room))) return [];
  return readdirSync('/proc').flatMap((name) => {
    const identity = /^\d+$/.test(name) ? identityOf(Number(name)) : undefined;
    return identity !== undefined && isThere(identity, room) ? [identity] : [];
  });
}

/** A process that is dead, but not yet asked for its status, is in no namespace. */
function isThere(one: ProcessIdentity, { network, processes }: RoomIdentity): boolean {
  return isAlive(one) && (namespaceOf(one.id, 'pid') === processes || namespaceOf(one.id, 'net') === network);
}

function namespaceOf(pid: number, name: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch {
    return undefined;
  }
}

/** What cannot be removed. A restore that was interrupted may still write for a moment. */
function removed(work: string, until: number): string[] {
  for (;;) {
    try {
      rmSync(work, { recursive: true, force: true });
      if (!existsSync(work)) return [];
    } catch (error) {
      // Restored files may say that their owner must not change a directory.
      spawnSync('chmod', ['-R', 'u+rwX', work]);
      if (Date.now() > until) return [`${work} (${(error as Error).message})`];
    }
    if (Date.now() > until) return [work];
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone.
  }
}

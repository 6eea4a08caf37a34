// Which process it was, so that a later one can tell whether it still lives: a number alone is given again. One that has ended and that its
// parent has not asked for its status (a zombie) is dead: in a container the first process often never asks.

import { readFileSync, readlinkSync } from 'node:fs';

export type ProcessIdentity = {
  readonly id: number;
  /** In ticks since the boot. */
  readonly startedAt: string;
  readonly bootId: string;
};

export function ownIdentity(): ProcessIdentity {
  return { id: process.pid, startedAt: statusOf(process.pid)?.startedAt ?? '', bootId: bootId() };
}

/** Of another process; undefined when there is none of that number that lives. */
export function identityOf(id: number): ProcessIdentity | undefined {
  const status = statusOf(id);
  return status === undefined || status.isDead ? undefined : { id, startedAt: status.startedAt, bootId: bootId() };
}

export function isAlive({ id, startedAt, bootId: boot }: ProcessIdentity): boolean {
  if (boot !== bootId() || startedAt === '') return false;
  const status = statusOf(id);
  return status?.startedAt === startedAt && !status.isDead;
}

/** Whether any process of that number lives, whichever it is. When in doubt: yes. */
export function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
  return statusOf(id)?.isDead !== true;
}

/** Changes with every boot of the host; 'unknown' where the system does not say. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

/** Where numbers of processes mean what they mean here: of this boot, and of this container, where every start gives the same ones again. */
export function numberingId(): string {
  try {
    return `${bootId()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return bootId();
  }
}

function statusOf(pid: number): { readonly startedAt: string; readonly isDead: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program stands in brackets and may hold blanks; behind it are the state and, as the 22nd field of all, the start.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { startedAt: fields[19] ?? '', isDead: fields[0] === 'Z' || fields[0] === 'X' };
  } catch {
    return undefined;
  }
}

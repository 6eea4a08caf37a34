// Which process it was, so that a later one can tell whether it still lives: a number alone is given again.

import { readFileSync } from 'node:fs';

export type ProcessIdentity = { readonly id: number; readonly startedAt: string; readonly bootId: string };

export function ownIdentity(): ProcessIdentity {
  return { id: process.pid, startedAt: startOf(process.pid) ?? '', bootId: bootId() };
}

/** Of another process; undefined when there is none of that number. */
export function identityOf(id: number): ProcessIdentity | undefined {
  const startedAt = startOf(id);
  return startedAt === undefined ? undefined : { id, startedAt, bootId: bootId() };
}

export function isAlive({ id, startedAt, bootId: boot }: ProcessIdentity): boolean {
  return boot === bootId() && startedAt !== '' && startOf(id) === startedAt;
}

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

/** In ticks since the boot. Undefined when there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

// Stopping a server for certain. All of its processes work in its data directory, its children in sessions of their own; so they are found by
// that, not by a process group. The proof that it is stopped: nobody works there any more.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;

/** Who works in the directory, the server's main process first. */
export function processesIn(dataDirectory: string): readonly number[] {
  const { dev, ino } = statSync(dataDirectory);
  const main = mainProcess(dataDirectory);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && worksIn(pid, dev, ino))
    .sort((a, b) => Number(b === main) - Number(a === main));
}

/** Immediate shutdown; what does not end within the grace, or stands still, is killed. Returns when nobody works there: the proof. */
export async function stopServer(dataDirectory: string, graceMs: number): Promise<void> {
  const [main] = processesIn(dataDirectory);
  if (main === undefined) return;
  // SIGQUIT: it ends at once without a checkpoint, as in a crash, and its clients get no answer any more.
  signal(main, 'SIGQUIT');
  const killsAt = performance.now() + graceMs;
  for (;;) {
    const left = processesIn(dataDirectory);
    if (left.length === 0) return;
    if (performance.now() >= killsAt) for (const pid of left) signal(pid, 'SIGKILL');
    await sleep(POLL_MS);
  }
}

function worksIn(pid: number, dev: number, ino: number): boolean {
  try {
    const cwd = statSync(`/proc/${pid}/cwd`);
    // One that is dead and not waited for has none.
    return cwd.dev === dev && cwd.ino === ino;
  } catch {
    return false;
  }
}

function mainProcess(dataDirectory: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8'), 10);
  } catch {
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone.
  }
}

// Stopping a server for certain. All of its processes work in its data directory, its children in sessions of their own; so they are found by
// that, not by a process group. The proof that it is stopped: nobody works there any more. Who may not look at the processes of the server's
// account (in a container without CAP_SYS_PTRACE, say) has no proof, and is told so: to it, a server that writes looked like none.

import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';

const POLL_MS = 10;
const CAP_SYS_PTRACE = 19n;

/** Before a server of another account is started: GATE_BLIND when its processes could not be looked at. */
export function mustSeeProcessesOf(account: number): void {
  if (account === process.geteuid!()) return;
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  if (((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 0n) throw blindTo(`the processes of the account ${account}`);
}

/** Who works in the directory, the server's main process first. GATE_BLIND when that cannot be seen. */
export function processesIn(dataDirectory: string): readonly number[] {
  const directory = statSync(dataDirectory);
  const main = mainProcess(dataDirectory);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && worksIn(pid, directory))
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

function worksIn(pid: number, { dev, ino, uid }: Stats): boolean {
  try {
    const cwd = statSync(`/proc/${pid}/cwd`);
    return cwd.dev === dev && cwd.ino === ino;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if ((code === 'EACCES' || code === 'EPERM') && accountOf(pid) === uid) throw blindTo(`the process ${pid}`);
    // One that is dead and not waited for has none.
    return false;
  }
}

function accountOf(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
}

function blindTo(what: string): Fault {
  return new Fault('GATE_BLIND', `Nobody can tell whether a server runs: this program may not look at ${what}`);
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

// Runs a command as a whole process and tells what it cost. Time is wall time by a monotonic clock around the process. CPU time and
// peak memory are what the kernel itself accounts to the process when it ends (GNU time reads it by wait4): every thread and every
// waited-for child counts in the CPU time; the peak is that of the largest single process.
//
// The machine may be shared: the CPU time that anybody else took during the run (all of /proc/stat, less the command's own and this
// process's) is part of the result, and a run in which it exceeds a limit is called noisy.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export type Command = {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

export type Cost = {
  readonly wallSeconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly peakBytes: number;
  /** The part of all cores' time that went elsewhere during the run: 0.08 is 8 %. */
  readonly foreignShare: number;
};

/** With the end of what the command printed. */
export type Measured = Cost & { readonly log: string };

/** /proc/stat counts in hundredths of a second per core; below this many seconds its own rounding is larger than the noise. */
const FOREIGN_SECONDS_MIN = 0.05;
const TICKS_PER_SECOND = 100;
const QUIET_SAMPLE_MS = 500;
const LOG_TAIL_BYTES = 4000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Seconds in which the machine's cores were busy since it started, whoever kept them so (a hypervisor's theft included). */
function busySeconds(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!;
  const [user, nice, system, , , irq, softirq, steal] = line.split(/\s+/).slice(1).map(Number) as number[];
  return (user! + nice! + system! + irq! + softirq! + (steal ?? 0)) / TICKS_PER_SECOND;
}

function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Waits until others use less than `share` of the machine, or until the patience is at an end. */
export async function waitForQuiet(share: number, patienceMs: number): Promise<void> {
  const end = performance.now() + patienceMs;
  while (performance.now() < end) {
    const [busy, own] = [busySeconds(), ownSeconds()];
    await setTimeout(QUIET_SAMPLE_MS);
    const foreign = busySeconds() - busy - (ownSeconds() - own);
    if (foreign / ((QUIET_SAMPLE_MS / 1000) * availableParallelism()) < share) return;
  }
}

function tailOf(path: string): string {
  const size = statSync(path).size;
  const bytes = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
  const fd = openSync(path, 'r');
  readSync(fd, bytes, 0, bytes.length, size - bytes.length);
  closeSync(fd);
  return bytes.toString('utf8');
}

function runToEnd(argv: readonly string[], command: Command, log: string): Promise<{ code: number | null; wallSeconds: number }> {
  return new Promise((resolve, reject) => {
    const fd = openSync(log, 'w');
    const start = process.hrtime.bigint();
    const child = spawn(argv[0]!, argv.slice(1), {
      env: { PATH, LC_ALL: 'C.UTF-8', ...command.env },
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      stdio: ['ignore', fd, fd],
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      const wallSeconds = Number(process.hrtime.bigint() - start) / 1e9;
      closeSync(fd);
      resolve({ code, wallSeconds });
    });
  });
}

/** Runs one command in the scratch directory; throws with the end of its output unless it exits with 0. */
export async function measure(command: Command, scratch: string): Promise<Measured> {
  const [log, account] = [join(scratch, 'log'), join(scratch, 'account')];
  rmSync(account, { force: true });
  const [busy, own] = [busySeconds(), ownSeconds()];
  const { code, wallSeconds } = await runToEnd(['time', '-q', '-f', '%U %S %M', '-o', account, ...command.argv], command, log);
  const [busyAfter, ownAfter] = [busySeconds(), ownSeconds()];
  if (code !== 0) throw new Error(`"${command.argv.join(' ')}" ended with ${code}:\n${tailOf(log)}`);
  const [userSeconds, systemSeconds, kibibytes] = readFileSync(account, 'utf8').trim().split(' ').map(Number) as [
    number,
    number,
    number,
  ];
  const foreign = busyAfter - busy - (ownAfter - own) - userSeconds - systemSeconds;
  const foreignShare = foreign < FOREIGN_SECONDS_MIN ? 0 : foreign / (wallSeconds * availableParallelism());
  return {
    wallSeconds,
    userSeconds,
    systemSeconds,
    peakBytes: kibibytes * 1024,
    foreignShare,
    log: readFileSync(log, 'utf8').slice(-LOG_TAIL_BYTES),
  };
}

/** Runs commands one after the other as one operation: times are sums, the peak is the highest, foreign time is weighted by duration. */
export async function measureAll(commands: readonly Command[], scratch: string): Promise<Measured> {
  const costs: Measured[] = [];
  for (const command of commands) costs.push(await measure(command, scratch));
  const sum = (of: (cost: Cost) => number) => costs.reduce((total, cost) => total + of(cost), 0);
  const wallSeconds = sum((c) => c.wallSeconds);
  return {
    wallSeconds,
    userSeconds: sum((c) => c.userSeconds),
    systemSeconds: sum((c) => c.systemSeconds),
    peakBytes: Math.max(...costs.map((c) => c.peakBytes)),
    foreignShare: sum((c) => c.foreignShare * c.wallSeconds) / wallSeconds,
    log: costs.at(-1)?.log ?? '',
  };
}

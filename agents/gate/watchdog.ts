// The parent of the server, in a process of its own: it stops the server when its time is over, whatever became of the gate. The gate may be
// killed or stand still; the deadline that it gave last stays. When this process dies the kernel kills the server's main process, and the gate
// the rest. A program: fork it, and speak with it (watchdog-messages.ts).

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { bootMs } from './boot-clock.ts';
import { stopServer } from './server-processes.ts';
import { removeToken } from './token-file.ts';
import type { FromWatchdog, ToWatchdog, WatchdogOptions } from './watchdog-messages.ts';

/** Timers may be late or, after a sleep of the host, very late: so the clock is looked at often. */
const LOOK_MS = 20;
const FAST_TIMEOUT_MS = 60_000;

class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #server: ChildProcess;
  #untilMs: number | null;
  #isStopping = false;

  constructor(options: WatchdogOptions, untilMs: number | null) {
    this.#options = options;
    this.#untilMs = untilMs;
    const { programs, dataDirectory, args, owner } = options;
    const log = openSync(join(dataDirectory, 'server.log'), 'a', 0o600);
    const words = ['--pdeathsig', 'KILL', '--', join(programs, 'postgres'), '-D', dataDirectory, ...args];
    this.#server = spawn('setpriv', words, { ...owner, cwd: '/', stdio: ['ignore', log, log] });
    closeSync(log);
    this.#server.once('error', () => void this.stop('it could not be started'));
    this.#server.once('exit', () => void this.stop('it ended'));
    this.#server.once('spawn', () => tell({ kind: 'started', pid: this.#server.pid! }));
    const timer = setInterval(() => {
      if (!this.#isOver()) return;
      clearInterval(timer);
      void this.stop('its time was over');
    }, LOOK_MS);
  }

  until(number: number, untilMs: number | null): void {
    // What is over stays over: the gate starts a new watchdog.
    if (this.#isStopping || this.#isOver()) return;
    this.#untilMs = untilMs;
    tell({ kind: 'armed', number });
  }

  /** Ends as soon as its clients are cut off and its checkpoint is written; the deadline goes on. */
  stopFast(): void {
    this.#server.kill('SIGINT');
    setTimeout(() => void this.stop('it did not end in order'), FAST_TIMEOUT_MS).unref();
  }

  async stop(why: string): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    removeToken(this.#options.tokenFile);
    await stopServer(this.#options.dataDirectory, this.#options.graceMs);
    tell({ kind: 'stopped', why }, () => process.exit(0));
  }

  #isOver(): boolean {
    return this.#untilMs !== null && bootMs() >= this.#untilMs;
  }
}

function tell(message: FromWatchdog, then: () => void = () => {}): void {
  if (process.connected) process.send?.(message, then);
  else then();
}

function main(): void {
  let watchdog: Watchdog | undefined;
  process.on('message', (message: ToWatchdog) => {
    if (message.kind === 'start') watchdog = new Watchdog(message.options, message.untilMs);
    else if (message.kind === 'until') watchdog?.until(message.number, message.untilMs);
    else if (message.how === 'fast') watchdog?.stopFast();
    else void watchdog?.stop('it was told to');
  });
  // The gate is gone: the server goes on until its time is over, or ends now if it has none.
  process.on('disconnect', () => {
    if (watchdog === undefined) process.exit(0);
  });
  process.on('SIGTERM', () => void watchdog?.stop('the watchdog was told to end'));
}

if (process.argv[1] === import.meta.filename) main();

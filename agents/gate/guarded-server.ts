// The gate's side of a server under a watchdog.

import { type ChildProcess, fork } from 'node:child_process';
import { Fault } from '../../src/base/faults.ts';
import { processesIn, stopServer } from './server-processes.ts';
import { type Token, writeToken } from './token-file.ts';
import type { FromWatchdog, ToWatchdog, WatchdogOptions } from './watchdog-messages.ts';

export class GuardedServer {
  readonly #watchdog: ChildProcess;
  readonly #armed = new Map<number, () => void>();
  #number = 0;
  #pid: number | undefined;
  #why: string | undefined;
  /** Settles when the server is proven to be stopped. Never rejects. */
  readonly stopped: Promise<string>;
  readonly started: Promise<number>;

  /** `untilMs`: when it is stopped unless a later time is armed. Nobody may work in the data directory. */
  static start(options: WatchdogOptions, token: Token, untilMs: number | null): GuardedServer {
    const [running] = processesIn(options.dataDirectory);
    if (running !== undefined)
      throw new Fault('GATE_BUSY', `The process ${running} works in the data directory ${options.dataDirectory}`);
    writeToken(options.tokenFile, token);
    return new GuardedServer(options, untilMs);
  }

  private constructor(options: WatchdogOptions, untilMs: number | null) {
    // Detached: what is sent to the gate's group, an interrupt for example, is not for it.
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    this.#watchdog = fork(new URL('./watchdog.ts', import.meta.url), [], { stdio: [...stdio], detached: true });
    const started = Promise.withResolvers<number>();
    this.started = started.promise;
    // Who only waits for the end need not look.
    this.started.catch(() => {});
    this.#watchdog.on('message', (message: FromWatchdog) => {
      if (message.kind === 'started') {
        this.#pid = message.pid;
        started.resolve(message.pid);
      } else if (message.kind === 'armed') {
        this.#armed.get(message.number)?.();
        this.#armed.delete(message.number);
      } else this.#why = message.why;
    });
    this.stopped = new Promise((resolve) => {
      // Dead, whatever way: the kernel has killed the main process, and what is left is stopped here.
      const gone = async (how: string): Promise<void> => {
        await stopServer(options.dataDirectory, 0);
        this.#why ??= `the watchdog died (${how})`;
        started.reject(new Fault('GATE_SERVER_FAILED', `The server in ${options.dataDirectory} did not start: ${this.#why}`));
        resolve(this.#why);
      };
      this.#watchdog.once('error', (error) => void gone(error.message));
      this.#watchdog.once('close', (code, signal) => void gone(signal ?? `exit status ${code}`));
    });
    this.#send({ kind: 'start', options, untilMs });
  }

  /** Why it is stopped; undefined: it is not. */
  get stoppedBy(): string | undefined {
    return this.#why;
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  get watchdogPid(): number | undefined {
    return this.#watchdog.pid;
  }

  /** Resolves to true when the watchdog has taken the new time over. False: within the patience it did not; the old time stands. */
  async arm(untilMs: number | null, patienceMs: number): Promise<boolean> {
    const number = ++this.#number;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#armed.set(number, () => resolve(true));
    const timer = setTimeout(() => resolve(false), patienceMs);
    this.#send({ kind: 'until', number, untilMs });
    const isArmed = await Promise.race([promise, this.stopped.then(() => false)]);
    clearTimeout(timer);
    this.#armed.delete(number);
    return isArmed;
  }

  async stop(how: 'fast' | 'immediate'): Promise<string> {
    this.#send({ kind: 'stop', how });
    return this.stopped;
  }

  /** For a watchdog that stands still: the gate stops the server by itself. */
  async kill(): Promise<string> {
    this.#watchdog.kill('SIGKILL');
    return this.stopped;
  }

  #send(message: ToWatchdog): void {
    if (this.#watchdog.connected) this.#watchdog.send(message, () => {});
  }
}

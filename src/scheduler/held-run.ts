// A run that this process holds: keeps its lease alive, tells how far it is, and hears that it was canceled or belongs to somebody else.
//
// When the lease cannot be prolonged for as long as it lasts (by a clock that nobody can set), it is as good as lost: somebody else may have the
// run by now, so its work is killed.

import type { Logger } from 'pino';
import { KILL } from '../base/program-child.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import type { Progress, Run } from '../model/run.ts';

export type HeldRunOptions = {
  readonly catalog: Pick<Catalog, 'runs'>;
  readonly now: () => Date;
  readonly monotonic: () => number;
  readonly log: Pick<Logger, 'warn'>;
  readonly leaseMs: number;
};

export class HeldRun {
  readonly run: Run;
  readonly #options: HeldRunOptions;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #prolonged: number;
  #progress: Progress | undefined;
  #beat: Promise<void> | undefined;

  constructor(run: Run, options: HeldRunOptions) {
    this.run = run;
    this.#options = options;
    this.#prolonged = options.monotonic();
    this.#timer = setInterval(() => void this.beat(), Math.ceil(options.leaseMs / 4));
  }

  /** Aborted with 'canceled', 'stopping' or KILL. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** True when nothing may be said about the run any more. */
  get isLost(): boolean {
    return this.signal.reason === KILL;
  }

  /** Prolongs the lease, and hears what was said about the run meanwhile. */
  beat(): Promise<void> {
    this.#beat ??= this.#prolong();
    return this.#beat;
  }

  tell(progress: Omit<Progress, 'at'>): void {
    this.#progress = { ...progress, at: instantOf(this.#options.now()) };
  }

  stop(reason: 'canceled' | 'stopping' | typeof KILL): void {
    this.#controller.abort(reason);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beat;
  }

  async #prolong(): Promise<void> {
    const { catalog, now, monotonic, log, leaseMs } = this.#options;
    const begun = monotonic();
    try {
      const answer = await catalog.runs.extend(this.run.id, this.run.fence, instantOf(now()), leaseMs, this.#progress);
      if (answer === 'fenced') this.stop(KILL);
      else {
        this.#prolonged = begun;
        if (answer.cancelRequestedAt !== undefined) this.stop('canceled');
      }
    } catch (error) {
      log.warn({ err: error, run: this.run.id }, 'a lease could not be prolonged');
      if (monotonic() - this.#prolonged > leaseMs) this.stop(KILL);
    } finally {
      this.#beat = undefined;
    }
  }
}

import { availableParallelism, loadavg } from 'node:os';

const BEAT_MS = 50;
const LOAD_MAX = 3;

/** Whether this machine had time for its processes: how late a timer was at the most, and how many wait for a processor. Where it had none, what
 *  stops by a lease does so by right. */
export class MachinePulse {
  #latestMs = 0;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#latestMs = Math.max(this.#latestMs, now - last - BEAT_MS);
      last = now;
    }, BEAT_MS);
  }

  wasLateBy(ms: number): boolean {
    return this.#latestMs > ms || loadavg()[0]! > LOAD_MAX * availableParallelism();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

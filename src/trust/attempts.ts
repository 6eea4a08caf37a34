// Guessing is slow: after a few failures under one name, or from one address, further attempts are refused for a while that doubles with
// each failure. Kept in memory with a bounded number of names: what it protects is slow and long anyway (scrypt, 256-bit secrets).

export type AttemptLimits = {
  readonly freeFailures: number;
  readonly waitMsFirst: number;
  readonly waitMsMax: number;
  /** Names remembered at a time; the longest silent one is forgotten. */
  readonly namesMax: number;
};

export const LOGIN_LIMITS: AttemptLimits = { freeFailures: 5, waitMsFirst: 1000, waitMsMax: 15 * 60_000, namesMax: 10_000 };
/** Of one address, behind which there may be many people. */
export const ADDRESS_LIMITS: AttemptLimits = { freeFailures: 50, waitMsFirst: 1000, waitMsMax: 60_000, namesMax: 10_000 };

type Failures = { readonly count: number; readonly until: number; readonly waitMs: number };

export class Attempts {
  readonly #limits: AttemptLimits;
  readonly #now: () => Date;
  readonly #failures = new Map<string, Failures>();

  constructor(limits: AttemptLimits, now: () => Date) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How long `name` has to wait; 0: it may try. */
  waitMs(name: string): number {
    const { until, waitMs } = this.#failures.get(name) ?? { until: 0, waitMs: 0 };
    // Never longer than was meant, also when the clock is put back.
    return Math.min(waitMs, Math.max(0, until - this.#now().getTime()));
  }

  /** Counts an attempt before it is known how it ends, so that many at once are many. */
  failed(name: string): void {
    const { freeFailures, waitMsFirst, waitMsMax, namesMax } = this.#limits;
    const count = (this.#failures.get(name)?.count ?? 0) + 1;
    const wait = count < freeFailures ? 0 : Math.min(waitMsMax, waitMsFirst * 2 ** Math.min(count - freeFailures, 30));
    this.#failures.delete(name);
    this.#failures.set(name, { count, until: this.#now().getTime() + wait, waitMs: wait });
    if (this.#failures.size > namesMax) this.#failures.delete(this.#failures.keys().next().value!);
  }

  succeeded(name: string): void {
    this.#failures.delete(name);
  }
}

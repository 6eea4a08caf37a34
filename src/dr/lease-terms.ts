// How long a promise of time holds between machines whose clocks only nearly agree. Times are those of a machine's own clock that never goes
// back; only lengths are compared between machines, never instants.
//
// Who relies on a lease counts `ttlMs` from before the request. Who waits for its end counts `waitOutMs` from after the answer that says that
// it cannot be renewed any more. The first began earlier, and ends earlier by any two clocks whose rates differ by less than `drift`. The
// margin is for what happens after the end: the server must be proven stopped within it.

export type LeaseTerms = {
  readonly ttlMs: number;
  /** How much faster one clock may run than another: 0.02 is two percent, far more than any working clock needs. */
  readonly drift: number;
  /** From the end of a lease until its holder's server is stopped, whatever hangs. */
  readonly marginMs: number;
};

export function waitOutMs({ ttlMs, drift, marginMs }: LeaseTerms): number {
  return Math.ceil(ttlMs * (1 + drift)) + marginMs;
}

// Repeats calls that failed with a fault whose verdict is 'later', with exponential backoff and full jitter: before attempt n it
// waits a random time between 0 and min(cap, base * 2^n), so that many clients do not come back together. It gives up after so
// many attempts or when the next wait would end after the time for the whole call; the last fault is thrown. The caller's signal
// ends a wait at once.
//
// A run of hours should outlive a gateway that is started anew. So with `patience` attempts do not count while a store that has answered before
// answers nobody at all: then the time for the whole call is the limit, and the outage's, so that what is called after it has ended a run
// ends soon. A store that has never answered, and one that answers others, is given up after so many attempts as ever.
//
// Repeating is safe because the port is made for it: a repeated put answers 'exists', a repeated swap answers truthfully, a listing
// goes on where it was.

import { type Fault, type FaultCode, isFault } from '../base/faults.ts';
import type { ObjectStore } from './object-store.ts';
import type { Timing } from './timing.ts';
import { wrapVault } from './wrap-vault.ts';

export type RetryOptions = {
  readonly attemptsMax: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** For one call with all its attempts and waits. */
  readonly totalMs: number;
};

export const RETRY: RetryOptions = { attemptsMax: 8, baseMs: 200, capMs: 20_000, totalMs: 5 * 60_000 };

export type Patience = {
  /** Ends it: who interrupts a run does not want to wait. */
  readonly signal: AbortSignal;
  /** Once in each outage that is longer than a moment; it is waited for so long from its beginning. */
  readonly onOutage: (fault: Fault, waitMs: number) => void;
  /** After `onOutage`: the store answers again. */
  readonly onAnswer: () => void;
};

const OUTAGE: readonly FaultCode[] = ['STORE_UNREACHABLE', 'STORE_TIMEOUT', 'STORE_THROTTLED'];
const TELL_AFTER_MS = 3_000;

export function withRetry(inner: ObjectStore, options: RetryOptions, timing: Timing, patience?: Patience): ObjectStore {
  const outages = new Outages(patience, options.totalMs, timing);
  const call = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) => repeat(work, options, timing, outages, signal);
  return {
    location: inner.location,
    put: (key, bytes, o) => call(o?.signal, () => inner.put(key, bytes, o)),
    get: (key, range, o) => call(o?.signal, () => inner.get(key, range, o)),
    size: (key, o) => call(o?.signal, () => inner.size(key, o)),
    delete: (key, o) => call(o?.signal, () => inner.delete(key, o)),
    read: (key, o) => call(o?.signal, () => inner.read(key, o)),
    swap: (key, bytes, version, o) => call(o?.signal, () => inner.swap(key, bytes, version, o)),
    probe: (o) => call(o?.signal, () => inner.probe(o)),
    list: (prefix, o) => ({
      [Symbol.asyncIterator]: () => {
        const pages = inner.list(prefix, o)[Symbol.asyncIterator]();
        return { next: () => call(o?.signal, () => pages.next()) };
      },
    }),
    ...wrapVault(inner.vault, (_, o, work) => call(o?.signal, work)),
    ...(inner.lockedForMs && { lockedForMs: (o) => call(o?.signal, () => inner.lockedForMs!(o)) }),
    ...(inner.localPath && { localPath: inner.localPath.bind(inner) }),
    close: () => inner.close(),
  };
}

async function repeat<T>(
  work: () => Promise<T>,
  options: RetryOptions,
  timing: Timing,
  outages: Outages,
  signal: AbortSignal | undefined,
): Promise<T> {
  const startMs = timing.nowMs();
  let counted = 0;
  let answersBefore = outages.answers;
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await work();
      outages.answered();
      return result;
    } catch (error) {
      if (!isFault(error)) throw error;
      if (error.retry !== 'later') {
        outages.answered();
        throw error;
      }
      if (!outages.isOne(error, answersBefore)) counted++;
      if (counted >= options.attemptsMax) throw error;
      answersBefore = outages.answers;
      await wait(attempt, startMs, error, options, timing, signal);
    }
  }
}

/** What the calls of one store know of each other. */
class Outages {
  readonly #patience: Patience | undefined;
  readonly #waitMs: number;
  readonly #timing: Timing;
  #answers = 0;
  #sinceMs: number | undefined;
  #isTold = false;

  constructor(patience: Patience | undefined, waitMs: number, timing: Timing) {
    this.#patience = patience;
    this.#waitMs = waitMs;
    this.#timing = timing;
  }

  get answers(): number {
    return this.#answers;
  }

  answered(): void {
    this.#answers++;
    this.#sinceMs = undefined;
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#patience?.onAnswer();
  }

  /** Whether `fault` is a part of one that is waited for. */
  isOne(fault: Fault, answersBefore: number): boolean {
    if (this.#patience === undefined || this.#answers === 0 || this.#answers !== answersBefore) return false;
    if (this.#patience.signal.aborted || !isFault(fault, ...OUTAGE)) return false;
    const nowMs = this.#timing.nowMs();
    this.#sinceMs ??= nowMs;
    const pastMs = nowMs - this.#sinceMs;
    if (pastMs >= TELL_AFTER_MS && !this.#isTold) {
      this.#isTold = true;
      this.#patience.onOutage(fault, this.#waitMs);
    }
    return pastMs < this.#waitMs;
  }
}

async function wait(
  attempt: number,
  startMs: number,
  fault: Fault,
  options: RetryOptions,
  timing: Timing,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ms = timing.random() * Math.min(options.capMs, options.baseMs * 2 ** attempt);
  if (timing.nowMs() - startMs + ms > options.totalMs) throw fault;
  await timing.sleep(ms, signal);
}

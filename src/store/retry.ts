// Repeats calls that failed with a fault whose verdict is 'later', with exponential backoff and full jitter: before attempt n it
// waits a random time between 0 and min(cap, base * 2^n), so that many clients do not come back together. It gives up after so
// many attempts or when the next wait would end after the time for the whole call; the last fault is thrown. The caller's signal
// ends a wait at once.
//
// Repeating is safe because the port is made for it: a repeated put answers 'exists', a repeated swap answers truthfully, a listing
// goes on where it was.

import { type Fault, isFault } from '../base/faults.ts';
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

export function withRetry(inner: ObjectStore, options: RetryOptions, timing: Timing): ObjectStore {
  const call = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) => repeat(work, options, timing, signal);
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
  signal: AbortSignal | undefined,
): Promise<T> {
  const startMs = timing.nowMs();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isFault(error) || error.retry !== 'later' || attempt >= options.attemptsMax) throw error;
      await wait(attempt, startMs, error, options, timing, signal);
    }
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

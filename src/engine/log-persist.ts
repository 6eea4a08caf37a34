// Storing what must not be lost: again and again, as long as the fault may pass. What was captured is held until it is stored.

import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../base/faults.ts';

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;

/** Ends with the signal, or with a fault that does not pass. A full store is waited for: somebody can make room. */
export async function persist<T>(work: () => Promise<T>, signal: AbortSignal, onTrouble: (error: unknown) => void): Promise<T> {
  for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isFault(error) || (error.retry === 'never' && error.code !== 'STORE_FULL')) throw error;
      onTrouble(error);
      await sleep(waitMs, undefined, { signal });
    }
  }
}

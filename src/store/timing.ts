// Time and chance as a value, so that tests hand down their own.

import { setTimeout as wait } from 'node:timers/promises';

export type Timing = {
  /** A clock that never goes back, in milliseconds. */
  readonly nowMs: () => number;
  /** Settles after `ms`, or rejects with the signal's reason. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Evenly spread over [0, 1). */
  readonly random: () => number;
};

export const systemTiming: Timing = {
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await wait(ms, undefined, signal === undefined ? undefined : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
  random: () => Math.random(),
};

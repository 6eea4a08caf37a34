import type { Timing } from '../../src/store/timing.ts';
import { seededRandom } from './seeded-random.ts';

export type InstantTiming = Timing & {
  /** How long each sleep was asked to be. */
  readonly sleepsMs: number[];
};

/** A clock that jumps instead of waiting. */
export function instantTiming(seed = 1): InstantTiming {
  let nowMs = 0;
  const sleepsMs: number[] = [];
  return {
    sleepsMs,
    nowMs: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleepsMs.push(ms);
      nowMs += ms;
    },
    random: seededRandom(seed),
  };
}

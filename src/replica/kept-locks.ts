// Locks of a place, kept by whoever keeps the place: at once, and then twice a day, always for a day more than was promised, so that what
// remains is never less.

import type { Keyring } from '../repository/keyring.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { systemTiming } from '../store/timing.ts';
import { LockProgress, type LockReport, lockContents, usualSlackMs } from './lock-contents.ts';
import { LockMarks } from './lock-marks.ts';

const DAY_MS = 86_400_000;
const EVERY_MS = DAY_MS / 2;
const PARALLEL = 8;

export type KeptLocksOptions = {
  /** For how long from now on nobody shall be able to delete what is there. */
  readonly promisedMs: number;
  /** For what is known to be locked; may be lost. */
  readonly directory: string;
  /** Never goes back. */
  readonly nowMs: () => number;
  readonly now: () => Date;
};

export class KeptLocks {
  readonly #options: KeptLocksOptions;
  #nextAtMs = 0;
  #missing: readonly string[] = [];

  constructor(options: KeptLocksOptions) {
    this.#options = options;
  }

  /** What the last run found to be deleted, as keys. */
  get missing(): readonly string[] {
    return this.#missing;
  }

  /** Locks when it is time for it; undefined: it is not. STORE_NO_OBJECT_LOCK, HEAD_MISSING. */
  async tend(store: ObjectStore, keyring: Keyring, signal: AbortSignal): Promise<LockReport | undefined> {
    const { promisedMs, directory, nowMs, now } = this.#options;
    if (nowMs() < this.#nextAtMs) return undefined;
    const report = await lockContents({
      store,
      keyring,
      lockMs: promisedMs + DAY_MS,
      slackMs: usualSlackMs(promisedMs),
      now: now(),
      marks: new LockMarks(directory, store.location, { nowMs, forget: false }),
      parallel: PARALLEL,
      timing: systemTiming,
      signal,
      progress: new LockProgress(),
    });
    this.#missing = report.missing;
    this.#nextAtMs = nowMs() + EVERY_MS;
    return report;
  }
}

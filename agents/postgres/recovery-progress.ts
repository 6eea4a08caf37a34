// How far the restore of a cluster is, and how long the rest will take at the speed of its phase so far. The log that is still to be replayed
// while the base is on its way is taken to go at the base's speed: nobody knows better yet.

import { RestoreProgress } from '../../src/engine/restore-progress.ts';

export type RecoveryPhase = 'plan' | 'base' | 'log' | 'reached';

/** Earlier a speed says nothing. */
const ESTIMATE_AFTER_MS = 1_000;

export class RecoveryProgress extends RestoreProgress {
  phase: RecoveryPhase = 'plan';
  /** Content of the base backup. */
  baseBytes = 0;
  logBytesTotal = 0;
  /** Replayed. */
  logBytesDone = 0;
  #phaseBegan = 0;

  enter(phase: RecoveryPhase, nowMs: number): void {
    this.phase = phase;
    this.#phaseBegan = nowMs;
  }

  get allBytesTotal(): number {
    return this.baseBytes + this.logBytesTotal;
  }

  get allBytesDone(): number {
    const base = this.phase === 'log' || this.phase === 'reached' ? this.baseBytes : Math.min(this.bytesDone, this.baseBytes);
    return base + (this.phase === 'reached' ? this.logBytesTotal : Math.min(this.logBytesDone, this.logBytesTotal));
  }

  /** Milliseconds; undefined while it cannot be told. */
  remainingMs(nowMs: number): number | undefined {
    if (this.phase === 'reached') return 0;
    const elapsed = nowMs - this.#phaseBegan;
    const done = this.phase === 'log' ? this.logBytesDone : this.bytesDone;
    if (this.phase === 'plan' || elapsed < ESTIMATE_AFTER_MS || done <= 0) return undefined;
    return ((this.allBytesTotal - this.allBytesDone) / done) * elapsed;
  }
}

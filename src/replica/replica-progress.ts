// What a replication has done and how far behind it is, as counters that anybody may look at.

export class ReplicaProgress {
  packs = 0;
  /** Of objects that were stored at the replica. */
  bytesCopied = 0;
  logObjects = 0;
  /** Of the state that is being copied: what is not there yet. */
  headBytesBehind = 0;
  logBytesBehind = 0;
  /** When a look at the source began that found nothing which the replica lacks; undefined before the first one. On a clock that only goes
   *  forward, milliseconds. */
  headCurrentAtMs: number | undefined;
  logCurrentAtMs: number | undefined;
  /** Something can be restored from it: the first copy is over. */
  isWhole = false;
  removed = 0;
  /** Objects that the source names and cannot give: by their keys, why. */
  readonly missing = new Map<string, string>();

  /** How old the newest state is that the replica holds whole; undefined while it holds none. An upper bound: nothing may have changed. */
  lagSeconds(nowMs: number): number | undefined {
    if (this.headCurrentAtMs === undefined || this.logCurrentAtMs === undefined) return undefined;
    return Math.max(0, nowMs - Math.min(this.headCurrentAtMs, this.logCurrentAtMs)) / 1000;
  }

  /** For how long it may lack log that the source has; undefined while nothing can be restored from it. A base backup that is on its way takes
   *  nothing away from the log behind the one before. */
  logLagSeconds(nowMs: number): number | undefined {
    if (!this.isWhole || this.logCurrentAtMs === undefined) return undefined;
    return Math.max(0, nowMs - this.logCurrentAtMs) / 1000;
  }

  get bytesBehind(): number {
    return this.headBytesBehind + this.logBytesBehind;
  }
}

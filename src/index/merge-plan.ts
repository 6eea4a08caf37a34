// Which runs to merge: always the newest ones together, so that newer stays newer. After it each run has at least RATIO times the
// records of all newer runs together, or there is one small run; so there are few (7 at 100 million records), and a record is
// written about log RATIO + 1 times in its life.

export const RUNS_MAX = 8;
const RATIO = 3;
/** Runs of fewer records are always merged: it takes milliseconds. */
export const SMALL_RUN_RECORDS = 64 * 1024;

/** Record counts from the oldest run to the newest; answers how many of the newest are to be merged, 0 for none. */
export function planMerge(records: readonly number[], smallRunRecords: number = SMALL_RUN_RECORDS): number {
  let merged = 0;
  let newer = records.at(-1) ?? 0;
  for (let i = records.length - 2; i >= 0; i--) {
    const tooMany = i + 2 > RUNS_MAX;
    if (tooMany || records[i]! < smallRunRecords || records[i]! < RATIO * newer) merged = records.length - i;
    newer += records[i]!;
  }
  return merged;
}

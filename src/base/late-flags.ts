// Flags of V8 that are set when Node has loaded what nearly every program of ours needs of its own modules, and not where Node is started: what Node
// has compiled of them counts only under default flags (25 ms of a short command). After this only our own are loaded.
//
// - Memory (measured on a backup of 60,000 files: 300 MiB without, 205 with): heaps are collected before they have doubled. Yet below 24 MiB a
//   thread's is not marked: V8 would do so while it loads its code (10 ms for each thread of a restore).
// - A run is short, and each of its threads compiles for itself: V8's two optimizing compilers are for functions that are called often indeed
//   (measured on a restore of 60,000 files: 0.39 CPU seconds with counts of 400 and 10,000, 0.12 with these, and no more in what they compile).
// - The last one keeps V8 from aborting: see bin/node.

import { setFlagsFromString } from 'node:v8';

const LATE_FLAGS = [
  '--heap-growing-percent=30',
  '--initial-old-space-size=24',
  '--invocation-count-for-maglev=2000',
  '--invocation-count-for-turbofan=100000',
  '--wasm-wrapper-tiering-budget=1000000000',
];

/** Before the first thread. */
export function setLateFlags(): void {
  for (const flag of LATE_FLAGS) setFlagsFromString(flag);
}

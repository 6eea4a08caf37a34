// Work that others are woken ahead of. As batch work (SCHED_BATCH, sched(7)) a process has the share of the cores that it had, but does not push
// aside who runs when something comes for it: it waits for its turn, and then finds more.

import { cLibrary } from './ffi.ts';

const SCHED_BATCH = 3;

/** `pid`: of a process or thread; 0: the thread that calls. What it starts from then on is batch work, too. False where it cannot be done, or is
 *  not ours to do. */
export function makeBatchWork(pid: number): boolean {
  const set = cLibrary?.bind('int sched_setscheduler(int, int, void*)');
  return set?.(pid, SCHED_BATCH, new Int32Array(1)) === 0;
}

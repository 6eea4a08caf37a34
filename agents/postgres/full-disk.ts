// A copy that found no room on this host says nothing about what is stored, however it ended.

import { Fault } from '../../src/base/faults.ts';

const NO_SPACE = /ENOSPC|EDQUOT|No space left on device|Disk quota exceeded/;

/** TARGET_FULL, when that is why: by what a server or a program said in English. */
export function mustHaveHadRoom(what: string, why: string, cause?: unknown): void {
  if (NO_SPACE.test(why)) throw new Fault('TARGET_FULL', `${what}: the target is full. ${why}`, { cause });
}

// Whether a process that is named in the head is dead for certain.

import { isRunning } from '../base/process-identity.ts';
import type { ProcessFacts } from '../format/head.ts';

/** As seen from the process `self`: on its own host, of another boot, or not there any more. Of other hosts nothing is certain. */
export function isDeadFrom(self: ProcessFacts): (process: ProcessFacts) => boolean {
  return ({ host, processId, bootId }) => host === self.host && (bootId !== self.bootId || !isThere(processId));
}

function isThere(processId: number): boolean {
  return processId <= 0 || isRunning(processId);
}

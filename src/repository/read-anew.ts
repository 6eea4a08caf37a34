// A bit that flips on its way from the store looks like damage of what is stored. What follows from damage may be grave (a repair takes blocks
// out of the index, a backup stores everything anew), so what does not open is read once more before it counts as damaged.

import { type FaultCode, isFault } from '../base/faults.ts';

const LOOKS_DAMAGED: readonly FaultCode[] = ['FORMAT_DAMAGED', 'FORMAT_NOT_A_REPOSITORY', 'FORMAT_TOO_NEW'];

/** Of what says by its answer that it looks damaged. */
export async function lookAnew<T>(look: () => Promise<T>, isSound: (answer: T) => boolean): Promise<T> {
  const answer = await look();
  return isSound(answer) ? answer : look();
}

/** `read` fetches and opens. */
export async function readAnew<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isFault(error, ...LOOKS_DAMAGED)) throw error;
    return read();
  }
}

// Data on standard output, no faster than it is read.

import { once } from 'node:events';
import { Fault } from '../base/faults.ts';

/** `onWritten` hears of every piece. Throws TARGET_FAILED when nobody reads any more. */
export async function writeAll(
  pieces: AsyncIterable<Uint8Array>,
  onWritten: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { stdout } = process;
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  for await (const piece of pieces) {
    signal.throwIfAborted();
    if (!stdout.write(piece)) await once(stdout, 'drain', { signal }).catch(() => signal.throwIfAborted());
    if (failure !== undefined)
      throw new Fault('TARGET_FAILED', `Standard output was closed: ${failure.code}`, {
        hint: 'The program that reads it ended early.',
        cause: failure,
      });
    onWritten(piece.length);
  }
}

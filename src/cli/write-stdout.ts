// Data on standard output, no faster than it is read. Each piece is written by another thread while the next one is being fetched, so a slow
// reader does not keep a signal from being heard.

import { write } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Fault } from '../base/faults.ts';
import { writeFault } from './descriptor.ts';

const FULL_WAIT_MS = 2;

/** `onWritten` hears of every piece. All is written when it resolves. Throws TARGET_FAILED when nobody reads any more. */
export async function writeAll(
  pieces: AsyncIterable<Uint8Array>,
  onWritten: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let last: Promise<void> = Promise.resolve();
  for await (const piece of pieces) {
    await last;
    signal.throwIfAborted();
    last = writeWhole(piece, signal).then(() => onWritten(piece.length));
    last.catch(() => {});
  }
  await last;
}

async function writeWhole(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const written = await Promise.race([writeSome(bytes.subarray(at)), aborted(signal)]);
    if (written === 0) await pause(FULL_WAIT_MS);
    at += written;
  }
}

/** 0 when there is no room at the moment. */
function writeSome(bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(1, bytes, (error, written) => {
      if (error === null) resolve(written);
      else if (error.code === 'EAGAIN') resolve(0);
      else if (error.code === 'EPIPE') reject(closed(error));
      else reject(writeFault(error));
    });
  });
}

function closed(cause: Error): Fault {
  return new Fault('TARGET_FAILED', 'Standard output was closed', { hint: 'The program that reads it ended early.', cause });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

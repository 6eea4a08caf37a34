// Standard output and standard error as plain descriptors. Node's own streams queue what a slow reader of a pipe does not take at once, and
// an exit loses the queue; here everything is written when `write` returns.

import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Fault } from '../base/faults.ts';

/** How long to wait when the other end has made the descriptor one that does not block, and is full. */
const FULL_WAIT_MS = 2;
const NEVER = new Int32Array(new SharedArrayBuffer(4));

export type Sink = {
  readonly isTTY: boolean;
  /** Of a terminal. */
  readonly columns: number;
  /** False when nobody reads any more. Throws TARGET_FULL, TARGET_FAILED. */
  readonly write: (text: string) => boolean;
};

export function openSink(fd: 1 | 2): Sink {
  const isTTY = isatty(fd);
  return {
    isTTY,
    get columns() {
      return (isTTY ? (fd === 1 ? process.stdout : process.stderr).columns : undefined) ?? 80;
    },
    write: (text) => writeWhole(fd, Buffer.from(text)),
  };
}

function writeWhole(fd: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') return false;
      if (code !== 'EAGAIN') throw writeFault(error as NodeJS.ErrnoException);
      Atomics.wait(NEVER, 0, 0, FULL_WAIT_MS);
    }
  }
  return true;
}

export function writeFault(error: NodeJS.ErrnoException): Fault {
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT';
  return new Fault(isFull ? 'TARGET_FULL' : 'TARGET_FAILED', `Cannot write to standard output: ${error.code}`, {
    hint: 'Look at where standard output leads, and run the command again.',
    cause: error,
  });
}

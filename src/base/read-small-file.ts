// Files that somebody names and that are small when they are what they ought to be.

import { closeSync, openSync, readSync } from 'node:fs';

/** Undefined: it holds more. May be what can be read only once, as a pipe, or never ends. Throws what the system says. */
export function readSmallFile(file: string, bytesMax: number): Buffer | undefined {
  const buffer = Buffer.alloc(bytesMax + 1);
  let length = 0;
  const fd = openSync(file, 'r');
  try {
    for (let n = 1; n > 0 && length < buffer.length; length += n) n = readSync(fd, buffer, length, buffer.length - length, null);
  } finally {
    closeSync(fd);
  }
  return length > bytesMax ? undefined : buffer.subarray(0, length);
}

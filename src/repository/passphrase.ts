// A passphrase in a file. A final line break does not count: editors and "echo" make one that nobody sees, and nobody types it. There are
// repositories that a service made when it still took the line break of such a file for a part of the passphrase.

import { closeSync, openSync, readSync } from 'node:fs';
import { Fault } from '../base/faults.ts';

const BYTES_MAX = 64 * 1024;

/** KEY_PASSPHRASE_MISSING when it cannot be read, is empty or far too large. May be what can be read only once, as a pipe. */
export function readPassphraseFile(file: string): Uint8Array {
  const buffer = Buffer.alloc(BYTES_MAX + 1);
  let length = 0;
  try {
    const fd = openSync(file, 'r');
    try {
      for (let n = 1; n > 0 && length < buffer.length; length += n) n = readSync(fd, buffer, length, buffer.length - length, null);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('KEY_PASSPHRASE_MISSING', `The passphrase file "${file}" cannot be read: ${code}`, { cause: error });
  }
  if (length > BYTES_MAX)
    throw new Fault('KEY_PASSPHRASE_MISSING', `The passphrase file "${file}" is larger than ${BYTES_MAX} bytes`);
  const passphrase = withoutLineBreak(buffer.subarray(0, length));
  if (passphrase.length === 0) throw new Fault('KEY_PASSPHRASE_MISSING', `The passphrase file "${file}" is empty`);
  return passphrase;
}

export function withoutLineBreak(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  if (bytes[end - 1] === 10) end--;
  if (end < bytes.length && bytes[end - 1] === 13) end--;
  return bytes.subarray(0, end);
}

/** What may have been sealed under: itself, and with the line breaks that counted once. */
export function passphraseForms(passphrase: Uint8Array): readonly Uint8Array[] {
  return [passphrase, Buffer.concat([passphrase, Buffer.from('\n')]), Buffer.concat([passphrase, Buffer.from('\r\n')])];
}

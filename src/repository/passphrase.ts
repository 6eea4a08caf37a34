// A passphrase in a file. A final line break does not count: editors and "echo" make one that nobody sees, and nobody types it. There are
// repositories that a service made when it still took the line break of such a file for a part of the passphrase.

import { Fault } from '../base/faults.ts';
import { readSmallFile } from '../base/read-small-file.ts';

const BYTES_MAX = 64 * 1024;

/** KEY_PASSPHRASE_MISSING when it cannot be read, is empty or far too large. May be what can be read only once, as a pipe. */
export function readPassphraseFile(file: string): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = readSmallFile(file, BYTES_MAX);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('KEY_PASSPHRASE_MISSING', `The passphrase file "${file}" cannot be read: ${code}`, { cause: error });
  }
  if (bytes === undefined)
    throw new Fault('KEY_PASSPHRASE_MISSING', `The passphrase file "${file}" is larger than ${BYTES_MAX} bytes`);
  const passphrase = withoutLineBreak(bytes);
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

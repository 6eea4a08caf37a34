// A public key that an option names by its file.

import { readSmallFile } from '../base/read-small-file.ts';
import { parseVerifyKey } from '../trust/audit-key.ts';
import { usage } from './option.ts';

const BYTES_MAX = 1024;

/** USAGE. */
export function publicKeyIn(file: string): Uint8Array {
  let bytes: Buffer | undefined;
  try {
    bytes = readSmallFile(file, BYTES_MAX);
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
  const key = bytes === undefined ? undefined : parseVerifyKey(bytes.toString('utf8'));
  if (key === undefined) throw usage(`The file ${file} holds no public key`);
  return key;
}

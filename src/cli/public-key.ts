// A public key that an option names by its file.

import { readFileSync } from 'node:fs';
import { parseVerifyKey } from '../trust/audit-key.ts';
import { usage } from './option.ts';

/** USAGE. */
export function publicKeyIn(file: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
  const key = parseVerifyKey(text);
  if (key === undefined) throw usage(`The file ${file} holds no public key`);
  return key;
}

// Authorities that an agent trusts beside those of its system.

import { readFileSync } from 'node:fs';
import { Fault } from '../../src/base/faults.ts';

/** USAGE. */
export function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Fault('USAGE', `The certificates in "${file}" cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

// The fastest scanner that this machine has.

import type { Scanner } from './scanner.ts';
import { openPlainScanner } from './scanner-plain.ts';
import { openSimdScanner } from './scanner-simd.ts';

/** A window of `windowBytes` zero bytes and the fastest scanner that this machine has for it. */
export function openScanner(windowBytes: number): Scanner {
  return openSimdScanner(windowBytes) ?? openPlainScanner(windowBytes);
}

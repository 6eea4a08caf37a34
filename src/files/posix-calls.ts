// The system calls of this thread, by the best driver that it has.

import type { Posix } from './posix.ts';
import { nativePosix } from './posix-native.ts';
import { plainPosix } from './posix-plain.ts';

let best: Posix | undefined;
let plain: Posix | undefined;

/** The calls of this thread, bound on first use (about a millisecond). 'plain' asks for the twin without koffi, which is also the answer
 *  where koffi is missing. */
export function posixCalls(driver?: 'plain'): Posix {
  if (driver === undefined) best ??= nativePosix() ?? posixCalls('plain');
  else plain ??= plainPosix();
  return driver === undefined ? best! : plain!;
}

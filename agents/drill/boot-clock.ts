import { readFileSync } from 'node:fs';

/** Milliseconds since the host was started, in steps of ten: a clock that all its processes share, that nobody sets, and that goes on while the
 *  host sleeps. (A room that may not know the start gate has it of its own.) */
export function bootMs(): number {
  return Math.round(Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1_000);
}

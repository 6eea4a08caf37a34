import { readFileSync } from 'node:fs';

/** Milliseconds since the host was started, in steps of ten. One clock for all processes of the host, which nobody can set, and which goes on
 *  while the host sleeps (CLOCK_BOOTTIME): a lease that was slept through is over. */
export function bootMs(): number {
  return Math.round(Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1_000);
}

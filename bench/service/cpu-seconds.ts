// CPU seconds of processes, as the kernel counts them in /proc.

import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** Of a process, and of the children of it that ended and were waited for. 0 when it is gone. */
export function cpuSeconds(pid: number | 'self'): { readonly own: number; readonly children: number } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [user, system, childUser, childSystem] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
    return { own: (user! + system!) / TICKS_PER_SECOND, children: (childUser! + childSystem!) / TICKS_PER_SECOND };
  } catch {
    return { own: 0, children: 0 };
  }
}

/** Processes whose command line names this. */
export function processesOf(name: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(name);
      } catch {
        return false;
      }
    });
}

import { readFileSync } from 'node:fs';

/** How the kernel schedules a process: see proc(5), the 41st field of stat. */
export function policyOf(pid: number): 'other' | 'batch' | string {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  const policy = fields[38]!;
  return { 0: 'other', 3: 'batch' }[policy] ?? policy;
}

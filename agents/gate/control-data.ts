// What pg_controldata says of a server that is not running.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { FileOwner } from '../postgres/log-server.ts';

export type ControlData = {
  readonly systemId: string;
  /** "shut down", "in production", "shut down in recovery", ... */
  readonly state: string;
  readonly timeline: number;
  /** Of the last checkpoint's record: in a server that was shut down in order the last record of its log. */
  readonly checkpoint: string;
};

export function readControlData(programs: string, dataDirectory: string, owner: FileOwner | undefined): ControlData {
  const program = join(programs, 'pg_controldata');
  const { status, stdout, stderr, error } = spawnSync(program, ['-D', dataDirectory], {
    ...owner,
    encoding: 'utf8',
    env: { LC_ALL: 'C' },
    cwd: '/',
  });
  if (status !== 0) throw new Fault('GATE_SERVER_FAILED', `${program} failed: ${error?.message ?? stderr.trim()}`);
  const line = (name: string): string => {
    const found = stdout.split('\n').find((one) => one.startsWith(`${name}:`));
    if (found === undefined) throw new Fault('GATE_SERVER_FAILED', `${program} does not say "${name}"`);
    return found.slice(name.length + 1).trim();
  };
  return {
    systemId: line('Database system identifier'),
    state: line('Database cluster state'),
    timeline: Number(line("Latest checkpoint's TimeLineID")),
    checkpoint: line('Latest checkpoint location'),
  };
}

// The server's programs of a major version.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { ServerFacts } from './server-facts.ts';

/** Where Debian has them. */
export function usualPrograms({ version }: Pick<ServerFacts, 'version'>): string {
  return `/usr/lib/postgresql/${Number.parseInt(version, 10)}/bin`;
}

/** Another major version cannot read the files, and says so only when it has been given all of them. */
export function checkPrograms(programs: string, { version }: ServerFacts): void {
  const major = Number.parseInt(version, 10);
  const hint = `Name the directory of PostgreSQL ${major}'s programs with --bin-dir.`;
  const postgres = join(programs, 'postgres');
  if (!existsSync(postgres)) throw new Fault('USAGE', `There is no server program in ${programs}`, { hint });
  const { stdout } = spawnSync(postgres, ['--version'], { encoding: 'utf8' });
  const found = /\b(\d+)(?:\.|devel|beta|rc)/.exec(stdout ?? '')?.[1];
  if (Number(found) !== major)
    throw new Fault(
      'PG_NOT_READY',
      `The base backup is of PostgreSQL ${version}; the programs in ${programs} are of ${(stdout ?? '').trim() || 'an unknown version'}`,
      { hint },
    );
}

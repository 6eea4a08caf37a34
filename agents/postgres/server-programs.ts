// The server's programs of a major version.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { FileOwner } from './log-server.ts';
import type { ServerFacts } from './server-facts.ts';

export function serverFactsOf(base: Snapshot): ServerFacts {
  return JSON.parse(baseFactsOf(base).server) as ServerFacts;
}

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

export type ProgramEnd = { readonly status: number | null; readonly text: string };
const TEXT_CHARS_MAX = 64 * 1024;

/** Runs one to its end; `text`: the end of what it said. */
export function runProgram(
  path: string,
  args: readonly string[],
  { owner, signal }: { readonly owner: FileOwner | undefined; readonly signal: AbortSignal },
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { ...owner, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], signal });
    let text = '';
    const take = (piece: Buffer): void => {
      text = (text + piece.toString()).slice(-TEXT_CHARS_MAX);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', (error) => reject(signal.aborted ? signal.reason : error));
    child.once('close', (status) => resolve({ status, text: text.trim() }));
  });
}

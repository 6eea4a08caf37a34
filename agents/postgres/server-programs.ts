// The server's programs of a major version.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { FileOwner } from './log-server.ts';
import type { ServerFacts } from './server-facts.ts';

export function serverFactsOf(base: Snapshot): ServerFacts {
  return JSON.parse(baseFactsOf(base).server) as ServerFacts;
}

/** Where packages have them: Debian's, PostgreSQL's own for Red Hat's kin, those of a distribution with one version, and what is built here. */
const USUAL = ['/usr/lib/postgresql/MAJOR/bin', '/usr/pgsql-MAJOR/bin', '/usr/bin', '/usr/local/pgsql/bin'];

/** The first of `given`, then of the usual places, that has that major version. If none has, Debian's place: who uses it hears that nothing
 *  is there. */
export function usualPrograms({ version }: Pick<ServerFacts, 'version'>, given: readonly string[] = []): string {
  const major = Number.parseInt(version, 10);
  const places = [...given, ...USUAL.map((place) => place.replace('MAJOR', String(major)))];
  return places.find((place) => versionIn(place)?.major === major) ?? USUAL[0]!.replace('MAJOR', String(major));
}

/** Another major version cannot read the files, and says so only when it has been given all of them. */
export function checkPrograms(programs: string, { version }: ServerFacts): void {
  const major = Number.parseInt(version, 10);
  const hint = `Name the directory of PostgreSQL ${major}'s programs with --bin-dir.`;
  const found = versionIn(programs);
  if (found === undefined) throw new Fault('USAGE', `There is no server program in ${programs}`, { hint });
  if (found.major !== major)
    throw new Fault(
      'PG_NOT_READY',
      `The base backup is of PostgreSQL ${version}; the programs in ${programs} are of ${found.text || 'an unknown version'}`,
      { hint },
    );
}

/** Where they find what was installed with them (libraries, time zones, templates of a cluster): as their own pg_config says, else beside them. */
export function installedWith(programs: string): string[] {
  const { status, stdout } = spawnSync(join(programs, 'pg_config'), ['--libdir', '--pkglibdir', '--sharedir'], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim().split('\n') : [resolve(programs, '../lib'), resolve(programs, '../share')];
}

/** The clients beside the server's programs: some packages bring the server alone, and others the clients apart. */
export function mustHaveClients(programs: string, ...names: readonly string[]): void {
  const missing = names.filter((name) => !existsSync(join(programs, name)));
  if (missing.length === 0) return;
  const hint = "Install PostgreSQL's clients of that version as well, or name a directory that has both with --bin-dir.";
  throw new Fault('USAGE', `There is no ${missing.join(' and no ')} in ${programs}`, { hint });
}

/** Undefined: there is no server program. */
function versionIn(programs: string): { readonly text: string; readonly major: number } | undefined {
  const postgres = join(programs, 'postgres');
  if (!existsSync(postgres)) return undefined;
  const { stdout } = spawnSync(postgres, ['--version'], { encoding: 'utf8' });
  const text = (stdout ?? '').trim();
  return { text, major: Number(/\b(\d+)(?:\.|devel|beta|rc)/.exec(text)?.[1]) };
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
    // No PG* variable of ours leads it to another server, and what it says is English.
    const env = { LC_ALL: 'C' };
    const child = spawn(path, args, { ...owner, cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'], signal });
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

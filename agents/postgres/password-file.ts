// The password of a server from the file that PostgreSQL's own clients take it from: PGPASSFILE, or ~/.pgpass; lines of host:port:database:user:password,
// of which the first one counts that fits.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { ServerAddress } from './connection-string.ts';

const OF_OTHERS = 0o077;

/** With its password, where none was given and the file has one. USAGE when others can read it there. */
export function withPasswordFile(
  address: ServerAddress,
  variables: Readonly<Record<string, string | undefined>>,
  home: string,
): ServerAddress {
  if (address.password !== undefined) return address;
  const path = variables.PGPASSFILE || join(home, '.pgpass');
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    mode = statSync(path).mode;
  } catch {
    // As without one: who must have a password says so.
    return address;
  }
  const password = passwordIn(text, address);
  if (password === undefined) return address;
  if ((mode & OF_OTHERS) !== 0)
    throw new Fault('USAGE', `The password file "${path}" is open to others, and counts for nothing`, {
      hint: `chmod 600 '${path}'`,
    });
  return { ...address, password };
}

/** A backslash takes what follows as it is; "*" fits everything. A socket is "localhost", or its directory. */
export function passwordIn(text: string, { host, port, database, user }: ServerAddress): string | undefined {
  const wanted = [host.startsWith('/') ? [host, 'localhost'] : [host], [String(port)], [database, 'replication'], [user]];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const match = /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*)/.exec(line);
    if (match === null) continue;
    const words = match.slice(1).map((word) => (word === '*' ? undefined : word.replace(/\\(.)/g, '$1')));
    if (wanted.every((names, n) => words[n] === undefined || names.includes(words[n]))) return words[4] ?? '*';
  }
  return undefined;
}

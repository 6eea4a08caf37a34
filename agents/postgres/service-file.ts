// What "service=NAME" stands for, from the files that PostgreSQL's own clients take it from: PGSERVICEFILE or ~/.pg_service.conf, and then
// pg_service.conf in PGSYSCONFDIR. "[NAME]" and below it lines of word=value, each as it stands; the first one that names a word counts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';

/** Where Debian's clients look when nothing else is said. */
const SYSTEM_DIRECTORY = '/etc/postgresql-common';

/** The words of a service. USAGE when no file has it, or it makes no sense there. */
export function wordsOfService(
  name: string,
  variables: Readonly<Record<string, string | undefined>>,
  home: string,
): Map<string, string> {
  const own = variables.PGSERVICEFILE || join(home, '.pg_service.conf');
  const paths = [own, join(variables.PGSYSCONFDIR || SYSTEM_DIRECTORY, 'pg_service.conf')];
  for (const path of paths) {
    const text = read(path);
    if (text === undefined && path === variables.PGSERVICEFILE)
      throw new Fault('USAGE', `The service file "${path}" that PGSERVICEFILE names is not there`);
    const words = text === undefined ? undefined : wordsIn(text, name, path);
    if (words !== undefined) return words;
  }
  throw new Fault('USAGE', `There is no service "${name}" of PostgreSQL`, {
    hint: `It is looked for as [${name}] in ${paths.join(' and ')}.`,
  });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new Fault('USAGE', `The service file "${path}" cannot be read: ${code}`, { cause });
  }
}

function wordsIn(text: string, name: string, path: string): Map<string, string> | undefined {
  let words: Map<string, string> | undefined;
  for (const [n, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (words !== undefined) return words;
      if (line.startsWith(`[${name}]`)) words = new Map();
      continue;
    }
    if (words === undefined) continue;
    const at = line.indexOf('=');
    const word = line.slice(0, at);
    // Without the line: it may be a password.
    if (at < 1 || word === 'service')
      throw new Fault('USAGE', `Line ${n + 1} of the service file "${path}" is no word=value that a service may have`);
    if (!words.has(word)) words.set(word, line.slice(at + 1));
  }
  return words;
}

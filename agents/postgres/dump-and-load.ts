// From one server into another by its own programs: pg_dump writes SQL, psql runs it. What half a dump has made is never committed: the end of
// what psql reads, COMMIT included, is given to it only when pg_dump has ended well.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';

const TEXT_CHARS_MAX = 4_000;

export type Load = {
  /** Directory of the programs, of the major version of `from`. */
  readonly programs: string;
  readonly from: ServerAddress;
  /** Of pg_dump, beside where it connects. */
  readonly what: readonly string[];
  readonly into: ServerAddress;
  /** Said before and after the dump: BEGIN and COMMIT, or nothing. */
  readonly before: string;
  readonly after: string;
  /** By what name the loading session is known to the server; default: holdfast. */
  readonly loader?: string;
  readonly signal: AbortSignal;
};

/** PG_REFUSED with what either program said. */
export async function dumpAndLoad({ programs, from, what, into, before, after, loader, signal }: Load): Promise<void> {
  signal.throwIfAborted();
  const dump = spawn(join(programs, 'pg_dump'), ['-w', ...what], { env: variablesOf(from), stdio: ['ignore', 'pipe', 'pipe'] });
  const load = spawn(join(programs, 'psql'), ['-w', '-X', '-q', '-v', 'ON_ERROR_STOP=1'], {
    env: { ...variablesOf(into), ...(loader === undefined ? {} : { PGAPPNAME: loader }) },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const kill = (): void => {
    dump.kill('SIGKILL');
    load.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  try {
    const [dumped, loaded] = [endOf(dump), endOf(load)];
    // It ends early: whoever still writes must not wait for it.
    load.stdin.on('error', () => dump.kill('SIGKILL'));
    void loaded.then(() => dump.kill('SIGKILL'));
    load.stdin.write(before);
    dump.stdout.pipe(load.stdin, { end: false });
    const dumpEnd = await dumped;
    if (dumpEnd.status === 0) load.stdin.end(after);
    else load.kill('SIGKILL');
    const loadEnd = await loaded;
    signal.throwIfAborted();
    // Of two that have failed, the one that did not end by our hand tells why.
    if (dumpEnd.status !== 0 && dumpEnd.status !== null)
      throw new Fault('PG_REFUSED', `The restored copy could not be read: ${dumpEnd.text}`);
    if (loadEnd.status !== 0 || dumpEnd.status !== 0)
      throw new Fault('PG_REFUSED', `The server at ${describeServer(into)} did not take it: ${loadEnd.text || dumpEnd.text}`);
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
  }
}

function endOf(child: ChildProcess): Promise<{ readonly status: number | null; readonly text: string }> {
  let text = '';
  child.stderr!.on('data', (piece: Buffer) => {
    text = (text + piece.toString()).slice(0, TEXT_CHARS_MAX);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ status: null, text: error.message }));
    child.once('close', (status) => resolve({ status, text: text.trim() }));
  });
}

/** Nothing of a secret on a command line; nothing of this process's own surroundings. */
function variablesOf({ host, port, user, password, database, tls, tlsFiles }: ServerAddress): Record<string, string> {
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGSSLMODE: tls,
    PGCLIENTENCODING: 'UTF8',
    PGAPPNAME: 'holdfast',
    ...(password === undefined ? {} : { PGPASSWORD: password }),
    ...(tlsFiles?.root === undefined ? {} : { PGSSLROOTCERT: tlsFiles.root }),
    ...(tlsFiles?.certificate === undefined ? {} : { PGSSLCERT: tlsFiles.certificate, PGSSLKEY: tlsFiles.key! }),
  };
}

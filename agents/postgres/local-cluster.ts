// Whether the files of the very server that a connection leads to can be read here. Nothing is taken for granted: a standby beside has the
// same system identifier, another host the same paths, a container the same process numbers.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { realPath } from '../../src/files/real-path.ts';
import type { PgConnection } from './connection.ts';
import { CONTROL, type ControlFile, parseControlFile } from './control-file.ts';
import { identifier } from './replication-client.ts';
import type { ServerFacts } from './server-facts.ts';

export type LocalCluster = {
  /** The data directory, without links in its path, latin1. */
  readonly directory: string;
};

/** Why its files cannot be read here, and the SQL that changes that, where there is some. */
export type NotLocal = { readonly reason: string; readonly remedy?: string };

const CONTROL_READS = 50;

export async function findLocalCluster(
  sql: PgConnection,
  { dataDirectory }: ServerFacts,
  systemId: string,
): Promise<LocalCluster | NotLocal> {
  const { user } = sql.address;
  const role = identifier(user);
  if (dataDirectory === '')
    return { reason: `${user} may not see where its data lies`, remedy: `GRANT pg_read_all_settings TO ${role};` };
  const functions =
    sql.version >= 15
      ? ['pg_backup_start(text, boolean)', 'pg_backup_stop(boolean)']
      : ['pg_start_backup(text, boolean, boolean)', 'pg_stop_backup(boolean, boolean)'];
  const may = functions.map((name) => `has_function_privilege('${name}', 'EXECUTE')`).join(' AND ');
  const [inRecovery, mayCall, backend] = (await sql.query(`SELECT pg_is_in_recovery(), ${may}, pg_backend_pid()`)).rows[0] ?? [];
  if (inRecovery !== 'f') return { reason: 'it is a standby' };
  if (mayCall !== 't')
    return {
      reason: `${user} may not begin a backup`,
      remedy: `GRANT EXECUTE ON FUNCTION ${functions.join(', ')} TO ${role};`,
    };
  try {
    const server = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n')[0]!.trim();
    if (parentOf(backend ?? '') !== server) return { reason: 'it runs elsewhere' };
    const directory = realPath(Buffer.from(dataDirectory).toString('latin1'));
    if (readControlFile(directory)?.systemId !== systemId) return { reason: `another cluster lies at ${dataDirectory} here` };
    return { directory };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { reason: 'it runs elsewhere' };
    if (code === 'EACCES' || code === 'EPERM') return { reason: `this user may not read ${dataDirectory}` };
    throw error;
  }
}

/** Whether the checkpoint with which the server has just begun a backup is what stands in these files: nobody else can have written it. */
export function hasBegunHere({ directory }: LocalCluster, start: number): boolean {
  const control = readControlFile(directory);
  return control?.isInProduction === true && control.redo === start;
}

/** `directory`: latin1. Undefined: it is never whole. */
export function readControlFile(directory: string): (ControlFile & { readonly bytes: Buffer }) | undefined {
  for (let read = 0; read < CONTROL_READS; read++) {
    const bytes = readFileSync(Buffer.from(`${directory}/${CONTROL}`, 'latin1'));
    const control = parseControlFile(bytes);
    if (control !== undefined) return { ...control, bytes };
  }
  return undefined;
}

/** The process that has started this one; '' when there is none. */
function parentOf(pid: string): string {
  return /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
}

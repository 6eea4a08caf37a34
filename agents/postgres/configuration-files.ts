// Configuration that lies outside of the data directory (Debian keeps it in /etc): a base backup does not hold it, so it is read over SQL and
// kept beside the data, as it was when the base was made.

import { isFault } from '../../src/base/faults.ts';
import type { PgConnection } from './connection.ts';
import { literal } from './replication-client.ts';

const FILE_BYTES_MAX = 8 * 1024 * 1024;

export type ConfigurationFiles = {
  readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
  /** Why some are missing; '' when none is. */
  readonly missing: string;
};

/** The remedy when they cannot be read. */
export function grantOfConfiguration(role: string): string {
  return [
    `GRANT pg_read_all_settings, pg_read_server_files TO ${role};`,
    `GRANT SELECT ON pg_file_settings TO ${role};`,
    `GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO ${role};`,
    `GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO ${role};`,
  ].join(' ');
}

/** Never fails for want of rights: a backup without them is a backup. */
export async function readConfigurationFiles(sql: PgConnection): Promise<ConfigurationFiles> {
  const settings = await sql.query(
    "SELECT name, setting FROM pg_settings WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file')",
  );
  const byName = new Map(settings.rows.map(([name, setting]) => [name, setting]));
  const data = byName.get('data_directory');
  const main = ['config_file', 'hba_file', 'ident_file'].flatMap((name) => byName.get(name) ?? []);
  if (data === undefined || data === null || main.length === 0)
    return { files: [], missing: `${sql.address.user} may not see where the configuration lies` };
  const files: { path: string; bytes: Buffer }[] = [];
  try {
    const included = await sql.query('SELECT DISTINCT sourcefile FROM pg_file_settings WHERE sourcefile IS NOT NULL ORDER BY 1');
    const paths = new Set([...main, ...included.rows.flatMap(([path]) => path ?? [])]);
    for (const path of paths) {
      if (!path.startsWith('/') || path.startsWith(`${data}/`)) continue;
      const read = `pg_read_binary_file(${literal(path)}, 0, ${FILE_BYTES_MAX}, true)`;
      const hex = await sql.value(`SELECT encode(${read}, 'hex')`);
      if (hex !== undefined) files.push({ path, bytes: Buffer.from(hex, 'hex') });
    }
    return { files, missing: '' };
  } catch (error) {
    if (!isFault(error, 'PG_DENIED', 'PG_REFUSED')) throw error;
    return { files, missing: error.message };
  }
}

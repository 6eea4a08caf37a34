import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { FileOwner } from '../postgres/log-server.ts';

/** Asks the standby in a data directory to become a primary, and to read its token anew. False: it is not consistent yet, or does not run. Nothing
 *  else stands still meanwhile: leases are renewed and promises are given. */
export async function promoteServer(programs: string, dataDirectory: string, owner: FileOwner | undefined): Promise<boolean> {
  const control = (words: readonly string[]): Promise<boolean> =>
    new Promise((resolve) => {
      const child = spawn(join(programs, 'pg_ctl'), [...words, '-D', dataDirectory], { ...owner, cwd: '/', stdio: 'ignore' });
      child.once('error', () => resolve(false));
      child.once('exit', (status) => resolve(status === 0));
    });
  const isAsked = await control(['promote', '-W']);
  await control(['reload']);
  return isAsked;
}

// Which servers run on this host, and where: a server's processes work in its data directory. That is true also after its lock file has been
// removed, in another mount namespace, and for children that outlive a killed server; the lock file alone says none of it.

import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type RunningServer = {
  readonly pid: number;
  /** Names the data directory whatever it is called in the process's own namespace. */
  readonly directory: string;
  /** One of ours, that recovers a restored directory. */
  readonly isSandbox: boolean;
};

/** What the command line of every sandbox says. */
export const SANDBOX_NAME = 'holdfast-restore';

/** Undefined: none. A server that cannot be looked at, but is named by a lock file, counts. */
export function serverIn(dataDirectory: string): RunningServer | undefined {
  const running = runningServers().find(({ directory }) => isSame(directory, dataDirectory));
  return running ?? lockedBy(dataDirectory);
}

/** A server that has the directory as a tablespace. */
export function serverOfTablespace(tablespace: string): RunningServer | undefined {
  return runningServers().find(({ directory }) => {
    const links = join(directory, 'pg_tblspc');
    try {
      return readdirSync(links).some((name) => isSame(join(links, name), tablespace));
    } catch {
      return false;
    }
  });
}

/** Those that this user may look at. */
export function runningServers(): RunningServer[] {
  const servers: RunningServer[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || !isServer(pid)) continue;
    const directory = `/proc/${pid}/cwd`;
    // One that has no control file does not serve anything; a directory on its way has none either, and nobody works in that.
    if (existsSync(join(directory, 'PG_VERSION'))) servers.push({ pid, directory, isSandbox: isSandbox(pid) });
  }
  return servers.sort((a, b) => a.pid - b.pid);
}

/** A number of a lock file may be another program's by now; only when that can be seen it does not count. */
function lockedBy(dataDirectory: string): RunningServer | undefined {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8'), 10);
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    lstatSync(`/proc/${pid}`);
  } catch {
    return undefined;
  }
  try {
    statSync(`/proc/${pid}/cwd`);
    return undefined;
  } catch {
    return { pid, directory: dataDirectory, isSandbox: false };
  }
}

function isServer(pid: number): boolean {
  const name = textOf(`/proc/${pid}/comm`).trim();
  return name === 'postgres' || name === 'postmaster';
}

function isSandbox(pid: number): boolean {
  return textOf(`/proc/${pid}/cmdline`).includes(`cluster_name=${SANDBOX_NAME}`);
}

function isSame(a: string, b: string): boolean {
  try {
    const [one, other] = [statSync(a), statSync(b)];
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

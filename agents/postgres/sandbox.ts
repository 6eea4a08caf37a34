// A copy of a cluster as it was at one place, for as long as somebody looks at it: restored into a directory of its own, shut off as every
// recovering server is (restored-server.ts), and gone afterwards, however the looking ends. When the whole process dies, the next one that
// makes a sandbox there removes what it finds of the dead.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isFault } from '../../src/base/faults.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../src/base/process-identity.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { atTarget, releaseDirectory } from './data-directory.ts';
import { type ClusterRestore, type RestoredCluster, restoreCluster } from './restore.ts';

const PREFIX = 'holdfast-copy-';
const IDENTITY = 'process.json';
const DATA = 'data';
/** A look needs no more, whatever memory production's host has. */
const MODEST = { shared_buffers: '128MB', huge_pages: 'off' };

export type SandboxRestore = Omit<ClusterRestore, 'dataDirectory' | 'delta' | 'tablespaces' | 'action'> & {
  /** Where the copy lies while there is one: it is as large as the cluster was. */
  readonly directory: string;
  /** Holds the base, and with it its log, for as long as `work` takes, so that no retention takes them away. Absent: somebody else does. */
  readonly hold?: Hold;
};

export type Hold = <T>(base: Snapshot, work: () => Promise<T>) => Promise<T>;

/** The server in it is promoted: `use` may write, nothing of it stays. `dataDirectory` is for programs that need it stopped. */
export function inSandbox<T>(
  sandbox: SandboxRestore,
  use: (copy: RestoredCluster, dataDirectory: string) => Promise<T>,
): Promise<T> {
  const { hold, cluster, plan } = sandbox;
  const work = (): Promise<T> => restoredInSandbox(sandbox, use);
  return hold === undefined ? work() : hold(cluster.snapshots.get(plan.base.snapshot)!, work);
}

async function restoredInSandbox<T>(
  sandbox: SandboxRestore,
  use: (copy: RestoredCluster, dataDirectory: string) => Promise<T>,
): Promise<T> {
  await removeAbandoned(sandbox.directory);
  const holder = mkdtempSync(join(sandbox.directory, PREFIX));
  // The server's user has to come through to its directory, which nobody else can enter.
  chmodSync(holder, 0o711);
  writeFileSync(join(holder, IDENTITY), JSON.stringify(ownIdentity()), { mode: 0o600 });
  const dataDirectory = join(holder, DATA);
  let copy: RestoredCluster | undefined;
  try {
    copy = await restoreCluster({
      ...sandbox,
      settings: { ...MODEST, ...sandbox.settings },
      dataDirectory,
      tablespaces: {},
      action: 'promote',
    });
    return await use(copy, dataDirectory);
  } finally {
    await copy?.server.stop('now');
    await copy?.finish();
    if (copy === undefined) await releaseDirectory(dataDirectory);
    else rmSync(copy.sandbox, { recursive: true, force: true });
    rmSync(holder, { recursive: true, force: true });
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  for (const name of atTarget('look into the directory', directory, () => readdirSync(directory))) {
    const holder = join(directory, name);
    const identity = name.startsWith(PREFIX) ? readIdentity(holder) : undefined;
    if (identity === undefined || isAlive(identity)) continue;
    await releaseDirectory(join(holder, DATA));
    rmSync(holder, { recursive: true, force: true });
  }
}

/** Undefined while it is being made, too. */
function readIdentity(holder: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(join(holder, IDENTITY), 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** What a failed recovery says of a log that is gone with the sandbox. */
export function withoutLogPath(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return isFault(error, 'PG_RECOVERY_FAILED') ? text.replace(/ \(its log is [^)]*\)/, '') : text;
}

// A real S3 server for tests: Ceph RGW on one monitor and one in-memory OSD, from Debian's packages.
//
// The first test file that asks starts the cluster, every other one of the same run shares it, and it stops by itself when the run
// is over. How: all workers of a run have one parent (vitest's main process, the "owner"). The directory of the cluster is named
// after the owner's pid. Whoever creates that directory spawns the keeper (ceph-keeper.ts), a detached process that starts the
// daemons, writes `ready.json`, and stops them (rgw first) as soon as the owner is gone, whatever way it went.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export type TestS3 = {
  readonly endpoint: string;
  readonly host: string;
  readonly port: number;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** A user of the same cluster who owns nothing. */
  readonly stranger: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** A user who may hold 1 MiB altogether, and the bucket that is this user's. */
  readonly pauper: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly bucket: string };
  readonly bucket: string;
  /** A bucket with Object Lock. */
  readonly lockBucket: string;
  /** Scratch directory of the cluster: a `stop` file in it stops the cluster early. */
  readonly directory: string;
};

const START_TIMEOUT_MS = 120_000;
const NEEDED = ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'ceph', 'ceph-authtool', 'monmaptool'];

/** Which of the programs are missing here. */
export function missingCephPrograms(): readonly string[] {
  return NEEDED.filter((program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined);
}

/** The S3 server of this test run. Undefined, after a printed line, where Ceph is not installed; in CI (CI=true) that is an error. */
export async function startS3(): Promise<TestS3 | undefined> {
  const missing = missingCephPrograms();
  if (missing.length > 0) {
    const line = `Ceph RGW is not installed (${missing.join(', ')}): apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common`;
    if (process.env.CI === 'true') throw new Error(line);
    console.log(`SKIPPED, tests against a real S3 server: ${line}`);
    return undefined;
  }
  const owner = process.env.VITEST === undefined ? process.pid : process.ppid;
  const directory = join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `holdfast-ceph-${owner}-${startOf(owner)}`);
  if (claim(directory)) {
    const log = openSync(join(directory, 'keeper.log'), 'a');
    const keeper = fileURLToPath(new URL('./ceph-keeper.ts', import.meta.url));
    spawn(process.execPath, [keeper, directory, String(owner)], { detached: true, stdio: ['ignore', log, log] }).unref();
  }
  return untilReady(directory);
}

/** Start time of a process in clock ticks: makes a directory name that no later process with the same pid can share. */
function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** True for exactly one of those who ask. */
function claim(directory: string): boolean {
  try {
    mkdirSync(directory, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function untilReady(directory: string): Promise<TestS3> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (existsSync(join(directory, 'ready.json'))) return JSON.parse(readFileSync(join(directory, 'ready.json'), 'utf8'));
    if (existsSync(join(directory, 'failed')))
      throw new Error(`Ceph did not start: ${readFileSync(join(directory, 'failed'), 'utf8')}`);
    await sleep(20);
  }
  throw new Error(`Ceph did not start within ${START_TIMEOUT_MS} ms; see ${directory}/keeper.log`);
}

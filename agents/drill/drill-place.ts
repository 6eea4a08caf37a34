// The drill's directory: as large as production while there are clones in it. Refused when it does not fit. When a drill and its watcher were
// killed at once, or the machine went down, the next drill there removes what is left.

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../src/base/process-identity.ts';
import { formatBytes, GIB, MIB } from '../../src/base/units.ts';
import { readRecord, writeRecord } from './drill-record.ts';

const PREFIX = 'holdfast-drill-';
const OWNERS = 'drill.json';
/** Of the file system: what other programs there may count on. */
const FREE_SHARE = 0.05;
const FREE_BYTES_MAX = GIB;
/** The pack, its pages and logs, and some more. */
const EVIDENCE_BYTES = 8 * MIB;
/** The names of clones and sandboxes below it and of the socket in there; the kernel takes 107 bytes for a socket's path. */
const PATH_BYTES_MAX = 60;

type Owners = { readonly processes: readonly (ProcessIdentity | undefined)[]; readonly evidence: string };

export type DrillPlace = { readonly work: string; readonly freeBytesMin: number };

/** Where it will be. DRILL_NO_SPACE when clones of `bytes` do not fit; USAGE when its name is too long for a socket. */
export function placeFor(scratch: string, id: string, bytes: number): DrillPlace {
  const work = join(scratch, `${PREFIX}${id.slice(-12)}`);
  if (Buffer.byteLength(work) > PATH_BYTES_MAX)
    throw new Fault('USAGE', `The path of "${scratch}" is too long: a server's socket would lie below it`, {
      hint: 'Name a shorter one with --directory.',
    });
  const { bavail, blocks, bsize } = statfsSync(scratch);
  const freeBytesMin = Math.min(FREE_BYTES_MAX, Math.round(blocks * bsize * FREE_SHARE));
  const free = bavail * bsize;
  if (free < bytes + freeBytesMin)
    throw new Fault(
      'DRILL_NO_SPACE',
      `The clones need ${formatBytes(bytes)} and ${formatBytes(freeBytesMin)} have to stay free; "${scratch}" has ${formatBytes(free)}`,
    );
  return { work, freeBytesMin };
}

/** DRILL_NO_SPACE when what is measured could not be written down. */
export function mustHaveRoom(evidence: string): void {
  const { bavail, bsize } = statfsSync(evidence);
  if (bavail * bsize >= EVIDENCE_BYTES) return;
  throw new Fault(
    'DRILL_NO_SPACE',
    `Evidence needs ${formatBytes(EVIDENCE_BYTES)}; "${evidence}" has ${formatBytes(bavail * bsize)}`,
    { hint: 'Free space, or name another place with --evidence-dir.' },
  );
}

export function makePlace(work: string, evidence: string, watcher: ProcessIdentity | undefined): void {
  mkdirSync(work, { mode: 0o711 });
  // The servers' user has to come through, whatever the umask.
  chmodSync(work, 0o711);
  const owners: Owners = { processes: [ownIdentity(), watcher], evidence };
  writeFileSync(join(work, OWNERS), JSON.stringify(owners), { mode: 0o600 });
}

export function removeAbandoned(scratch: string, now: Date): void {
  for (const name of readdirSync(scratch)) {
    const work = join(scratch, name);
    const owners = name.startsWith(PREFIX) ? readOwners(work) : undefined;
    if (owners === undefined || owners.processes.some((one) => one != null && isAlive(one))) continue;
    rmSync(work, { recursive: true, force: true });
    const record = readRecord(owners.evidence);
    if (record?.state !== 'running') continue;
    const { drill, plan } = record;
    const text = 'the drill and its watcher were gone; found by the next drill';
    const ended = { why: 'killed', text, isDestroyed: true, destruction: `${work} is removed` };
    writeRecord(owners.evidence, { drill, plan, at: now.toISOString(), state: 'not finished', ...ended });
  }
}

/** Undefined while it is being made, too. */
function readOwners(work: string): Owners | undefined {
  try {
    return JSON.parse(readFileSync(join(work, OWNERS), 'utf8')) as Owners;
  } catch {
    return undefined;
  }
}

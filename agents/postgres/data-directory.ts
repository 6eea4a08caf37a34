// A data directory on its way. Two things keep it from being taken for a whole one, whenever and however the restore dies:
//
//   1. From before the first byte until it is handed over it holds a mark that says what is being made of it, and by whom.
//   2. While its files are not all there it has no pg_control, which is taken away first and comes last: without it no server starts.
//
// With its pg_control it also has the settings of the recovery: a server that is started in it goes on to the planned place or stops with an
// error. The same command takes a marked directory up again: what is there is compared, not fetched; when only the recovery was cut short,
// on the same boot of the machine, that goes on.

import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { bootId, isAlive, ownIdentity, type ProcessIdentity } from '../../src/base/process-identity.ts';
import { replaceFile } from '../../src/base/replace-file.ts';
import { claimTarget } from '../../src/files/claim-target.ts';
import type { PosixError } from '../../src/files/posix-error.ts';
import { targetFault } from '../../src/files/target-fault.ts';
import { serverIn } from './running-servers.ts';

export const MARK = 'holdfast-restore.json';
export const SANDBOX_PREFIX = 'holdfast-restore-';
const CONTROL = 'global/pg_control';
const ORPHAN_POLL_MS = 50;
const ORPHAN_STOPS_MS = 120_000;

export type Wish = {
  /** Whether a directory that holds this cluster may be written over. */
  readonly delta: boolean;
  readonly systemId: string;
  /** The same text for the same plan. */
  readonly plan: string;
};

type Mark = {
  readonly stage: 'base' | 'log';
  readonly plan: string;
  readonly systemId: string;
  readonly tablespaces: Readonly<Record<string, string>>;
  /** Of the server that recovers; '' before there is one. */
  readonly sandbox: string;
  /** Who is at work. */
  readonly process: ProcessIdentity;
};

export class DataDirectory {
  readonly path: string;
  /** Something may be there already: it is compared. */
  readonly isOld: boolean;
  /** The base is there, and its server was recovering by the same plan. */
  readonly isRecovering: boolean;
  /** Where tablespaces lay, by oid. */
  readonly tablespaces: Readonly<Record<string, string>>;
  readonly #wish: Wish;
  /** Lets another restore have the directory: as soon as the mark says who is at work, or this one has failed. */
  readonly release: () => void;

  private constructor(path: string, wish: Wish, mark: Mark | undefined, isOld: boolean, release: () => void) {
    this.path = path;
    this.#wish = wish;
    this.release = release;
    this.isOld = isOld;
    this.tablespaces = mark?.tablespaces ?? {};
    this.isRecovering =
      mark?.stage === 'log' &&
      mark.plan === wish.plan &&
      mark.process.bootId === bootId() &&
      existsSync(join(path, CONTROL)) &&
      existsSync(join(path, 'recovery.signal'));
  }

  /** Changes nothing but what is missing above it. TARGET_OCCUPIED when it is somebody's. */
  static async take(path: string, wish: Wish): Promise<DataDirectory> {
    mustLieApart(path);
    atTarget('make the directory', path, () => makeDirectory(path, { mode: 0o700 }));
    mustBeOver(path, readMark(path));
    // Of two that begin at once both found no mark.
    const release = await claimTarget(Buffer.from(path).toString('latin1'));
    try {
      return await DataDirectory.#find(path, wish, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  static async #find(path: string, wish: Wish, release: () => void): Promise<DataDirectory> {
    const mark = readMark(path);
    const isOld = readdirSync(path).length > 0;
    if (!isOld) return new DataDirectory(path, wish, undefined, false, release);
    if (mark === undefined) mustBeThatCluster(path, wish);
    else {
      mustBeOver(path, mark);
      await takeAwaySandbox(path, mark);
    }
    const running = serverIn(path);
    if (running !== undefined)
      throw new Fault('TARGET_OCCUPIED', `A server runs in "${path}" (process ${running.pid})`, {
        hint: `Stop it first: pg_ctl -D '${path}' stop. Or restore to another directory.`,
      });
    return new DataDirectory(path, wish, mark, true, release);
  }

  /** Its files are being made. */
  begin(tablespaces: Readonly<Record<string, string>>): void {
    this.#mark('base', tablespaces, '');
    rmSync(join(this.path, CONTROL), { force: true });
    if (existsSync(join(this.path, 'global'))) sync(join(this.path, 'global'));
  }

  /** All of its files are there, and how it recovers is written. */
  recovering(tablespaces: Readonly<Record<string, string>>, sandbox: string): void {
    this.#mark('log', tablespaces, sandbox);
  }

  /** It is handed over. */
  done(): void {
    rmSync(join(this.path, MARK), { force: true });
    sync(this.path);
  }

  #mark(stage: Mark['stage'], tablespaces: Readonly<Record<string, string>>, sandbox: string): void {
    const { plan, systemId } = this.#wish;
    const mark: Mark = { stage, plan, systemId, tablespaces, sandbox, process: ownIdentity() };
    replaceFile(join(this.path, MARK), `${JSON.stringify(mark)}\n`, 0o600);
  }
}

/** What cannot be done there is a TARGET_ fault. */
export function atTarget<T>(action: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw targetFault(error as PosixError, action, Buffer.from(path).toString('latin1'), '');
  }
}

/** In a cluster's own directory every base backup of that cluster would take it for a part, and every delta restore would take it away. */
export function mustLieApart(path: string): void {
  for (let above = dirname(path); above !== dirname(above); above = dirname(above))
    if (existsSync(join(above, 'PG_VERSION')) && existsSync(join(above, 'global')))
      throw new Fault('TARGET_OCCUPIED', `"${path}" lies in the data directory of another cluster, "${above}"`, {
        hint: 'Choose a directory outside of it.',
      });
}

/** What is not of the cluster is taken away by a restore over it; so it must be beyond doubt that this is what is meant. */
function mustBeThatCluster(path: string, { delta, systemId }: Wish): void {
  if (!delta)
    throw new Fault('TARGET_OCCUPIED', `"${path}" is not empty`, {
      hint: 'Choose a new directory, or bring this cluster back in its place with --delta (what differs is overwritten, what is not in the backup is removed).',
    });
  const found = systemIdIn(path);
  if (found === systemId) return;
  throw new Fault(
    'TARGET_OCCUPIED',
    found === undefined
      ? `"${path}" is not empty, and not the data directory of a PostgreSQL cluster`
      : `"${path}" is the cluster ${found}; the backup is of the cluster ${systemId}`,
    { hint: 'Choose a new directory, or move away what is there.' },
  );
}

function mustBeOver(path: string, mark: Mark | undefined): void {
  if (mark !== undefined && mark.process.id !== process.pid && isAlive(mark.process))
    throw new Fault('TARGET_OCCUPIED', `Another restore to "${path}" is at work (process ${mark.process.id})`, {
      hint: 'Wait for it, or end it.',
    });
}

/** What a restore has left that was killed: for a directory that nobody is going to finish. */
export async function releaseDirectory(path: string): Promise<void> {
  const mark = readMark(path);
  if (mark !== undefined) await takeAwaySandbox(path, mark);
}

async function takeAwaySandbox(path: string, { sandbox }: Mark): Promise<void> {
  // The server that it recovered with. Nothing was handed over, so it is nobody's.
  const until = Date.now() + ORPHAN_STOPS_MS;
  for (let orphan = serverIn(path); orphan?.isSandbox === true && Date.now() < until; orphan = serverIn(path)) {
    tryKill(orphan.pid);
    await sleep(ORPHAN_POLL_MS);
  }
  // The mark lies where the server's user may write: nothing else than a sandbox is removed on its word.
  if (dirname(sandbox) === tmpdir() && basename(sandbox).startsWith(SANDBOX_PREFIX))
    rmSync(sandbox, { recursive: true, force: true });
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGINT');
  } catch {
    // Gone, or somebody else's: then it is found running.
  }
}

/** The first eight bytes of pg_control in every version. Undefined when there is none. */
function systemIdIn(path: string): string | undefined {
  try {
    if (!existsSync(join(path, 'PG_VERSION'))) return undefined;
    const control = readFileSync(join(path, CONTROL));
    return control.length < 8 ? undefined : control.readBigUInt64LE(0).toString();
  } catch {
    return undefined;
  }
}

/** Undefined also for one that is torn: it is written before anything else, so then nothing else was. */
function readMark(path: string): Mark | undefined {
  try {
    return JSON.parse(readFileSync(join(path, MARK), 'utf8')) as Mark;
  } catch {
    return undefined;
  }
}

function sync(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

// Bringing a cluster back to a place in its log: the base is restored by the engine, the server recovers from the stored log in a sandbox, and
// what it has reached is compared with the plan before anybody is told that it is done.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { baseFactsOf, type ClusterFacts } from '../../src/engine/cluster-facts.ts';
import { findEntry } from '../../src/engine/entries-reader.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import type { RecoveryPlan } from '../../src/engine/recovery-plan.ts';
import type { RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { DATA_DIRECTORY, TABLESPACES_DIRECTORY } from './base-backup.ts';
import { LogFiles } from './log-files.ts';
import { type FileOwner, LogServer } from './log-server.ts';
import { LogSpool } from './log-spool.ts';
import { raisedFloor, restoreCommandOf, withoutRecovery, withRecovery } from './recovery-settings.ts';
import { RestoredServer } from './restored-server.ts';
import type { ServerFacts } from './server-facts.ts';
import type { LogNote } from './wal-reader.ts';

export type ClusterRestore = {
  readonly repository: Repository;
  readonly cluster: ClusterFacts;
  readonly plan: RecoveryPlan;
  /** New or empty, absolute. */
  readonly dataDirectory: string;
  /** By oid; others go to `<data directory>-tablespaces/<oid>`. */
  readonly tablespaces: Readonly<Record<string, string>>;
  /** Directory of the server's programs, of the major version that was backed up. */
  readonly programs: string;
  readonly action: 'promote' | 'pause';
  /** What the server's helper is started by: "holdfast". */
  readonly program: readonly string[];
  /** How the helper finds the repository when this process is gone. */
  readonly helper: Readonly<Record<string, unknown>>;
  readonly threads: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly progress: RestoreProgress;
  readonly onStep: (step: 'base' | 'log' | 'reached') => void;
};

export type RestoredCluster = {
  readonly server: RestoredServer;
  readonly sandbox: string;
  /** Of the last commit; undefined when there was none since the base backup. */
  readonly achieved: LogMark | undefined;
  readonly position: number;
  readonly timeline: number;
  readonly baseMs: number;
  readonly logMs: number;
  readonly logFiles: number;
  /** Ends the handing out of log, and forgets the recovery's settings. */
  readonly finish: () => Promise<void>;
};

export async function restoreCluster(restore: ClusterRestore): Promise<RestoredCluster> {
  const { plan, cluster, dataDirectory, onStep } = restore;
  const snapshot = cluster.snapshots.get(plan.base.snapshot)!;
  const facts = baseFactsOf(snapshot);
  const server = JSON.parse(facts.server) as ServerFacts;
  checkPrograms(restore.programs, server);
  const notes = await notesOnWay(restore);
  checkLaterTablespaces(notes);
  makeEmptyDirectory(dataDirectory);
  const began = performance.now();
  onStep('base');
  await restoreBase(restore, snapshot);
  const owner = ownerOf(dataDirectory);
  await restoreTablespaces(restore, snapshot, facts.tablespaces, owner);
  const baseMs = performance.now() - began;
  onStep('log');
  const sandbox = makeSandbox(owner);
  const planFile = join(sandbox, 'plan.json');
  const socket = join(sandbox, 'log');
  const own = {
    socket,
    dataDirectory,
    segmentBytes: server.segmentBytes,
    legs: plan.legs,
    ...restore.helper,
  };
  writeOwned(planFile, JSON.stringify(own), owner);
  const files = new LogFiles({
    view: cluster.view,
    segmentBytes: server.segmentBytes,
    legs: plan.legs,
  });
  const logServer = await LogServer.listen(socket, files, owner);
  const spool = new LogSpool(spoolOf(dataDirectory), files, plan.legs, server.segmentBytes, owner);
  let running: RestoredServer | undefined;
  try {
    await configure(restore, server, notes, planFile, owner);
    const logBegan = performance.now();
    running = RestoredServer.start({
      programs: restore.programs,
      dataDirectory,
      directory: sandbox,
      owner,
      role: server.role,
      database: server.database,
      settings: restore.settings,
    });
    const reached = await waitUntilReached(running, restore, logServer);
    onStep('reached');
    const autoConf = join(dataDirectory, 'postgresql.auto.conf');
    return {
      server: running,
      sandbox,
      achieved: plan.stopAt,
      ...reached,
      baseMs,
      logMs: performance.now() - logBegan,
      logFiles: logServer.segments + spool.taken,
      finish: async () => {
        await logServer.close();
        await spool.close();
        if (restore.action === 'promote') writeOwned(autoConf, withoutRecovery(readFileSync(autoConf, 'utf8')), owner);
      },
    };
  } catch (error) {
    await running?.stop();
    await logServer.close();
    await spool.close();
    throw error;
  }
}

/** Promoted, or paused at the target; and exactly there. */
async function waitUntilReached(
  server: RestoredServer,
  { plan, action, signal }: ClusterRestore,
  logServer: LogServer,
): Promise<{ readonly position: number; readonly timeline: number }> {
  const state =
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END, (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text, (SELECT timeline_id FROM pg_control_checkpoint())";
  let reached: { readonly position: number; readonly timeline: number };
  try {
    reached = await server.until(async (sql) => {
      const [inRecovery, paused, position, timeline] = (await sql.query(state)).rows[0]!;
      if (inRecovery === 'f' && action === 'pause')
        throw server.failed('The restored server was promoted, although it was to pause');
      return inRecovery === 'f' || paused === 't' ? { position: Number(position), timeline: Number(timeline) } : undefined;
    }, signal);
  } catch (error) {
    if (isFault(error, 'PG_RECOVERY_FAILED') && logServer.failure !== undefined)
      throw new Fault('PG_RECOVERY_FAILED', `${error.message}. Its log could not be had: ${logServer.failure}`, { cause: error });
    throw error;
  }
  const wanted = plan.stopAt?.end;
  if (wanted !== undefined ? reached.position !== wanted : reached.position < plan.base.stop)
    throw new Fault(
      'PG_RECOVERY_FAILED',
      `The restored server stopped at ${formatLsn(reached.position)}; ${wanted === undefined ? `at least ${formatLsn(plan.base.stop)}` : formatLsn(wanted)} was planned`,
    );
  return reached;
}

async function restoreBase(restore: ClusterRestore, snapshot: Snapshot): Promise<void> {
  await restore.repository.openIndex({ signal: restore.signal });
  await treeTo(restore, snapshot, DATA_DIRECTORY, restore.dataDirectory);
  const map = join(restore.dataDirectory, 'tablespace_map');
  if (existsSync(map)) renameSync(map, `${map}.old`);
}

async function restoreTablespaces(
  restore: ClusterRestore,
  snapshot: Snapshot,
  list: string,
  owner: FileOwner | undefined,
): Promise<void> {
  const { dataDirectory, tablespaces, repository } = restore;
  for (const { oid } of JSON.parse(list) as { readonly oid: string }[]) {
    const target = tablespaces[oid] ?? join(`${dataDirectory}-tablespaces`, oid);
    const below = `${TABLESPACES_DIRECTORY}/${oid}`;
    if ((await findEntry(snapshot.root.reference, repository.readNode, below)) === undefined)
      throw new Fault('FORMAT_DAMAGED', `The base backup ${snapshot.id} does not hold the tablespace ${oid}`);
    makeEmptyDirectory(target);
    await treeTo(restore, snapshot, below, target);
    const link = join(dataDirectory, 'pg_tblspc', oid);
    symlinkSync(target, link);
    if (owner !== undefined) chownSync(dirname(target), owner.uid, owner.gid);
  }
}

async function treeTo(restore: ClusterRestore, snapshot: Snapshot, below: string, target: string): Promise<void> {
  const { repository, threads, signal, progress } = restore;
  const { store, keyring, parameters, readNode, blocks, keys } = repository;
  const problems: RestoreProblem[] = [];
  const latin1 = Buffer.from(target).toString('latin1');
  const pool = new ReadingPool(store, threads, { idKey: keyring.payload.idKey, target: latin1 }, signal);
  try {
    const root = snapshot.root.reference;
    const { unitBytes } = parameters.paged;
    const onProblem = (problem: RestoreProblem): void => void problems.push(problem);
    await restoreTree({ root, below, target: latin1, delta: false, unitBytes, readNode, blocks, keys, pool, progress, onProblem });
  } finally {
    await pool.close();
  }
  const fatal = problems[0];
  if (fatal !== undefined)
    throw new Fault(
      'PG_RECOVERY_FAILED',
      `${problems.length} files of the base could not be restored, the first: ${fatal.path}: ${fatal.message}`,
    );
}

async function configure(
  restore: ClusterRestore,
  server: ServerFacts,
  notes: readonly LogNote[],
  planFile: string,
  owner: FileOwner | undefined,
): Promise<void> {
  const { dataDirectory, plan, action, program } = restore;
  const auto = join(dataDirectory, 'postgresql.auto.conf');
  const before = existsSync(auto) ? readFileSync(auto, 'utf8') : '';
  const settings = {
    restoreCommand: restoreCommandOf(program, planFile, spoolOf(dataDirectory)),
    stopAt: plan.stopAt,
    timeline: plan.timeline,
    action,
    floor: raisedFloor(server.floor, notes),
  };
  writeOwned(auto, withRecovery(before, settings), owner);
  const main = join(dataDirectory, 'postgresql.conf');
  if (existsSync(main)) writeOwned(main, withoutRecovery(readFileSync(main, 'utf8')), owner);
  else
    writeOwned(
      main,
      '# The configuration of this cluster lay outside of its data directory and is not part of the base backup.\n',
      owner,
    );
  rmSync(join(dataDirectory, 'standby.signal'), { force: true });
  rmSync(join(dataDirectory, 'postmaster.pid'), { force: true });
  writeOwned(join(dataDirectory, 'recovery.signal'), '', owner);
}

async function notesOnWay({ plan, cluster }: ClusterRestore): Promise<LogNote[]> {
  const notes: LogNote[] = [];
  for (const { timeline, from, to } of plan.legs)
    for await (const mark of cluster.view.marks(timeline, from, to))
      if (mark.kind === 'note') notes.push(JSON.parse(mark.text) as LogNote);
  return notes;
}

/** A server that replays the creation of a tablespace uses the very place that production uses. On production's own host that would be
 *  production's files. */
function checkLaterTablespaces(notes: readonly LogNote[]): void {
  for (const note of notes) {
    if (!('tablespace' in note)) continue;
    const { oid, location } = note.tablespace;
    const isFree = existsSync(location) && readdirSync(location).length === 0;
    if (isFree) continue;
    throw new Fault(
      'TARGET_OCCUPIED',
      `The tablespace ${oid} was created at "${location}" after the base backup: the restored server would use that place, and it ${existsSync(location) ? 'is in use here' : 'is not there'}`,
      {
        hint: 'Restore to a time before, or to one after the next base backup (capture makes one by itself), or on a host where that directory is empty.',
      },
    );
  }
}

/** On the file system of the log, so that a file is taken by its name alone. */
function spoolOf(dataDirectory: string): string {
  return join(dataDirectory, 'holdfast-log');
}

/** Another major version cannot read the files, and says so only when it has been given all of them. */
function checkPrograms(programs: string, { version }: ServerFacts): void {
  const major = Number.parseInt(version, 10);
  const hint = `Name the directory of PostgreSQL ${major}'s programs with --bin-dir.`;
  const postgres = join(programs, 'postgres');
  if (!existsSync(postgres)) throw new Fault('USAGE', `There is no server program in ${programs}`, { hint });
  const { stdout } = spawnSync(postgres, ['--version'], { encoding: 'utf8' });
  const found = /\b(\d+)(?:\.|devel|beta|rc)/.exec(stdout ?? '')?.[1];
  if (Number(found) !== major)
    throw new Fault(
      'PG_NOT_READY',
      `The base backup is of PostgreSQL ${version}; the programs in ${programs} are of ${(stdout ?? '').trim() || 'an unknown version'}`,
      { hint },
    );
}

function makeEmptyDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (readdirSync(path).length > 0) throw new Fault('TARGET_OCCUPIED', `"${path}" is not empty`);
}

/** Who the restored files belong to, when it is not this user: the server is run as that. */
function ownerOf(dataDirectory: string): FileOwner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(dataDirectory);
  if (uid === 0) throw new Fault('TARGET_DENIED', `"${dataDirectory}" belongs to root, and the server refuses to run as root`);
  return { uid, gid };
}

function makeSandbox(owner: FileOwner | undefined): string {
  const sandbox = mkdtempSync(join(tmpdir(), 'holdfast-restore-'));
  chmodSync(sandbox, 0o700);
  if (owner !== undefined) chownSync(sandbox, owner.uid, owner.gid);
  writeOwned(join(sandbox, 'pg_hba.conf'), 'local all all trust\n', owner);
  return sandbox;
}

function writeOwned(path: string, text: string, owner: FileOwner | undefined): void {
  writeFileSync(path, text, { mode: 0o600 });
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

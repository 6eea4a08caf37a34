// Bringing a cluster back to a place in its log: the base is restored by the engine, the server recovers from the stored log in a sandbox, and
// what it has reached is compared with the plan before anybody is told that it is done.

import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { baseFactsOf, type ClusterFacts } from '../../src/engine/cluster-facts.ts';
import type { RecoveryPlan } from '../../src/engine/recovery-plan.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { differingCollations } from './collations.ts';
import { DataDirectory, SANDBOX_PREFIX } from './data-directory.ts';
import { mustHaveHadRoom } from './full-disk.ts';
import { LogFiles } from './log-files.ts';
import { type FileOwner, LogServer } from './log-server.ts';
import { LogSpool } from './log-spool.ts';
import type { RecoveryProgress } from './recovery-progress.ts';
import { raisedFloor, restoreCommandOf, withoutAbsent, withoutGate, withoutRecovery, withRecovery } from './recovery-settings.ts';
import { type BaseReader, configurationBeside, placeTablespaces, poolOf, restoreBase, restoreControl } from './restore-base.ts';
import { RestoredServer } from './restored-server.ts';
import type { ServerFacts } from './server-facts.ts';
import type { StartServer } from './server-process.ts';
import { checkPrograms } from './server-programs.ts';
import type { LogNote } from './wal-reader.ts';

/** Of log that a server keeps between checkpoints. */
const MIN_SEGMENTS = 5;
const MAX_SEGMENTS = 64;

export type ClusterRestore = {
  readonly repository: BaseReader & { readonly openIndex?: Repository['openIndex'] };
  readonly cluster: ClusterFacts;
  readonly plan: RecoveryPlan;
  /** Absolute: new, empty, or what an interrupted restore has left, which goes on. */
  readonly dataDirectory: string;
  /** Also over the data directory of this cluster: only what differs is fetched, what the backup does not have is removed. */
  readonly delta?: boolean;
  /** By oid; others go where they lay before, or to `<data directory>-tablespaces/<oid>`. */
  readonly tablespaces: Readonly<Record<string, string>>;
  /** Directory of the server's programs, of the major version that was backed up. */
  readonly programs: string;
  readonly action: 'promote' | 'pause';
  /** What the server's helper is started by when this process is gone: "holdfast". */
  readonly program: readonly string[];
  /** What asks this process for a file of log. Absent: our own (fetch-log.ts). */
  readonly asking?: readonly string[];
  /** How the helper finds the repository when this process is gone. */
  readonly helper: Readonly<Record<string, unknown>>;
  readonly threads: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly progress: RecoveryProgress;
  readonly onStep: (step: 'base' | 'log' | 'reached') => void;
  /** Where the private directory of the server that recovers is made. Absent: among the temporary files. */
  readonly sandboxIn?: string;
  /** Absent: the server is a child of this process. */
  readonly start?: StartServer;
};

export type RestoredCluster = {
  readonly server: RestoredServer;
  readonly sandbox: string;
  /** Who the files belong to and the server runs as, when that is not this user. */
  readonly owner: FileOwner | undefined;
  /** Of the last commit; undefined when there was none since the base backup. */
  readonly achieved: LogMark | undefined;
  readonly position: number;
  readonly timeline: number;
  readonly baseMs: number;
  readonly logMs: number;
  readonly logFiles: number;
  /** Text sorts otherwise here than where the backup was made: what is to be done about which. */
  readonly collations: readonly string[];
  /** Ends the handing out of log, and forgets the recovery's settings. */
  readonly finish: () => Promise<void>;
};

export async function restoreCluster(restore: ClusterRestore): Promise<RestoredCluster> {
  const { plan, cluster } = restore;
  const snapshot = cluster.snapshots.get(plan.base.snapshot)!;
  const facts = baseFactsOf(snapshot);
  const server = JSON.parse(facts.server) as ServerFacts;
  checkPrograms(restore.programs, server);
  const notes = await notesOnWay(restore);
  const wish = { delta: restore.delta === true, systemId: facts.systemId, plan: JSON.stringify(plan) };
  const directory = await DataDirectory.take(restore.dataDirectory, wish);
  try {
    return await restoreInto(restore, directory, { snapshot, facts, server, notes });
  } finally {
    directory.release();
  }
}

type FoundBase = {
  readonly snapshot: Snapshot;
  readonly facts: ReturnType<typeof baseFactsOf>;
  readonly server: ServerFacts;
  readonly notes: readonly LogNote[];
};

async function restoreInto(
  restore: ClusterRestore,
  directory: DataDirectory,
  { snapshot, facts, server, notes }: FoundBase,
): Promise<RestoredCluster> {
  const { plan, cluster, onStep, progress } = restore;
  if (!directory.isRecovering) checkLaterTablespaces(notes);
  const tablespaces = placeTablespaces(facts.tablespaces, restore.tablespaces, directory);
  const began = performance.now();
  progress.baseBytes = snapshot.root.contentBytes;
  progress.logBytesTotal = plan.legs.reduce((sum, { from, to }) => sum + to - from, 0);
  progress.enter('base', began);
  onStep('base');
  const { repository: reader, threads, signal } = restore;
  const pool = poolOf(reader, threads, signal);
  const base = { reader, snapshot, directory, tablespaces, pool, progress };
  let owner: FileOwner | undefined;
  let sandbox = '';
  try {
    if (!directory.isRecovering) {
      directory.begin(tablespaces);
      await reader.openIndex?.({ signal });
      await restoreBase(base);
    }
    owner = ownerOf(directory.path);
    sandbox = makeSandbox(restore.sandboxIn ?? tmpdir(), owner);
    const own = { socket: join(sandbox, 'log'), dataDirectory: directory.path, segmentBytes: server.segmentBytes };
    const planFile = join(sandbox, 'plan.json');
    writeOwned(planFile, JSON.stringify({ ...own, legs: plan.legs, ...restore.helper }), owner);
    await configure(restore, server, notes, planFile, owner);
    if (!directory.isRecovering) await restoreControl(base, cluster.view);
    directory.recovering(tablespaces, sandbox);
  } catch (error) {
    if (sandbox !== '') rmSync(sandbox, { recursive: true, force: true });
    throw error;
  } finally {
    await pool.close();
  }
  const baseMs = performance.now() - began;
  progress.enter('log', performance.now());
  onStep('log');
  const recovered = await recover(restore, server, sandbox, owner);
  onStep('reached');
  progress.enter('reached', performance.now());
  const finish = async (): Promise<void> => {
    await recovered.finish();
    directory.done();
  };
  return { ...recovered, finish, sandbox, owner, achieved: plan.stopAt, baseMs };
}

/** The server reads the stored log up to the place. */
async function recover(
  restore: ClusterRestore,
  server: ServerFacts,
  sandbox: string,
  owner: FileOwner | undefined,
): Promise<Omit<RestoredCluster, 'sandbox' | 'owner' | 'achieved' | 'baseMs'>> {
  const { plan, cluster, dataDirectory } = restore;
  const { segmentBytes } = server;
  const files = new LogFiles({ view: cluster.view, segmentBytes, legs: plan.legs });
  const logServer = await LogServer.listen(join(sandbox, 'log'), files, owner);
  rmSync(spoolOf(dataDirectory), { recursive: true, force: true });
  const spool = new LogSpool(spoolOf(dataDirectory), files, plan.legs, segmentBytes, owner);
  let running: RestoredServer | undefined;
  try {
    const began = performance.now();
    running = RestoredServer.start({
      programs: restore.programs,
      dataDirectory,
      directory: sandbox,
      owner,
      role: server.role,
      database: server.database,
      version: Number.parseInt(server.version, 10),
      settings: restore.settings,
      ...(restore.start === undefined ? {} : { start: restore.start }),
    });
    const reached = await waitUntilReached(running, restore, logServer, () => spool.taken * segmentBytes);
    const collations = await differingCollations(running);
    const autoConf = join(dataDirectory, 'postgresql.auto.conf');
    return {
      server: running,
      ...reached,
      logMs: performance.now() - began,
      logFiles: logServer.segments + spool.taken,
      collations,
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
    // What has failed is in the server's own log, in there; an interruption leaves nothing to look at.
    if (restore.signal.aborted) rmSync(sandbox, { recursive: true, force: true });
    throw error;
  }
}

/** Promoted, or paused at the target; and exactly there. */
async function waitUntilReached(
  server: RestoredServer,
  { plan, action, signal, progress, dataDirectory }: ClusterRestore,
  logServer: LogServer,
  taken: () => number,
): Promise<{ readonly position: number; readonly timeline: number }> {
  const state =
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END, (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text, (SELECT timeline_id FROM pg_control_checkpoint())";
  let reached: { readonly position: number; readonly timeline: number };
  try {
    reached = await server.until(
      async (sql) => {
        const [inRecovery, paused, position, timeline] = (await sql.query(state)).rows[0]!;
        progress.logBytesDone = Math.max(taken(), Number(position ?? plan.base.start) - plan.base.start);
        if (inRecovery === 'f' && action === 'pause')
          throw server.failed('The restored server was promoted, although it was to pause');
        return inRecovery === 'f' || paused === 't' ? { position: Number(position), timeline: Number(timeline) } : undefined;
      },
      signal,
      () => {
        progress.logBytesDone = Math.max(progress.logBytesDone, taken());
      },
    );
  } catch (error) {
    if (!isFault(error, 'PG_RECOVERY_FAILED')) throw error;
    const { failure } = logServer;
    const why = failure === undefined ? error.message : `${error.message}. Its log could not be had: ${failure}`;
    mustHaveHadRoom(`The log cannot be replayed in "${dataDirectory}"`, why, error);
    throw failure === undefined ? error : new Fault('PG_RECOVERY_FAILED', why, { cause: error });
  }
  const wanted = plan.stopAt?.end;
  if (wanted !== undefined ? reached.position !== wanted : reached.position < plan.base.stop)
    throw new Fault(
      'PG_RECOVERY_FAILED',
      `The restored server stopped at ${formatLsn(reached.position)}; ${wanted === undefined ? `at least ${formatLsn(plan.base.stop)}` : formatLsn(wanted)} was planned`,
    );
  return reached;
}

async function configure(
  restore: ClusterRestore,
  server: ServerFacts,
  notes: readonly LogNote[],
  planFile: string,
  owner: FileOwner | undefined,
): Promise<void> {
  const { dataDirectory, plan, action, program, asking } = restore;
  const auto = join(dataDirectory, 'postgresql.auto.conf');
  const before = existsSync(auto) ? readFileSync(auto, 'utf8') : '';
  const settings = {
    restoreCommand: restoreCommandOf(program, planFile, spoolOf(dataDirectory), asking),
    stopAt: plan.stopAt,
    timeline: plan.timeline,
    action,
    floor: raisedFloor(server.floor, notes),
  };
  writeOwned(auto, withRecovery(before, settings), owner);
  keepConfiguration(dataDirectory, owner, server.segmentBytes);
  rmSync(join(dataDirectory, 'standby.signal'), { force: true });
  rmSync(join(dataDirectory, 'postmaster.pid'), { force: true });
  writeOwned(join(dataDirectory, 'recovery.signal'), '', owner);
}

/** Of production's own configuration what can be taken over by a copy. Where there is none, what a server with such segments does not start without,
 *  as initdb writes it. */
export function keepConfiguration(dataDirectory: string, owner: FileOwner | undefined, segmentBytes: number): void {
  const main = join(dataDirectory, 'postgresql.conf');
  const kept = configurationBeside(dataDirectory);
  const isHere = (path: string): boolean => existsSync(resolve(dataDirectory, path));
  if (existsSync(main))
    writeOwned(main, withoutAbsent(withoutGate(withoutRecovery(readFileSync(main, 'utf8'))), kept, isHere), owner);
  else {
    const segmentMib = segmentBytes / 1024 / 1024;
    const sizes = `min_wal_size = ${MIN_SEGMENTS * segmentMib}MB\nmax_wal_size = ${MAX_SEGMENTS * segmentMib}MB\n`;
    writeOwned(main, `# The configuration of this cluster lay outside of its data directory: see ${kept}\n${sizes}`, owner);
  }
}

export async function notesOnWay({ plan, cluster }: Pick<ClusterRestore, 'plan' | 'cluster'>): Promise<LogNote[]> {
  const notes: LogNote[] = [];
  for (const { timeline, from, to } of plan.legs)
    for await (const mark of cluster.view.marks(timeline, from, to))
      if (mark.kind === 'note') notes.push(JSON.parse(mark.text) as LogNote);
  return notes;
}

/** A server that replays the creation of a tablespace uses the very place that production uses. On production's own host that would be
 *  production's files. */
export function checkLaterTablespaces(notes: readonly LogNote[]): void {
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
export function spoolOf(dataDirectory: string): string {
  return join(dataDirectory, 'holdfast-log');
}

/** Who the restored files belong to, when it is not this user: the server is run as that. */
export function ownerOf(dataDirectory: string): FileOwner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(dataDirectory);
  if (uid === 0) throw new Fault('TARGET_DENIED', `"${dataDirectory}" belongs to root, and the server refuses to run as root`);
  return { uid, gid };
}

function makeSandbox(parent: string, owner: FileOwner | undefined): string {
  const sandbox = mkdtempSync(join(parent, SANDBOX_PREFIX));
  chmodSync(sandbox, 0o700);
  if (owner !== undefined) chownSync(sandbox, owner.uid, owner.gid);
  writeOwned(join(sandbox, 'pg_hba.conf'), 'local all all trust\n', owner);
  return sandbox;
}

export function writeOwned(path: string, text: string, owner: FileOwner | undefined): void {
  writeFileSync(path, text, { mode: 0o600 });
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

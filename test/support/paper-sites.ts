// Sites on paper: what an orchestrator asks of them is written as lines of a file, and answered as sites do whose databases are what a test
// says. Who may write is real: the writer registers of an embedded registry. Any number of processes may use them at once.

import { once } from 'node:events';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../src/base/faults.ts';
import { runFailover } from '../../src/dr/failover.ts';
import { type FailoverJournal, JournalRegister } from '../../src/dr/failover-journal.ts';
import type { DatabaseStatus, PointOfFiles, RecoveredHeartbeat, SiteControl } from '../../src/dr/site-control.ts';
import { demoted, type LogEnd } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { signHeartbeat } from '../../src/evidence/heartbeat.ts';
import { failoverSteps } from '../../src/orchestrator/failover-steps.ts';
import { keepEvidenceIn } from '../../src/orchestrator/keep-evidence.ts';
import { keptPlan } from '../../src/orchestrator/kept-plan.ts';
import type { OrchestratorPorts } from '../../src/orchestrator/ports.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { openSigningKey } from '../../src/trust/audit-key.ts';

export const PAPER_SEALED: LogEnd = { timeline: 1, lsn: '0/5000028' };
const SYSTEM_ID = '7000000000000000000';

export type PaperOptions = {
  readonly directory: string;
  readonly plan: string;
  /** Sites that do not answer. */
  readonly lost?: readonly string[];
  /** Of the newest heartbeat that is found, ms ago; null: none is found. */
  readonly heartbeatAgeMs?: number | null;
  /** What the source's store has beyond the place where the target's log ends. */
  readonly sourceEnd?: string;
  readonly notReady?: string;
  readonly noRoom?: string;
  /** How far the replica is behind, milliseconds; null: nobody knows. */
  readonly lagMs?: number | null;
  /** Of the replication at the target. */
  readonly trouble?: string;
  /** The target is not promoted before somebody ends it. */
  readonly isStuck?: boolean;
  /** Age in ms of the newest backup of files; absent: no site knows any, and people move them. */
  readonly filesAgeMs?: number;
  /** Kills the process before or after this line is written. */
  readonly dieAt?: string;
  readonly dieWhen?: 'before' | 'after';
};

export function registryOf({ directory }: PaperOptions): ReturnType<typeof openEmbeddedRegistry> {
  return openEmbeddedRegistry(join(directory, 'registry.db'));
}

export function effectsOf({ directory }: PaperOptions): string[] {
  const file = join(directory, 'effects');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

export function evidencePlaceOf({ directory }: PaperOptions): string {
  return join(directory, 'evidence');
}

export function evidenceFileOf(options: PaperOptions): string {
  const directory = evidencePlaceOf(options);
  return join(directory, readdirSync(directory).find((name) => name.endsWith('.json'))!);
}

function effect({ directory, dieAt, dieWhen }: PaperOptions, line: string): void {
  if (line === dieAt && dieWhen === 'before') process.kill(process.pid, 'SIGKILL');
  appendFileSync(join(directory, 'effects'), `${line}\n`);
  if (line === dieAt && dieWhen === 'after') process.kill(process.pid, 'SIGKILL');
}

export async function paperPorts(options: PaperOptions): Promise<OrchestratorPorts> {
  const registry = registryOf(options);
  const journal = new JournalRegister(registry, options.plan);
  const { planDigest } = (await journal.read()).journal;
  const pair = openSigningKey(options.directory, 'key');
  const now = (): Date => new Date();
  return {
    registry,
    journal,
    plan: await keptPlan(registry, options.plan, planDigest),
    site: (name) => paperSite(options, name),
    trusted: [pair.verifyKey],
    now,
    nowMs: () => performance.now(),
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
    keepEvidence: async (evidence) => {
      effect(options, 'evidence');
      return keepEvidenceIn(evidencePlaceOf(options), { tenant: 'test', program: 'test', pair })(evidence);
    },
  };
}

export async function runOnPaper(options: PaperOptions, signal = new AbortController().signal): Promise<FailoverJournal> {
  const ports = await paperPorts(options);
  try {
    return await runFailover(ports.journal, failoverSteps(ports), ports.now, signal);
  } finally {
    await ports.registry.close();
  }
}

function paperSite(options: PaperOptions, site: string): SiteControl {
  const told = async (verb: string, asset: string): Promise<void> => {
    if (options.lost?.includes(site)) throw new Fault('SITE_UNREACHABLE', `The site "${site}" does not answer`);
    effect(options, `${site} ${verb} ${asset}`);
  };
  const at = (): string => new Date().toISOString();
  const sealedAs = (epoch: number, failover: string, end: LogEnd) => ({ epoch, failover, end, lastTransactionAt: at() });
  const standby = { isHealthy: options.notReady === undefined, replayed: PAPER_SEALED, behindBytes: 0, gapAt: null };
  return {
    site,
    status: async (asset) => {
      await told('status', asset);
      const status = statusOf(asset, site, { ...standby, problem: options.notReady ?? null });
      const { lagMs = status.replica?.lagMs ?? null, trouble = null, noRoom = null } = options;
      return { ...status, noRoom, replica: status.replica && { ...status.replica, lagMs, problem: trouble } };
    },
    demote: async (asset, { failover }) => {
      const registry = registryOf(options);
      const demotion = { ...PAPER_SEALED, systemId: SYSTEM_ID };
      await new WriterRegister(registry, incarnationOf(asset)).change((record) => demoted(record, record, demotion, failover));
      await registry.close();
      await told('demote', asset);
      return { demotion, storedTo: PAPER_SEALED };
    },
    revoke: (asset) => told('revoke', asset),
    seal: async (asset, { epoch, failover, at: wanted }) => {
      await told('seal', asset);
      const own = site === 'site-a' && options.sourceEnd !== undefined ? { timeline: 1, lsn: options.sourceEnd } : PAPER_SEALED;
      return sealedAs(epoch, failover, wanted ?? own);
    },
    unseal: (asset) => told('unseal', asset),
    catchUp: async (asset, sealed) => {
      await told('catchUp', asset);
      return { replayed: sealed, isChainVerified: true };
    },
    loss: async (asset) => {
      await told('loss', asset);
      return lossOf(options, asset);
    },
    promoted: async (asset, { epoch }, { signal }) => {
      await told('promoted', asset);
      if (options.isStuck === true) await once(signal, 'abort').then(() => signal.throwIfAborted());
      const begins = { timeline: 2, lsn: '0/50000A0' };
      return { epoch, systemId: SYSTEM_ID, timeline: 2, begins, storedTo: begins, readWriteAt: at() };
    },
    writeTest: async (asset) => {
      await told('writeTest', asset);
      // Its clock is five hours ahead: no objective is measured by it.
      return { committedAt: new Date(Date.now() + 5 * 3_600_000).toISOString(), sequence: 4712, timeline: 2 };
    },
    verifyPages: async (asset) => {
      await told('verifyPages', asset);
      return { pages: 90, indexes: 10, damaged: [], notVerified: [] };
    },
    protect: async (asset, { epoch }) => {
      await told('protect', asset);
      return { epoch, storedTo: PAPER_SEALED, base: null };
    },
    rejoin: async (asset) => {
      await told('rejoin', asset);
      return { divergence: null, standby: { ...standby, problem: null } };
    },
    point: async (asset, { snapshot }) => {
      const point = pointOf(options, asset, site);
      if (snapshot !== null) await told('point', asset);
      return { ...point, snapshot: snapshot ?? point.snapshot };
    },
    keep: async (asset) => {
      const point = pointOf({ ...options, ...(options.filesAgeMs === undefined ? {} : { filesAgeMs: 0 }) }, asset, site);
      await told('keep', asset);
      return { ...point, snapshot: 'kept' };
    },
    bring: async (asset, { snapshot }) => {
      const point = pointOf({ ...options, ...(snapshot === null ? {} : { filesAgeMs: 0 }) }, asset, site);
      await told('bring', asset);
      const counts = { entries: 7, bytes: 7000, bytesFetched: 500, setAside: 0, aside: null };
      return { ...point, ...counts, snapshot: snapshot ?? point.snapshot };
    },
    compare: async (asset) => {
      pointOf(options, asset, site);
      await told('compare', asset);
      return { entries: 7, differing: [] };
    },
    admit: (asset) => told('admit', asset),
    promise: async () => false,
  };
}

function pointOf({ filesAgeMs }: PaperOptions, asset: string, site: string): PointOfFiles {
  if (filesAgeMs === undefined) throw new Fault('SITE_UNKNOWN_ASSET', `The daemon of the site "${site}" has no asset "${asset}"`);
  const at = new Date(Date.now() - filesAgeMs).toISOString();
  return { snapshot: 'newest', at, endedAt: at };
}

/** "pg/portal" -> "portal" */
export function incarnationOf(asset: string): string {
  return asset.split('/').at(-1)!;
}

function lossOf({ directory, heartbeatAgeMs = 0 }: PaperOptions, asset: string): RecoveredHeartbeat {
  const of = { asset, systemId: SYSTEM_ID };
  const beat =
    heartbeatAgeMs === null
      ? null
      : signHeartbeat(openSigningKey(directory, 'key'), of, 4711, new Date(Date.now() - heartbeatAgeMs));
  return { heartbeat: beat, systemId: SYSTEM_ID, readAt: new Date().toISOString() };
}

function statusOf(asset: string, site: string, standby: DatabaseStatus['standby']): DatabaseStatus {
  const at = new Date().toISOString();
  const incarnation = incarnationOf(asset);
  return {
    asset,
    site,
    incarnation,
    member: site,
    at,
    gate: { role: 'standby', epoch: 0, writableForMs: null, terms: null, problem: null },
    server: { state: 'standby', systemId: SYSTEM_ID, timeline: 1, lsn: PAPER_SEALED.lsn },
    capture: null,
    log: PAPER_SEALED,
    replica: { state: 'following', asOf: at, lagMs: 300, problem: null },
    standby,
    sealed: null,
    base: { snapshot: 'aa', at },
    fingerprint: null,
    problems: [],
  };
}

if (process.argv[1] === import.meta.filename) {
  const journal = await runOnPaper(JSON.parse(process.argv[2]!) as PaperOptions);
  process.stdout.write(journal.state);
}

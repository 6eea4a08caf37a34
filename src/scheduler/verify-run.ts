// Executes a verify: sampled, full, of the structure, or a scrub, and writes down what it proved.
//
// Only a full verify proves a recovery point; and only those that the catalogue knew before it began, for the others it may not have seen. The
// same holds for the sessions of agents: their chunks may be offered to others from then on. Damage is believed at any depth.

import { EXIT } from '../base/faults.ts';
import type { ChildLine } from '../base/program-child.ts';
import type { Catalog, CatalogTables, WriteSession } from '../catalog/catalog.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { Run } from '../model/run.ts';
import { proveSessions } from './prove-sessions.ts';
import {
  type ExecutionEnd,
  endOfFailure,
  faultText,
  resultOf,
  runVerb,
  type ServiceRun,
  type ServiceRunPorts,
} from './service-run.ts';

const DAMAGE_NAMED_MAX = 100;
const WRITTEN_AT_ONCE = 200;

type Findings = { readonly affected: Set<string>; readonly damage: string[] };
type Known = {
  readonly points: readonly RecoveryPoint[];
  readonly sessions: readonly WriteSession[];
  /** Names of snapshots that the repository had after that. */
  readonly snapshots: ReadonlySet<string>;
};

export const runVerify: ServiceRun = async (ports, execution) => {
  const { catalog, now } = ports;
  const { run } = execution;
  const { mode = 'structure' } = run.parameters;
  if (mode === 'sessions') return proveSessions(ports, execution);
  const known = await knownBefore(ports, run.tenantId);
  const findings: Findings = { affected: new Set(), damage: [] };
  const outcome = await runVerb(ports, execution, await verbOf(catalog, run), (line) => note(findings, line));
  const { end, summary } = outcome;
  if (summary === undefined || (end.status !== 0 && end.status !== EXIT.damage)) return endOfFailure(outcome);
  const isClean = end.status === 0;
  const at = instantOf(now());
  await markAffected(catalog, known.points, findings.affected);
  if (mode === 'full' && isClean) await markProven(catalog, known, at);
  const lost = await markLost(catalog, known);
  return endOf({ ...resultOf(summary), lost }, isClean && lost === 0, findings);
};

async function verbOf(catalog: Catalog, { tenantId, parameters }: Run): Promise<readonly string[]> {
  const { mode, share } = parameters;
  if (mode === 'scrub') return ['scrub'];
  if (mode === 'full') return ['verify', '--full'];
  if (mode !== 'sampled') return ['verify'];
  // Seeds that follow each other cover all packs in turn.
  const seed = await catalog.transaction(async (tables) => {
    const next = (Number((await tables.settings.get(seedSetting(tenantId))) ?? '0') + 1) % 1_000_000_000;
    await tables.settings.set(seedSetting(tenantId), String(next));
    return next;
  });
  return ['verify', '--sample', String(typeof share === 'number' ? share : 0.05), '--seed', String(seed)];
}

function seedSetting(tenantId: string): string {
  return `verify-seed:${tenantId}`;
}

async function knownBefore({ catalog, tenants }: ServiceRunPorts, tenantId: string): Promise<Known> {
  const points: RecoveryPoint[] = [];
  for await (const point of eachItem((page) => catalog.recoveryPoints.list(tenantId, undefined, page))) points.push(point);
  const sessions = (await catalog.sessions.list(tenantId)).filter(({ state }) => state === 'committed');
  const head = await tenants.use(tenantId, (repository) => repository.heads.read());
  return { points, sessions, snapshots: new Set(head.snapshots.map(({ session }) => session)) };
}

function note({ affected, damage }: Findings, line: ChildLine): void {
  if (line.kind === 'affected' && typeof line.snapshot === 'string') affected.add(line.snapshot);
  if (line.kind === 'damage' && damage.length < DAMAGE_NAMED_MAX)
    damage.push(`${line.thing} ${line.id}: ${line.message}`.slice(0, 500));
}

async function markAffected(catalog: Catalog, points: readonly RecoveryPoint[], affected: ReadonlySet<string>): Promise<void> {
  const hit = points.filter(({ snapshot, isSound }) => affected.has(snapshot) && isSound);
  await change(catalog, hit, async (tables, point) => {
    const now = await tables.recoveryPoints.get(point.tenantId, point.snapshot);
    if (now === undefined) return;
    await tables.recoveryPoints.put({ ...now, isSound: false });
  });
}

async function markProven(catalog: Catalog, { points, sessions, snapshots }: Known, at: Instant): Promise<void> {
  const verified = points.filter(({ snapshot }) => snapshots.has(snapshot));
  await change(catalog, verified, async (tables, point) => {
    const now = await tables.recoveryPoints.get(point.tenantId, point.snapshot);
    if (now !== undefined && now.refutedAt === undefined)
      await tables.recoveryPoints.put({ ...now, isSound: true, provenAt: at, proof: 'verify' });
  });
  const unproved = sessions.filter(({ verifiedAt }) => verifiedAt === undefined);
  await change(catalog, unproved, async (tables, session) => {
    const now = await tables.sessions.get(session.session);
    if (now?.state === 'committed') await tables.sessions.put({ ...now, verifiedAt: at });
  });
}

/** A recovery point that the repository knows nothing of, and that no forget has taken: somebody removed it behind our back. */
async function markLost(catalog: Catalog, { points, snapshots }: Known): Promise<number> {
  let lost = 0;
  const absent = points.filter(({ snapshot }) => !snapshots.has(snapshot));
  await change(catalog, absent, async (tables, point) => {
    const now = await tables.recoveryPoints.get(point.tenantId, point.snapshot);
    if (now === undefined) return;
    lost++;
    await tables.recoveryPoints.put({ ...now, isSound: false });
  });
  return lost;
}

async function change<T>(
  catalog: Catalog,
  items: readonly T[],
  write: (tables: CatalogTables, item: T) => Promise<void>,
): Promise<void> {
  for (let n = 0; n < items.length; n += WRITTEN_AT_ONCE) {
    await catalog.transaction(async (tables) => {
      for (const item of items.slice(n, n + WRITTEN_AT_ONCE)) await write(tables, item);
    });
  }
}

function endOf(summary: Readonly<Record<string, unknown>>, isClean: boolean, { affected, damage }: Findings): ExecutionEnd {
  if (isClean) return { state: 'succeeded', result: summary };
  const { lost } = summary;
  const missing = typeof lost === 'number' && lost > 0 ? `; ${lost} recovery points are not in the repository any more` : '';
  const message = `${summary.damaged ?? damage.length} things of the repository are damaged; ${affected.size} recovery points cannot be restored whole${missing}`;
  return {
    state: 'failed',
    result: { ...summary, damage, affectedSnapshots: [...affected].slice(0, DAMAGE_NAMED_MAX) },
    fault: faultText('REPOSITORY_DAMAGED', message),
  };
}

// What follows from the end of an attempt, in the transaction in which it ended: events, what it proves about recovery points, and the runs
// that come after it.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { NewEvent, Severity } from '../model/event.ts';
import { newId } from '../model/identifier.ts';
import { type Instant, instantOf, laterBy } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import { isDuty, type RunKind } from '../model/run-kind.ts';
import { isOver } from '../model/run-state.ts';
import { noteReadiness } from './plan-readiness.ts';

/** Several backups of an asset within this time are followed by one forget. */
const FORGET_AFTER_MS = 60_000;
const FORGET_PRIORITY = 60;
const PROOF_AFTER_MS = 5 * 60_000;
const PROOF_PRIORITY = 10;
const WAITING_LOOKED_AT = 20;
const FOLLOWING_ATTEMPTS_MAX = 5;

export type RunEndedPorts = { readonly now: () => Date; readonly random: (bytes: number) => Uint8Array };
/** To be called with the run as it is after `runs.end`, `runs.expire` or `runs.cancel`, in the same transaction, once for each end. */
export type OnRunEnded = (tables: CatalogTables, run: Run) => Promise<void>;

/** The name of a setting: when the first backup of an asset succeeded. */
export function firstBackupSetting(assetId: string): string {
  return `first-backup:${assetId}`;
}

export function onRunEnded(ports: RunEndedPorts): OnRunEnded {
  return async (tables, run) => {
    // Queued again: nothing is decided yet.
    if (!isOver(run.state)) return;
    const at = run.endedAt ?? instantOf(ports.now());
    const hasSucceeded = run.state === 'succeeded' || run.state === 'warned';
    if (run.state === 'failed' && !(await isToldAlready(tables, run))) await tables.events.add(failure(run), at);
    if (run.state === 'warned') await tables.events.add(warning(run), at);
    if (hasSucceeded && !isDuty(run.kind) && (await hadFailed(tables, run))) await tables.events.add(recovery(run), at);
    if (run.kind === 'readiness') await noteReadiness(tables, run, at);
    if (run.kind === 'restore-test') await proveByRestore(tables, run, at);
    if (run.kind === 'backup' && hasSucceeded) {
      await noteFirstBackup(tables, run, at);
      await queueForget(tables, run, ports);
      await queueProof(tables, run, ports);
    }
  };
}

function common(run: Run): Pick<NewEvent, 'tenantId' | 'assetId' | 'runId'> {
  return { tenantId: run.tenantId, ...(run.assetId === undefined ? {} : { assetId: run.assetId }), runId: run.id };
}

function failure(run: Run): NewEvent {
  const { kind, fault, attempt } = run;
  return {
    ...common(run),
    kind: 'run.failed',
    severity: SEVERITY[kind] ?? 'warning',
    message: `The ${kind} ${run.id} failed${attempt > 1 ? ` after ${attempt} attempts` : ''}`,
    ...(fault === undefined ? {} : { cause: `${fault.message} [${fault.code}]`, action: fault.hint }),
    details: { runKind: kind, attempt, ...(fault === undefined ? {} : { code: fault.code }) },
  };
}

const SEVERITY: Partial<Record<RunKind, Severity>> = {
  backup: 'critical',
  capture: 'warning',
  verify: 'critical',
  'catalog-backup': 'critical',
  erase: 'critical',
  'restore-test': 'critical',
  drill: 'critical',
  failover: 'critical',
  restore: 'warning',
};

function warning(run: Run): NewEvent {
  return {
    ...common(run),
    kind: `${run.kind}.warned`,
    severity: 'warning',
    message: `The ${run.kind} ${run.id} ended with warnings: not all could be done`,
    cause: warningCause(run),
    action: 'See the result of the run for what is missing, and whether the agent may read it.',
    details: { runKind: run.kind },
  };
}

function warningCause({ result, fault }: Run): string {
  if (fault !== undefined) return fault.message;
  const problems = result?.problems;
  return typeof problems === 'number'
    ? `${problems} entries could not be read, or changed while they were`
    : 'See the result of the run';
}

function recovery(run: Run): NewEvent {
  return {
    ...common(run),
    kind: 'run.recovered',
    severity: 'info',
    message: `The ${run.kind} ${run.id} succeeded again after failures`,
    details: { runKind: run.kind },
  };
}

/** A capture is begun again and again; that it fails as before is no news. */
async function isToldAlready(tables: CatalogTables, run: Run): Promise<boolean> {
  if (!isDuty(run.kind) || run.assetId === undefined) return false;
  const { items } = await tables.runs.list(run.tenantId, { assetId: run.assetId, kind: run.kind }, { limit: 3 });
  const before = items.find(({ id, state }) => id !== run.id && isOver(state));
  return before?.state === 'failed' && before.fault?.code === run.fault?.code && Number(run.parameters['failures'] ?? 0) > 0;
}

/** Whether the one before this failed. */
async function hadFailed(tables: CatalogTables, run: Run): Promise<boolean> {
  const filter = {
    ...(run.assetId === undefined ? {} : { assetId: run.assetId }),
    kind: run.kind,
    states: ['succeeded', 'warned', 'failed'] as const,
  };
  const { items } = await tables.runs.list(run.tenantId, filter, { limit: 3 });
  const before = items.find(({ id, assetId }) => id !== run.id && assetId === run.assetId);
  return before?.state === 'failed';
}

const DAMNING: readonly string[] = ['RESTORE_TEST_DIFFERS', 'FORMAT_DAMAGED', 'SNAPSHOT_DAMAGED'];
/** Of a database, its base backup and its log are of two histories: only another rehearsal could show the contrary. */
const REFUTING = 'LOG_FORKED';

/** A rehearsal that compared what it restored proves its snapshot; one that found a difference proves the contrary. */
async function proveByRestore(tables: CatalogTables, run: Run, at: Instant): Promise<void> {
  const snapshot = run.result?.snapshot ?? run.parameters.snapshot;
  if (typeof snapshot !== 'string') return;
  const point = await tables.recoveryPoints.get(run.tenantId, snapshot);
  if (point === undefined) return;
  if (run.state === 'succeeded' || run.state === 'warned') {
    const { refutedAt: _, ...unrefuted } = point;
    await tables.recoveryPoints.put({ ...unrefuted, provenAt: at, proof: 'restore-test', isSound: true });
  } else if (run.fault?.code === REFUTING) {
    await tables.recoveryPoints.put({ ...point, isSound: false, refutedAt: at });
  } else if (DAMNING.includes(run.fault?.code ?? '')) {
    await tables.recoveryPoints.put({ ...point, isSound: false });
  }
}

async function noteFirstBackup(tables: CatalogTables, run: Run, at: Instant): Promise<void> {
  if (run.assetId === undefined) return;
  const name = firstBackupSetting(run.assetId);
  if ((await tables.settings.get(name)) === undefined) await tables.settings.set(name, at);
}

/** One forget for all backups of a minute, and none while one waits. */
async function queueForget(tables: CatalogTables, run: Run, ports: RunEndedPorts): Promise<void> {
  const { tenantId, assetId } = run;
  if (assetId === undefined) return;
  const { items } = await tables.runs.list(tenantId, { assetId, kind: 'forget', states: ['queued'] }, { limit: 1 });
  if (items.length > 0) return;
  await follow(tables, run, ports, {
    assetId,
    kind: 'forget',
    key: `${assetId}/forget/after/${run.id}`,
    parameters: {},
    priority: FORGET_PRIORITY,
    afterMs: FORGET_AFTER_MS,
  });
}

/** What an agent stored is offered to the others once it was read back. Where there is one agent, nobody waits for that. */
async function queueProof(tables: CatalogTables, run: Run, ports: RunEndedPorts): Promise<void> {
  const { tenantId } = run;
  const { items: agents } = await tables.agents.list(tenantId, { limit: 2 });
  if (agents.length < 2) return;
  const { items } = await tables.runs.list(tenantId, { kind: 'verify', states: ['queued'] }, { limit: WAITING_LOOKED_AT });
  if (items.some(({ parameters }) => parameters.mode === 'sessions')) return;
  await follow(tables, run, ports, {
    kind: 'verify',
    key: `${tenantId}/verify-sessions/after/${run.id}`,
    parameters: { mode: 'sessions' },
    priority: PROOF_PRIORITY,
    afterMs: PROOF_AFTER_MS,
  });
}

type Following = Pick<Run, 'kind' | 'key' | 'parameters' | 'priority'> & { readonly assetId?: string; readonly afterMs: number };

async function follow(tables: CatalogTables, run: Run, { now, random }: RunEndedPorts, following: Following): Promise<void> {
  const { afterMs, ...fields } = following;
  const date = now();
  const at = instantOf(date);
  await tables.runs.add(
    {
      id: newId('run', date, random),
      tenantId: run.tenantId,
      ...fields,
      dueAt: at,
      notBefore: laterBy(at, afterMs),
      attemptsMax: FOLLOWING_ATTEMPTS_MAX,
      requestedBy: 'scheduler',
    },
    at,
  );
}

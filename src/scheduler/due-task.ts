// One thing that has due times: a task of an asset, or of a tenant's repository; and how it becomes a run.
//
// In one transaction: how far the schedule was followed is moved by compare-and-swap, and the run is queued under a key made of the due time.
// Whoever loses the swap queues nothing; whoever dies has done both or neither. A run of the same thing that still waits stands for the new one,
// so that an agent that was away for a week finds one backup, not a hundred.

import { canonicalJson } from '../base/canonical-json.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import { newId } from '../model/identifier.ts';
import { type Instant, instantOf } from '../model/instant.ts';
import { MANUAL_KEY, type Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import { isOver } from '../model/run-state.ts';
import { catchUp, type DueTime } from '../policy/due-times.ts';
import type { PolicyTask } from '../policy/policy-tasks.ts';
import type { LimitTerms } from '../policy/policy-terms.ts';
import { CLOCK_TOLERANCE_MS, type ClockState } from './clock-watch.ts';

export type DueTask = {
  readonly tenantId: string;
  /** Absent: of the tenant's repository. */
  readonly asset?: { readonly id: string; readonly agentId: string; readonly hasLog?: boolean };
  readonly task: PolicyTask;
  readonly priority: number;
  /** How many runs at once, on its host and at its site. */
  readonly limits?: Pick<LimitTerms, 'perHostMax' | 'perSiteMax'>;
};

export type PlanContext = {
  readonly now: Date;
  readonly clock: ClockState;
  readonly random: (bytes: number) => Uint8Array;
};

export type PlanOutcome = {
  readonly kind: 'queued' | 'waiting' | 'lost' | 'not-due' | 'begun' | 'nothing-to-do';
  readonly run?: Run;
  /** Up to where the schedule was followed now. */
  readonly doneUntil: Date | undefined;
};

/** Attempts of a scheduled run. */
const ATTEMPTS_MAX = 5;
const WAITING_LOOKED_AT = 20;
const BASES_LOOKED_AT = 500;

export function seedOf({ tenantId, asset }: DueTask): string {
  return asset?.id ?? tenantId;
}

export function keyOf(due: DueTask): string {
  return `${seedOf(due)} ${due.task.name}`;
}

export async function doneUntilOf(tables: CatalogTables, due: DueTask): Promise<Date | undefined> {
  const { asset, task } = due;
  const text =
    asset === undefined ? await tables.settings.get(cursorSetting(due)) : await tables.schedules.get(asset.id, task.kind);
  return text === undefined ? undefined : new Date(text);
}

/** To be called in a transaction. */
export async function planTask(tables: CatalogTables, due: DueTask, context: PlanContext): Promise<PlanOutcome> {
  const { now, clock } = context;
  const doneUntil = await doneUntilOf(tables, due);
  if (doneUntil === undefined) return begin(tables, due, context);
  if (doneUntil.getTime() > Date.parse(clock.seenUntil) + CLOCK_TOLERANCE_MS) {
    // Followed by a clock that was ahead, and has been put right.
    return (await advance(tables, due, doneUntil, now)) ? { kind: 'begun', doneUntil: now } : { kind: 'lost', doneUntil };
  }
  const next = catchUp(due.task.schedules, doneUntil, now, seedOf(due));
  if (next === undefined) return { kind: 'not-due', doneUntil };
  if (!(await advance(tables, due, doneUntil, next.due))) return { kind: 'lost', doneUntil };
  return { ...(await queue(tables, due, next, context)), doneUntil: next.due };
}

/** Never seen before: an asset without any backup gets one at once, unless hours are set for that. Everything else waits for its time. */
async function begin(tables: CatalogTables, due: DueTask, context: PlanContext): Promise<PlanOutcome> {
  const { now } = context;
  const { asset, task } = due;
  if (!(await advance(tables, due, undefined, now))) return { kind: 'lost', doneUntil: undefined };
  const isBackup = asset !== undefined && task.kind === 'backup';
  // The first base backup of a database waits for its log: it follows the capture, not the clock.
  if (!isBackup || asset.hasLog === true || !task.schedules.some(({ window }) => window === undefined))
    return { kind: 'begun', doneUntil: now };
  if ((await tables.recoveryPoints.latest(asset.id)) !== undefined) return { kind: 'begun', doneUntil: now };
  return { ...(await queue(tables, due, { due: now, notBefore: now, entry: 0 }, context, 'first')), doneUntil: now };
}

async function advance(tables: CatalogTables, due: DueTask, from: Date | undefined, to: Date): Promise<boolean> {
  const before = from === undefined ? undefined : instantOf(from);
  if (due.asset !== undefined)
    return (await tables.schedules.advance(due.asset.id, due.task.kind, before, instantOf(to))) === 'advanced';
  // Settings have no compare-and-swap; the transaction is one.
  if ((await tables.settings.get(cursorSetting(due))) !== before) return false;
  await tables.settings.set(cursorSetting(due), instantOf(to));
  return true;
}

async function queue(
  tables: CatalogTables,
  due: DueTask,
  time: DueTime,
  { now, clock, random }: PlanContext,
  name?: string,
): Promise<Omit<PlanOutcome, 'doneUntil'>> {
  const { tenantId, asset, task, priority } = due;
  const waiting = await waitingRun(tables, due, now);
  const agentId = isOfAgent(task.kind) ? asset?.agentId : undefined;
  if (waiting !== undefined && waiting.agentId === agentId) return { kind: 'waiting', run: waiting };
  // For an agent that the asset is not on any more: nobody would ever take it.
  if (waiting !== undefined) await tables.runs.cancel(tenantId, waiting.id, instantOf(now));
  const parameters = await parametersOf(tables, due, now, random);
  if (parameters === undefined) return { kind: 'nothing-to-do' };
  const dueAt: Instant = instantOf(time.due);
  const key = `${seedOf(due)}/${task.name}/${name ?? dueAt}`;
  const add = (oneKey: string): ReturnType<typeof tables.runs.add> =>
    tables.runs.add(
      {
        id: newId('run', now, random),
        tenantId,
        ...(asset === undefined ? {} : { assetId: asset.id }),
        ...(agentId === undefined ? {} : { agentId }),
        kind: task.kind,
        key: oneKey,
        parameters,
        priority,
        dueAt,
        notBefore: instantOf(time.notBefore),
        ...(time.startBy === undefined ? {} : { startBy: instantOf(time.startBy) }),
        attemptsMax: ATTEMPTS_MAX,
        ...(agentId === undefined ? {} : due.limits),
        requestedBy: 'scheduler',
      },
      instantOf(now),
    );
  let added = await add(key);
  // The swap above was won, so nobody planned this due time since the clock was put back; before that somebody did.
  if (added.outcome === 'exists' && isOver(added.run.state) && clock.epoch > 0) added = await add(`${key}/${clock.epoch}`);
  return { kind: added.outcome === 'added' ? 'queued' : 'waiting', run: added.run };
}

function isOfAgent(kind: RunKind): boolean {
  return kind === 'backup' || kind === 'restore-test';
}

/** Queued by an earlier due time, or because somebody asked for the same. One that was queued by a clock that was ahead does not count: it would
 *  make all others wait for it. */
async function waitingRun(tables: CatalogTables, due: DueTask, now: Date): Promise<Run | undefined> {
  const { tenantId, asset, task } = due;
  const filter = { ...(asset === undefined ? {} : { assetId: asset.id }), kind: task.kind, states: ['queued'] as const };
  const { items } = await tables.runs.list(tenantId, filter, { limit: WAITING_LOOKED_AT });
  const parameters = canonicalJson(task.parameters);
  const isSame = ({ key, assetId, parameters: own }: Run): boolean =>
    key.startsWith(`${seedOf(due)}/${task.name}/`) ||
    (key.startsWith(MANUAL_KEY) && assetId === asset?.id && canonicalJson(own) === parameters);
  return items.find((run) => isSame(run) && Date.parse(run.dueAt) <= now.getTime() + CLOCK_TOLERANCE_MS);
}

/** Undefined: there is nothing to do it with yet. */
async function parametersOf(
  tables: CatalogTables,
  { tenantId, asset, task }: DueTask,
  now: Date,
  random: PlanContext['random'],
): Promise<Record<string, unknown> | undefined> {
  if (task.kind !== 'restore-test' || asset === undefined) return { ...task.parameters };
  if (asset.hasLog === true) {
    const { items } = await tables.recoveryPoints.list(tenantId, asset.id, { limit: BASES_LOOKED_AT });
    const drawn = drawInstant(
      items.filter(({ isSound }) => isSound),
      now,
      random,
    );
    return drawn === undefined ? undefined : { ...task.parameters, ...drawn };
  }
  const point = await tables.recoveryPoints.latest(asset.id);
  return point === undefined ? undefined : { ...task.parameters, snapshot: point.snapshot };
}

/** Any moment since the oldest base backup, each as likely as any other, and the newest base before it: what a restore to it would begin with. */
function drawInstant(
  bases: readonly { readonly snapshot: string; readonly endedAt: string }[],
  now: Date,
  random: PlanContext['random'],
): { readonly snapshot: string; readonly instant: string } | undefined {
  if (bases.length === 0) return undefined;
  const share = Buffer.from(random(4)).readUInt32LE() / 0x1_0000_0000;
  const from = Math.min(...bases.map(({ endedAt }) => Date.parse(endedAt)));
  const instant = new Date(from + Math.floor(share * Math.max(0, now.getTime() - from))).toISOString();
  const before = bases.filter(({ endedAt }) => endedAt <= instant);
  const base = before.reduce((newest, one) => (one.endedAt > newest.endedAt ? one : newest), before[0] ?? bases[0]!);
  return { snapshot: base.snapshot, instant };
}

function cursorSetting({ tenantId, task }: DueTask): string {
  return `schedule:${tenantId}:${task.name}`;
}

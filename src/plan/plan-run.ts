// From a plan and a kind of run to the ordered list of everything that is done: what the executor obeys and what the runbook prints, so
// that paper and automation cannot drift. Pure.
//
// The states are those of a failover: declared -> fenced -> sealed -> caught-up -> granted -> promoted -> routed -> verified -> committed ->
// re-protecting. An action belongs to the state that it leads to. What stands before `granted` can be undone.

import type { PlanRunKind } from '../model/failover-kind.ts';
import { FAILOVER_STATES } from '../model/failover-state.ts';
import { parseDuration } from '../policy/duration.ts';
import { groupOrder } from './group-order.ts';
import type { PlanDocument, PlanGroup, PlanRoute, PlanStep } from './plan-document.ts';

export type PlanState = Exclude<(typeof FAILOVER_STATES)[number], 'normal'>;
/** No action leads to `normal`: it is where all of them have led. */
export const STATES = FAILOVER_STATES.filter((state): state is PlanState => state !== 'normal');

/** What the product does by itself, by names that the runbook has texts for. */
export type BuiltinAction =
  | 'declare'
  | 'check-target'
  | 'drain-database'
  | 'fence-demote'
  | 'fence-revoke'
  | 'fence-power-off'
  | 'fence-wait'
  | 'seal'
  | 'last-backup'
  | 'catch-up'
  | 'refresh'
  | 'show-loss'
  | 'grant'
  | 'promote'
  | 'bring-up'
  | 'verify-pages'
  | 'commit'
  | 'protect'
  | 'isolate'
  | 'clone'
  | 'probe'
  | 'destroy'
  | 'write-test';

export type PlanAction = {
  /** Unique within the run: "database.drain.stop-web". */
  readonly id: string;
  readonly state: PlanState;
  readonly group?: string;
  /** Actions of one wave of a state go at once, group by group; within a group in order. */
  readonly wave: number;
  readonly limitMs: number;
} & (
  | { readonly kind: 'builtin'; readonly action: BuiltinAction; readonly asset?: string; readonly people?: number }
  | { readonly kind: 'step'; readonly step: PlanStep; readonly at: 'source' | 'target' }
  | { readonly kind: 'gate'; readonly step: PlanStep; readonly people: number }
  | { readonly kind: 'route'; readonly route: PlanRoute }
);

type Draft = PlanAction extends infer A ? (A extends PlanAction ? Omit<A, 'wave'> & { readonly wave?: number } : never) : never;

/** Of a plan that read-plan.ts has found valid. */
export function planRun(plan: PlanDocument, run: PlanRunKind): readonly PlanAction[] {
  const order = groupOrder(plan.groups);
  const waves = order.kind === 'waves' ? order.waves : [];
  const drafts = run === 'drill' ? drillActions(plan, waves) : failoverActions(plan, waves, run);
  return drafts.map((draft): PlanAction => ({ ...draft, wave: draft.wave ?? 0 }) as PlanAction);
}

function failoverActions(plan: PlanDocument, waves: readonly (readonly PlanGroup[])[], run: PlanRunKind): Draft[] {
  const isPlanned = run !== 'unplanned';
  const { fencing, lease, approvals } = plan;
  const fenceMs = ms(fencing.limit);
  const people = isPlanned ? approvals.planned : approvals.unplanned;
  return [
    { id: 'declare', state: 'declared', kind: 'builtin', action: 'declare', people, limitMs: 0 },
    { id: 'check-target', state: 'fenced', kind: 'builtin', action: 'check-target', limitMs: fenceMs },
    // The last to come up is the first to be stopped.
    ...(isPlanned ? [...waves].reverse().flatMap((wave, n) => wave.flatMap((group) => drainActions(group, run, n))) : []),
    ...(isPlanned
      ? [{ id: 'fence.demote', state: 'fenced', kind: 'builtin', action: 'fence-demote', limitMs: fenceMs } as const]
      : unplannedFencing(plan)),
    { id: 'seal', state: 'sealed', kind: 'builtin', action: 'seal', limitMs: fenceMs },
    ...waves.flatMap((wave, n) => wave.flatMap((group) => memberActions(group, 'catch-up', n))),
    { id: 'show-loss', state: 'caught-up', kind: 'builtin', action: 'show-loss', people, limitMs: 0 },
    { id: 'grant', state: 'granted', kind: 'builtin', action: 'grant', limitMs: ms(lease.ttl) + ms(lease.margin) },
    ...waves.flatMap((wave, n) => wave.flatMap((group) => upActions(group, run, n))),
    ...(plan.routes ?? []).map(
      (route): Draft => ({
        id: `route.${route.name}`,
        state: 'routed',
        kind: 'route',
        group: route.group,
        route,
        limitMs: ms(route.limit),
      }),
    ),
    ...verifyActions(plan, run),
    { id: 'commit', state: 'committed', kind: 'builtin', action: 'commit', limitMs: 0 },
    { id: 'protect', state: 're-protecting', kind: 'builtin', action: 'protect', limitMs: 0 },
  ];
}

function unplannedFencing({ fencing, lease }: PlanDocument): Draft[] {
  const limitMs = ms(fencing.limit);
  const waits = fencing.proofs.includes('expiry');
  return [
    { id: 'fence.revoke', state: 'fenced', kind: 'builtin', action: 'fence-revoke', limitMs },
    ...(fencing.powerOff === undefined
      ? []
      : [{ id: 'fence.power-off', state: 'fenced', kind: 'builtin', action: 'fence-power-off', limitMs } as const]),
    ...(waits
      ? [
          {
            id: 'fence.wait',
            state: 'fenced',
            kind: 'builtin',
            action: 'fence-wait',
            limitMs: ms(lease.ttl) + ms(lease.margin),
          } as const,
        ]
      : []),
  ];
}

/** A new incarnation in a network of its own; nothing of production is stopped, fenced or led elsewhere. */
function drillActions(plan: PlanDocument, waves: readonly (readonly PlanGroup[])[]): Draft[] {
  const limitMs = plan.drill === undefined ? 0 : ms(plan.drill.limit);
  return [
    { id: 'isolate', state: 'declared', kind: 'builtin', action: 'isolate', limitMs },
    { id: 'probe', state: 'declared', kind: 'builtin', action: 'probe', limitMs },
    ...waves.flatMap((wave, n) => wave.flatMap((group) => memberActions(group, 'clone', n))),
    ...waves.flatMap((wave, n) => wave.flatMap((group) => upActions(group, 'drill', n))),
    ...verifyActions(plan, 'drill'),
    { id: 'probe.again', state: 'verified', kind: 'builtin', action: 'probe', limitMs },
    { id: 'commit', state: 'committed', kind: 'builtin', action: 'commit', limitMs: 0 },
    { id: 'destroy', state: 'committed', kind: 'builtin', action: 'destroy', limitMs },
  ];
}

function drainActions(group: PlanGroup, run: PlanRunKind, wave: number): Draft[] {
  const at = { state: 'fenced', group: group.name, wave, kind: 'builtin' } as const;
  return [
    ...stepActions(group.drain ?? [], run, {
      prefix: `${group.name}.drain`,
      state: 'fenced',
      group: group.name,
      wave,
      at: 'source',
    }),
    // First, while the log still goes over: what a failover seals is copied no more.
    ...group.members.flatMap(({ asset, kind, replayLimit }): Draft[] =>
      kind === 'postgres'
        ? []
        : [{ ...at, id: `${group.name}.backup.${asset}`, action: 'last-backup', asset, limitMs: ms(replayLimit) }],
    ),
    ...group.members.flatMap(({ asset, kind, startLimit }): Draft[] =>
      kind === 'postgres'
        ? [{ ...at, id: `${group.name}.stop.${asset}`, action: 'drain-database', asset, limitMs: ms(startLimit) }]
        : [],
    ),
  ];
}

function memberActions(group: PlanGroup, action: 'catch-up' | 'clone', wave: number): Draft[] {
  return group.members.map(({ asset, kind, replayLimit }) => ({
    id: `${group.name}.${action}.${asset}`,
    state: 'caught-up',
    group: group.name,
    wave,
    kind: 'builtin',
    action: action === 'catch-up' && kind !== 'postgres' ? 'refresh' : action,
    asset,
    limitMs: ms(replayLimit),
  }));
}

function upActions(group: PlanGroup, run: PlanRunKind, wave: number): Draft[] {
  const place = { state: 'promoted', group: group.name, wave, at: 'target' } as const;
  return [
    ...stepActions(group.before ?? [], run, { ...place, prefix: `${group.name}.before` }),
    ...group.members.map(
      ({ asset, kind, startLimit }): Draft => ({
        id: `${group.name}.promote.${asset}`,
        state: 'promoted',
        group: group.name,
        wave,
        kind: 'builtin',
        action: kind === 'postgres' ? 'promote' : 'bring-up',
        asset,
        limitMs: ms(startLimit),
      }),
    ),
    ...stepActions(group.afterwards ?? [], run, { ...place, prefix: `${group.name}.after` }),
  ];
}

function verifyActions({ smokeTests, groups }: PlanDocument, run: PlanRunKind): Draft[] {
  const hasDatabase = groups.some(({ members }) => members.some(({ kind }) => kind === 'postgres'));
  const databaseMs = Math.max(...groups.flatMap(({ members }) => members.map(({ startLimit }) => ms(startLimit))));
  const builtin = (action: 'write-test' | 'verify-pages'): Draft => ({
    id: action,
    state: 'verified',
    kind: 'builtin',
    action,
    limitMs: databaseMs,
  });
  return [
    ...(hasDatabase ? [builtin('write-test')] : []),
    ...stepActions(smokeTests, run, { prefix: 'smoke', state: 'verified', at: 'target' }),
    ...(hasDatabase ? [builtin('verify-pages')] : []),
  ];
}

type StepPlace = {
  readonly prefix: string;
  readonly state: PlanState;
  readonly group?: string;
  readonly wave?: number;
  readonly at: 'source' | 'target';
};

function stepActions(steps: readonly PlanStep[], run: PlanRunKind, { prefix, at, ...place }: StepPlace): Draft[] {
  return steps
    .filter(({ only }) => only === undefined || only.includes(run))
    .map((step): Draft => {
      const common = { ...place, id: `${prefix}.${step.name}`, limitMs: ms(step.limit), step };
      return step.gate === undefined
        ? { ...common, kind: 'step', at: step.at ?? at }
        : { ...common, kind: 'gate', people: step.approvers ?? 1 };
    });
}

/** The longest that a run may take by its limits: waves one after the other, groups of a wave at once. What has no limit (people who decide)
 *  is not in it. */
export function longestMs(actions: readonly PlanAction[], until: PlanState = 'verified'): number {
  const last = STATES.indexOf(until);
  const slots = new Map<string, Map<string, number>>();
  for (const { state, wave, group = '', limitMs } of actions) {
    if (STATES.indexOf(state) > last) continue;
    const slot = `${state} ${group === '' ? '-' : wave}`;
    const groups = slots.get(slot) ?? new Map<string, number>();
    groups.set(group, (groups.get(group) ?? 0) + limitMs);
    slots.set(slot, groups);
  }
  return [...slots.values()].reduce((sum, groups) => sum + Math.max(...groups.values()), 0);
}

const ms = (text: string): number => parseDuration(text)!;

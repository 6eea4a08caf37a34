// What a plan says that means nothing, or that cannot hold: names that nobody has, groups that wait for each other, proofs that prove nothing,
// promises that are impossible. And what it promises that its own limits do not keep: warnings.

import { nearest } from '../base/nearest.ts';
import { FAILOVER_KINDS, PLAN_RUN_KINDS } from '../model/failover-kind.ts';
import { formatSpan, parseDuration } from '../policy/duration.ts';
import type { Path } from '../policy/schema-problems.ts';
import { groupOrder } from './group-order.ts';
import type { PlanDocument, PlanStep } from './plan-document.ts';
import { longestMs, planRun } from './plan-run.ts';

export type PlanFinding = { readonly path: Path; readonly message: string };

/** That the journal of a failover has room for, whatever they say. */
const ACTIONS_MAX = 400;

export function checkPlan(plan: PlanDocument): readonly PlanFinding[] {
  return [...sites(plan), ...groups(plan), ...routes(plan), ...fencing(plan), ...objectives(plan), ...allSteps(plan)];
}

function sites({ sites: { source, target, witness } }: PlanDocument): PlanFinding[] {
  if (source === target) return [{ path: ['sites', 'target'], message: 'it is the source itself' }];
  if (witness === undefined || (witness !== source && witness !== target)) return [];
  return [
    { path: ['sites', 'witness'], message: 'a witness must be in a third place: otherwise it goes down with one of the two' },
  ];
}

function groups({ groups: all }: PlanDocument): PlanFinding[] {
  const names = all.map(({ name }) => name);
  const findings: PlanFinding[] = [];
  const assets = new Map<string, string>();
  all.forEach(({ name, after = [], consistency = 'none', epsilon, members }, i) => {
    if (names.indexOf(name) !== i) findings.push({ path: ['groups', i, 'name'], message: `there is another group "${name}"` });
    after.forEach((other, n) => {
      if (other === name) findings.push({ path: ['groups', i, 'after', n], message: 'a group cannot wait for itself' });
      else if (!names.includes(other)) findings.push({ path: ['groups', i, 'after', n], message: unknown('group', other, names) });
    });
    if ((consistency === 'epsilon') !== (epsilon !== undefined))
      findings.push({
        path: ['groups', i, 'consistency'],
        message: '"epsilon" is given when consistency is epsilon, and only then',
      });
    members.forEach(({ asset }, n) => {
      const other = assets.get(asset);
      if (other !== undefined)
        findings.push({ path: ['groups', i, 'members', n, 'asset'], message: `it moves with the group "${other}" already` });
      assets.set(asset, name);
    });
  });
  const order = findings.length === 0 ? groupOrder(all) : undefined;
  if (order?.kind === 'cycle') {
    const circle = order.names.length === 1 ? order.names[0] : [...order.names, order.names[0]].join(' -> ');
    const first = all.findIndex(({ name }) => name === order.names[0]);
    findings.push({ path: ['groups', first, 'after'], message: `these groups wait for each other: ${circle}` });
  }
  return findings;
}

function routes({ routes: all = [], groups: known }: PlanDocument): PlanFinding[] {
  const names = known.map(({ name }) => name);
  return all.flatMap(({ name, group, kind, source, target, listen, file }, i): PlanFinding[] => {
    const missing = Object.entries({ source, target, listen, file }).flatMap(([key, value]) => (value === undefined ? [key] : []));
    return [
      ...(all.findIndex((other) => other.name === name) === i
        ? []
        : [{ path: ['routes', i, 'name'], message: `there is another route "${name}"` }]),
      ...(names.includes(group) ? [] : [{ path: ['routes', i, 'group'], message: unknown('group', group, names) }]),
      ...(kind === 'hook' || missing.length === 0
        ? []
        : [{ path: ['routes', i], message: `a route of the kind ${kind} needs ${missing.join(', ')}` }]),
    ];
  });
}

/** dr.md: without a lease that stops the source, only a proof of its end allows a promotion. */
function fencing({ fencing: { proofs, powerOff, readBack }, lease, sites: { witness } }: PlanDocument): PlanFinding[] {
  const findings: PlanFinding[] = [];
  const wrong = (key: string, message: string): void => void findings.push({ path: ['fencing', key], message });
  if (proofs.includes('power-off') && (powerOff === undefined || readBack === undefined))
    wrong('proofs', 'power-off proves nothing without both commands: powerOff, and readBack, which sees it by another way');
  if (!proofs.includes('power-off') && powerOff !== undefined) wrong('powerOff', 'it is never run: proofs does not name power-off');
  if (lease.onLeaseLoss === 'continue' && proofs.includes('expiry'))
    wrong('proofs', 'an expired lease proves nothing while onLeaseLoss is continue: the source goes on writing');
  if (lease.onLeaseLoss === 'stop' && witness === undefined)
    findings.push({
      path: ['sites'],
      message: 'a lease that stops the source needs a witness: otherwise the loss of the target stops it, too',
    });
  if (!proofs.includes('demotion')) wrong('proofs', 'a planned switch proves its fencing by a demotion token: name demotion, too');
  if (proofs.every((proof) => proof === 'demotion'))
    wrong('proofs', 'a demotion token comes from a source that answers: an unplanned failover needs power-off or expiry');
  return findings;
}

function objectives({ objectives: { rpo, rto }, drill }: PlanDocument): PlanFinding[] {
  const findings: PlanFinding[] = [];
  if (parseDuration(rpo) === 0)
    findings.push({
      path: ['objectives', 'rpo'],
      message: 'a standby that is fed from a repository is always a little behind: no loss at all cannot be promised',
    });
  if (parseDuration(rto) === 0) findings.push({ path: ['objectives', 'rto'], message: 'it takes some time' });
  if (drill !== undefined && parseDuration(drill.limit) === 0)
    findings.push({ path: ['drill', 'limit'], message: 'it takes some time' });
  return findings;
}

function allSteps(plan: PlanDocument): PlanFinding[] {
  const lists: [Path, readonly PlanStep[]][] = [[['smokeTests'], plan.smokeTests]];
  plan.groups.forEach((group, i) => {
    for (const key of ['drain', 'before', 'afterwards'] as const) lists.push([['groups', i, key], group[key] ?? []]);
  });
  return lists.flatMap(([path, steps]) =>
    steps.flatMap(({ name, command, gate, approvers, limit }, n): PlanFinding[] => {
      const at = [...path, n];
      return [
        ...(steps.findIndex((other) => other.name === name) === n
          ? []
          : [{ path: [...at, 'name'], message: `there is another step "${name}"` }]),
        ...((command === undefined) !== (gate === undefined)
          ? []
          : [{ path: at, message: 'a step has a command or a gate, one of the two' }]),
        ...(approvers === undefined || gate !== undefined
          ? []
          : [{ path: [...at, 'approvers'], message: 'only a gate has approvers' }]),
        ...(parseDuration(limit) !== 0 ? [] : [{ path: [...at, 'limit'], message: 'it takes some time' }]),
      ];
    }),
  );
}

/** Of a valid plan: what its limits add up to against what it promises. */
export function checkPlanPromises(plan: PlanDocument): readonly PlanFinding[] {
  const findings: PlanFinding[] = [];
  const rtoMs = parseDuration(plan.objectives.rto)!;
  for (const run of ['planned', 'unplanned'] as const) {
    const longest = longestMs(planRun(plan, run));
    if (longest > rtoMs)
      findings.push({
        path: ['objectives', 'rto'],
        message: `the limits of ${run === 'planned' ? 'a planned' : 'an unplanned'} run add up to ${formatSpan(longest)}, more than the ${formatSpan(rtoMs)} that are promised`,
      });
  }
  const most = Math.max(...FAILOVER_KINDS.map((kind) => planRun(plan, kind).length));
  if (most > ACTIONS_MAX)
    findings.push({
      path: ['groups'],
      message: `a failover of it has ${most} actions, and its journal has room for ${ACTIONS_MAX}: make several plans of it`,
    });
  for (const run of PLAN_RUN_KINDS) {
    const isHeld = run !== 'drill' || plan.drill !== undefined;
    if (isHeld && !plan.smokeTests.some(({ only }) => only === undefined || only.includes(run)))
      findings.push({ path: ['smokeTests'], message: `none of them belongs to a run of the kind ${run}: none will succeed` });
  }
  if (plan.routes === undefined)
    findings.push({ path: [], message: 'no route is changed: clients must find the target by themselves' });
  if (plan.drill === undefined)
    findings.push({ path: [], message: 'it is never rehearsed: a recovery that was not proven does not count' });
  else {
    const longest = longestMs(planRun(plan, 'drill'));
    const clone = longest - 3 * parseDuration(plan.drill.limit)!;
    if (clone > parseDuration(plan.drill.limit)!)
      findings.push({
        path: ['drill', 'limit'],
        message: `the steps of a drill may take ${formatSpan(clone)}, longer than it lives`,
      });
  }
  return findings;
}

function unknown(what: string, name: string, names: readonly string[]): string {
  const meant = nearest(name, names);
  return `there is no ${what} "${name}"; ${meant === undefined ? `there are ${names.join(', ')}` : `did you mean "${meant}"?`}`;
}

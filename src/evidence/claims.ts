// What a pack claims, each claim a pure rule over everything that was measured: nobody chooses what goes in, and the verifier does the sums
// again. A rule that lacks a measurement claims nothing: it says what is missing.
//
// RPO: from the newest heartbeat that was found in the recovered data (of files and volumes: from the beginning of the backup that was restored)
// to the declared time of the disaster, of the worst asset of the plan. RTO: from the declaration to the first write of an application that
// was acknowledged at the target, of the last database; its phases are the states of the plan.
//
// Rules have a version, and packs say theirs: those of version 1 did not ask whether every member of the plan was measured, and said nothing of
// consistency; up to version 2 a test that the plan leaves out of this kind of run was missed, and a run that has not succeeded counted as a
// rehearsal in the levels.

import type { PlanRunKind } from '../model/failover-kind.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { STATES } from '../plan/plan-run.ts';
import { parseDuration } from '../policy/duration.ts';
import { consistencyOf } from './consistency.ts';
import { LEVEL_EDITIONS } from './gbt-20988.ts';
import { type ProvenLevel, provenLevel } from './level.ts';
import { lostWorkMs } from './lost-work.ts';
import type { Measurement, MeasurementKind, Scalar } from './measurement.ts';

export const RULES_VERSION = 3;
export type RulesVersion = 1 | 2 | typeof RULES_VERSION;

/** That this run has rehearsed the plan, and proven its backups. */
const OF_THE_RUN: ReadonlySet<Scalar | undefined> = new Set(['planRunAgeSeconds', 'proofAgeSeconds']);

export type Claim = {
  readonly id: 'outcome' | 'rpo' | 'rto' | 'isolation' | 'fencing' | 'pages' | 'smoke' | 'consistency';
  /** Ids of measurements: all that the rule looked at. */
  readonly from: readonly string[];
  readonly value: Readonly<Record<string, Scalar>>;
};

export type Phase = { readonly state: string; readonly startedAt: string; readonly endedAt: string; readonly ms: number };

export type Claims = {
  readonly rules: number;
  readonly claims: readonly Claim[];
  readonly phases: readonly Phase[];
  readonly levels: readonly ProvenLevel[];
};

export type ClaimedRun = {
  readonly kind: PlanRunKind;
  readonly plan: PlanDocument;
  /** RFC 3339: when the pack was made. */
  readonly createdAt: string;
  readonly measurements: readonly Measurement[];
};

export function claimsOf(run: ClaimedRun, rules: RulesVersion = RULES_VERSION): Claims {
  const { measurements, createdAt, kind, plan } = run;
  const all = (wanted: MeasurementKind): readonly Measurement[] => measurements.filter((one) => one.kind === wanted);
  const parts = [
    rpo(all('declaration'), [...all('heartbeat'), ...copiesOf(plan, all('recovered'))], run, rules),
    rto(all('declaration'), all('first-write'), run, rules),
    smoke(all('smoke'), run, rules),
    pages(all('pages')),
    ...(kind === 'drill' ? [isolation(run, all)] : [fencing(all('fencing'))]),
    ...(rules === 1 ? [] : plan.groups.flatMap((group) => consistency(group, all('recovered')))),
  ];
  const ended = outcome(run, all('action'), parts);
  const hasProven = rules < 3 || ended.value.outcome === 'succeeded';
  const judged = hasProven
    ? measurements
    : measurements.filter(({ kind: of, value }) => of !== 'fact' || !OF_THE_RUN.has(value.name));
  return {
    rules,
    claims: [ended, ...parts],
    phases: phasesOf(all('action')),
    levels: LEVEL_EDITIONS.map((edition) => provenLevel(edition, judged, createdAt)),
  };
}

const ids = (...lists: readonly (readonly Measurement[])[]): string[] =>
  lists
    .flat()
    .map(({ id }) => id)
    .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

function rpo(
  declarations: readonly Measurement[],
  found: readonly Measurement[],
  { plan }: ClaimedRun,
  rules: RulesVersion,
): Claim {
  const disaster = momentOf(declarations.at(-1)?.value.disaster);
  const lost = found.map(({ kind, at, value }) => {
    const newestMs = kind === 'recovered' ? momentOf(value.at) : value.isSigned === true ? momentOf(value.newest) : undefined;
    if (newestMs === undefined || disaster === undefined) return null;
    return lostWorkMs({ newestMs, foundMs: Date.parse(at), disasterMs: disaster });
  });
  // An asset of which nothing was found that can be believed has no measured loss, and then the whole has none.
  const isAll = rules === 1 || everyMember(plan, found);
  const isMeasured = isAll && lost.length > 0 && lost.every((one) => one !== null);
  const ms = isMeasured ? Math.max(...lost.map((one) => one!)) : null;
  const objectiveMs = parseDuration(plan.objectives.rpo)!;
  const value = { ms, objectiveMs, isKept: ms !== null && ms <= objectiveMs };
  return { id: 'rpo', from: ids(declarations, found), value };
}

function rto(
  declarations: readonly Measurement[],
  writes: readonly Measurement[],
  { plan }: ClaimedRun,
  rules: RulesVersion,
): Claim {
  const declared = momentOf(declarations.at(-1)?.value.declared);
  const written = writes.map(({ value }) => momentOf(value.at));
  const isAll = rules === 1 || everyMember(plan, writes, 'postgres');
  const isMeasured = isAll && declared !== undefined && written.length > 0 && written.every((one) => one !== undefined);
  // Of several databases the last one ends it.
  const ms = isMeasured ? Math.max(...written.map((one) => one!)) - declared : null;
  const objectiveMs = parseDuration(plan.objectives.rto)!;
  const value = { ms, objectiveMs, isKept: ms !== null && ms >= 0 && ms <= objectiveMs };
  return { id: 'rto', from: ids(declarations, writes), value };
}

/** What was brought back of files and volumes: these have no heartbeat in them. */
function copiesOf({ groups }: PlanDocument, recovered: readonly Measurement[]): readonly Measurement[] {
  const copies = groups.flatMap(({ members }) => members.flatMap(({ kind, asset }) => (kind === 'postgres' ? [] : [asset])));
  return recovered.filter(({ of }) => copies.includes(of));
}

/** Whether every member, of that kind, was measured. */
function everyMember({ groups }: PlanDocument, found: readonly Measurement[], wanted?: 'postgres'): boolean {
  const known = new Set(found.map(({ of }) => of));
  return groups.every(({ members }) =>
    members.every(({ asset, kind }) => (wanted !== undefined && kind !== wanted) || known.has(asset)),
  );
}

function consistency(group: PlanDocument['groups'][number], recovered: readonly Measurement[]): Claim[] {
  const found = consistencyOf(group, recovered);
  return found === undefined ? [] : [{ id: 'consistency', from: ids(found.from), value: found.value }];
}

function smoke(tests: readonly Measurement[], { plan, kind }: ClaimedRun, rules: RulesVersion): Claim {
  const passed = new Set(tests.filter(({ value }) => value.status === 0).map(({ of }) => of));
  const failed = tests.filter(({ value }) => value.status !== 0).length;
  const due = plan.smokeTests.filter(({ only }) => rules < 3 || only === undefined || only.includes(kind));
  const missing = due.filter(({ name, command }) => command !== undefined && !passed.has(name)).length;
  // A plan whose every test is of other runs leaves this one untested.
  const isPassed = failed === 0 && missing === 0 && due.length > 0;
  return { id: 'smoke', from: ids(tests), value: { passed: passed.size, failed, isPassed } };
}

function pages(samples: readonly Measurement[]): Claim {
  const sum = (field: string): number => samples.reduce((total, { value }) => total + (Number(value[field]) || 0), 0);
  const checked = sum('checked');
  return {
    id: 'pages',
    from: ids(samples),
    value: { checked, damaged: sum('damaged'), isSound: checked > 0 && sum('damaged') === 0 },
  };
}

function fencing(proofs: readonly Measurement[]): Claim {
  const proof = proofs.at(-1)?.value.proof ?? null;
  return { id: 'fencing', from: ids(proofs), value: { proof, isProven: proof !== null && proof !== 'break-glass' } };
}

/** A drill is void when it could have touched production, or held the standing standby up; also when nobody looked. */
function isolation({ plan }: ClaimedRun, all: (kind: MeasurementKind) => readonly Measurement[]): Claim {
  const [probes, fingerprints, standbys, destructions] = [all('probe'), all('fingerprint'), all('standby'), all('destruction')];
  const probed = new Set(probes.map(({ of }) => of));
  const reached = probes.filter(({ value }) => value.isReached !== false).length;
  const unprobed = (plan.drill?.probes ?? []).filter((address) => !probed.has(address)).length;
  const changed = fingerprints.filter(({ value }) => value.before !== value.after).length;
  const stopped = standbys.filter(({ value }) => !(Number(value.after) > Number(value.before))).length;
  const left = destructions.filter(({ value }) => value.isGone !== true).length;
  const isVoid = reached > 0 || probes.length === 0 || unprobed > 0 || changed > 0 || fingerprints.length === 0 || stopped > 0;
  return {
    id: 'isolation',
    from: ids(probes, fingerprints, standbys, destructions),
    value: {
      probes: probes.length,
      reached,
      unprobed,
      changed,
      stopped,
      left,
      isDestroyed: destructions.length > 0 && left === 0,
      isVoid,
    },
  };
}

/** succeeded: every action was done, clients could write, the application was tested, and of a drill what the plan declares held between the
 *  members of each group. void: a drill that proves nothing. */
function outcome({ kind }: ClaimedRun, actions: readonly Measurement[], parts: readonly Claim[]): Claim {
  const value = (id: Claim['id']) => parts.find((one) => one.id === id)?.value;
  const failed = actions.filter(({ value: { outcome: how } }) => how === 'failed').length;
  const isWhole = actions.length > 0 && failed === 0 && value('rto')?.ms !== null && value('smoke')?.isPassed === true;
  const isConsistent = parts.every(({ id, value: { isKept } }) => id !== 'consistency' || isKept === true);
  const isClean = kind !== 'drill' || (value('isolation')?.isDestroyed === true && isConsistent);
  const isVoid = value('isolation')?.isVoid === true;
  const text = isVoid ? 'void' : isWhole && isClean ? 'succeeded' : 'failed';
  return { id: 'outcome', from: ids(actions), value: { outcome: text, actions: actions.length, failed } };
}

/** From the first action of a state to the last. */
function phasesOf(actions: readonly Measurement[]): Phase[] {
  return STATES.flatMap((state): Phase[] => {
    const some = actions.filter(({ value }) => value.state === state && value.outcome !== 'skipped');
    const starts = some.flatMap(({ value }) => momentOf(value.startedAt) ?? []);
    const ends = some.flatMap(({ value }) => momentOf(value.endedAt) ?? []);
    if (starts.length === 0 || ends.length === 0) return [];
    const [start, end] = [Math.min(...starts), Math.max(...ends)];
    return [{ state, startedAt: new Date(start).toISOString(), endedAt: new Date(end).toISOString(), ms: end - start }];
  });
}

function momentOf(value: Scalar | undefined): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

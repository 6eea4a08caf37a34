// Inheritance over the levels city > district > tenant > asset: what a level does not say is inherited, and what it says may only promise more.
//
// Numbers: the stricter one counts. Schedule: replaced as a whole, if it comes at least as often. Copies: by site. Tags, hooks and limits of
// bandwidth: gathered (hooks of lower levels run inside of those of higher ones). Prune, time zones, windows and the target of a
// restore test: the lowest level that says so. Limits of concurrency and priority are ceilings for lower levels.
// A contradiction is a problem that names both levels, and until somebody settles it the stricter of the two is in force.

import type { PolicyDocument } from './policy-document.ts';
import { isWorse, type Measure, measuresOf } from './policy-measures.ts';
import { type PolicyStatement, statementOf } from './policy-statement.ts';
import type { CopyTerms, EffectivePolicy, Period, VerifyTerms } from './policy-terms.ts';

export const POLICY_LEVELS = ['city', 'district', 'tenant', 'asset'] as const;
export type LevelName = (typeof POLICY_LEVELS)[number];

export type PolicyLevel = {
  /** 'base': what a document extends; it stands above the document. */
  readonly level: LevelName | 'base';
  /** For people: whose it is, e.g. the district's name. */
  readonly scope?: string;
  readonly document: PolicyDocument;
};

/** A lower level says less than a higher one requires; or something was taken away. */
export type PolicyProblem = {
  /** "objectives.rpo" */
  readonly field: string;
  readonly higher: { readonly level: string; readonly value: string };
  readonly lower: { readonly level: string; readonly value: string };
  /** One sentence for people. */
  readonly message: string;
};

export type Effective = {
  /** Where levels contradict each other the stricter one counts: it is safe to act upon even with problems. */
  readonly policy: EffectivePolicy;
  readonly problems: readonly PolicyProblem[];
};

const PRIORITY = 50;

const NOTHING: EffectivePolicy = {
  name: 'none',
  objectives: {},
  schedule: [],
  retention: { timeZone: 'UTC', legalHold: false },
  copies: [],
  verify: {},
  limits: { bandwidth: [], priority: PRIORITY },
  hooks: { before: [], after: [] },
  origins: {},
};

/** `levels`: highest first; any may be absent, none at all gives a policy that promises nothing. Throws POLICY_INVALID for a document whose
 *  values mean nothing (a cron expression, a time zone). */
export function effectivePolicy(levels: readonly PolicyLevel[]): Effective {
  const problems: PolicyProblem[] = [];
  let policy = NOTHING;
  let isPrioritySaid = false;
  let timeZone = 'UTC';
  for (const level of levels) {
    const says = statementOf(level.document, timeZone);
    timeZone = level.document.timeZone ?? timeZone;
    const above = isPrioritySaid ? policy : withoutPriority(policy);
    const found = contradictions(above, policy.origins, says, levelText(level));
    problems.push(...found);
    policy = merged(policy, says, levelText(level), new Set(found.map(({ field }) => field)), isPrioritySaid);
    isPrioritySaid ||= says.limits.priority !== undefined;
  }
  return { policy, problems };
}

/** What a change from `before` to `after` takes away: what two people must approve. Empty: nothing. */
export function weakenings(before: EffectivePolicy, after: EffectivePolicy): readonly PolicyProblem[] {
  const now = new Map(measuresOf(after).map((measure) => [measure.field, measure]));
  return measuresOf(before).flatMap((measure): PolicyProblem[] => {
    const changed = now.get(measure.field);
    if (!measure.isPromise || (changed !== undefined && !isWorse(measure, changed))) return [];
    const value = changed?.text ?? 'nothing';
    return [
      {
        field: measure.field,
        higher: { level: `before: ${before.name}`, value: measure.text },
        lower: { level: `after: ${after.name}`, value },
        message: `${measure.field} goes from ${measure.text} to ${value}`,
      },
    ];
  });
}

export function isWeaker(before: EffectivePolicy, after: EffectivePolicy): boolean {
  return weakenings(before, after).length > 0;
}

function levelText({ level, scope, document }: PolicyLevel): string {
  return scope === undefined ? `${level} "${document.name}"` : `${level} ${scope} "${document.name}"`;
}

function withoutPriority(policy: EffectivePolicy): PolicyStatement {
  const { priority: _, ...limits } = policy.limits;
  return { ...policy, limits };
}

function contradictions(
  above: PolicyStatement,
  origins: EffectivePolicy['origins'],
  says: PolicyStatement,
  level: string,
): PolicyProblem[] {
  const said = new Map(measuresOf(says).map((measure) => [measure.field, measure]));
  return measuresOf(above).flatMap((required): PolicyProblem[] => {
    const measure = said.get(required.field);
    // A schedule replaces the one above as a whole: what it does not say is gone.
    const isDropped = measure === undefined && says.schedule.length > 0 && required.field.startsWith('schedule.');
    if (!isDropped && (measure === undefined || !isWorse(required, measure))) return [];
    const higher = { level: origins[required.field] ?? 'above', value: required.text };
    const lower = { level, value: measure?.text ?? 'nothing' };
    return [{ field: required.field, higher, lower, message: sentence(required, higher, lower) }];
  });
}

function sentence({ field, better }: Measure, higher: PolicyProblem['higher'], lower: PolicyProblem['lower']): string {
  const bound =
    field === 'schedule' ? 'a schedule that comes at least as often' : better === 'smaller' ? 'at most that' : 'at least that';
  return `${field}: ${higher.level} requires ${higher.value}; ${lower.level} says ${lower.value}, and must say ${bound}`;
}

function merged(
  above: EffectivePolicy,
  says: PolicyStatement,
  level: string,
  refused: ReadonlySet<string>,
  isPrioritySaid: boolean,
): EffectivePolicy {
  const isScheduleRefused = [...refused].some((field) => field === 'schedule' || field.startsWith('schedule.'));
  const isNew = says.schedule.length > 0 && !isScheduleRefused;
  const recoveryWindowMs = most(above.recoveryWindowMs, says.recoveryWindowMs);
  const prune = says.prune ?? above.prune;
  const label = says.label ?? (says.name === above.name ? above.label : undefined);
  const { label: _, recoveryWindowMs: __, prune: ___, ...rest } = above;
  return {
    ...rest,
    name: says.name,
    ...(label === undefined ? {} : { label }),
    objectives: strictest(above.objectives, says.objectives),
    ...(recoveryWindowMs === undefined ? {} : { recoveryWindowMs }),
    schedule: isNew ? says.schedule : above.schedule,
    retention: mergedRetention(above, says),
    copies: mergedCopies(above.copies, says.copies),
    verify: mergedVerify(above.verify, says.verify),
    limits: mergedLimits(above, says, isPrioritySaid),
    hooks: {
      before: [...above.hooks.before, ...says.hooks.before],
      after: [...says.hooks.after, ...above.hooks.after],
    },
    ...(prune === undefined ? {} : { prune }),
    origins: { ...above.origins, ...originsOf(says, level, refused, isScheduleRefused) },
  };
}

function originsOf(
  says: PolicyStatement,
  level: string,
  refused: ReadonlySet<string>,
  isScheduleRefused: boolean,
): Record<string, string> {
  const isInForce = (field: string): boolean =>
    !refused.has(field) && !(isScheduleRefused && (field === 'schedule' || field.startsWith('schedule.')));
  const fields = measuresOf(says).map(({ field }) => field);
  if (says.prune !== undefined) fields.push('prune.every');
  return Object.fromEntries(fields.filter(isInForce).map((field) => [field, level]));
}

function strictest(above: EffectivePolicy['objectives'], says: EffectivePolicy['objectives']): EffectivePolicy['objectives'] {
  return compact({
    rpoMs: least(above.rpoMs, says.rpoMs),
    rtoMs: least(above.rtoMs, says.rtoMs),
    proofAgeMs: least(above.proofAgeMs, says.proofAgeMs),
  });
}

function mergedRetention(
  { retention: above }: EffectivePolicy,
  { retention: says }: PolicyStatement,
): EffectivePolicy['retention'] {
  const tags = [...(above.keepTags ?? []), ...(says.keepTags ?? [])];
  const distinct = [...new Map(tags.map((list) => [[...list].sort().join('\n'), list])).values()];
  return {
    ...compact({
      keepLast: most(above.keepLast, says.keepLast),
      keepHourly: most(above.keepHourly, says.keepHourly),
      keepDaily: most(above.keepDaily, says.keepDaily),
      keepWeekly: most(above.keepWeekly, says.keepWeekly),
      keepMonthly: most(above.keepMonthly, says.keepMonthly),
      keepYearly: most(above.keepYearly, says.keepYearly),
      keepWithinMs: most(above.keepWithinMs, says.keepWithinMs),
    }),
    ...(distinct.length === 0 ? {} : { keepTags: distinct }),
    timeZone: says.timeZone ?? above.timeZone,
    legalHold: above.legalHold || (says.legalHold ?? false),
  };
}

function mergedCopies(above: readonly CopyTerms[], says: readonly CopyTerms[]): readonly CopyTerms[] {
  const sites = [...new Set([...above, ...says].map(({ site }) => site))];
  return sites.map((site) => {
    const [higher, lower] = [above, says].map((list) => list.find((one) => one.site === site));
    return {
      site,
      ...compact({
        immutabilityMs: most(higher?.immutabilityMs, lower?.immutabilityMs),
        maxLagMs: least(higher?.maxLagMs, lower?.maxLagMs),
      }),
    };
  });
}

function mergedVerify(above: VerifyTerms, says: VerifyTerms): VerifyTerms {
  const period = <P extends Period>(higher: P | undefined, lower: P | undefined): P | undefined =>
    lower === undefined || higher === undefined
      ? (lower ?? higher)
      : { ...lower, everyMs: Math.min(higher.everyMs, lower.everyMs) };
  const sampled = period(above.sampled, says.sampled);
  return compact({
    scrub: period(above.scrub, says.scrub),
    sampled: sampled && { ...sampled, share: Math.max(sampled.share, above.sampled?.share ?? 0) },
    full: period(above.full, says.full),
    restoreTest: period(above.restoreTest, says.restoreTest),
  });
}

function mergedLimits(
  { limits: above }: EffectivePolicy,
  { limits: says }: PolicyStatement,
  isPrioritySaid: boolean,
): EffectivePolicy['limits'] {
  const priority = isPrioritySaid ? least(above.priority, says.priority) : says.priority;
  return {
    bandwidth: [...above.bandwidth, ...says.bandwidth],
    ...compact({ perHostMax: least(above.perHostMax, says.perHostMax), perSiteMax: least(above.perSiteMax, says.perSiteMax) }),
    priority: priority ?? PRIORITY,
  };
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function most(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}

type Compact<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the keys that are undefined. */
function compact<T extends object>(values: T): Compact<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Compact<T>;
}

// What a change of a policy means: field by field, in the terms that count, not line by line. "60m" and "1h" are the same.

import { formatSpan } from './duration.ts';
import { isWorse, measuresOf, windowText } from './policy-measures.ts';
import type { EffectivePolicy, HookCommand, Period } from './policy-terms.ts';
import { formatSize } from './size.ts';

export type PolicyDifference = {
  readonly field: string;
  /** Absent: it was not there. */
  readonly before?: string;
  readonly after?: string;
  /** 'weaker': less is promised, and two people must approve it. 'other': neither more nor less is promised. */
  readonly effect: 'stricter' | 'weaker' | 'other';
};

const ORDER = [
  'name',
  'label',
  'objectives',
  'recoveryWindow',
  'schedule',
  'retention',
  'copies',
  'verify',
  'limits',
  'hooks',
  'prune',
];

/** In the order of the fields of a policy. Empty: both mean the same. */
export function policyDiff(before: EffectivePolicy, after: EffectivePolicy): readonly PolicyDifference[] {
  const differences = [...measureDifferences(before, after), ...otherDifferences(before, after)];
  const rank = ({ field }: PolicyDifference): number => ORDER.indexOf(field.split('.')[0]!);
  return differences.sort((a, b) => rank(a) - rank(b));
}

function measureDifferences(before: EffectivePolicy, after: EffectivePolicy): PolicyDifference[] {
  const [old, now] = [before, after].map((policy) => new Map(measuresOf(policy).map((measure) => [measure.field, measure])));
  const fields = [...new Set([...old!.keys(), ...now!.keys()])];
  return fields.flatMap((field): PolicyDifference[] => {
    const [was, is] = [old!.get(field), now!.get(field)];
    if (was?.text === is?.text && was?.value === is?.value) return [];
    return [
      {
        field,
        ...(was === undefined ? {} : { before: was.text }),
        ...(is === undefined ? {} : { after: is.text }),
        effect: effectOf(was, is),
      },
    ];
  });
}

type Measure = ReturnType<typeof measuresOf>[number];

function effectOf(was: Measure | undefined, is: Measure | undefined): PolicyDifference['effect'] {
  if (!(was ?? is)!.isPromise) return 'other';
  if (is === undefined) return 'weaker';
  if (was === undefined || isWorse(is, was)) return 'stricter';
  return isWorse(was, is) ? 'weaker' : 'other';
}

function otherDifferences(before: EffectivePolicy, after: EffectivePolicy): PolicyDifference[] {
  const [old, now] = [before, after].map((policy) => new Map(otherFields(policy)));
  const fields = [...new Set([...old!.keys(), ...now!.keys()])];
  return fields.flatMap((field): PolicyDifference[] => {
    const [was, is] = [old!.get(field), now!.get(field)];
    if (was === is) return [];
    return [{ field, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }), effect: 'other' }];
  });
}

/** What promises nothing, in words. */
function otherFields(policy: EffectivePolicy): (readonly [field: string, text: string])[] {
  const { schedule, retention, verify, limits, hooks, prune } = policy;
  const fields: (readonly [string, string | undefined])[] = [
    ['name', policy.name],
    ['label', policy.label],
    ['schedule.jitter', listOf(schedule.map(({ jitterMs }) => (jitterMs === undefined ? '-' : formatSpan(jitterMs))))],
    [
      'schedule.startWithin',
      listOf(schedule.map(({ startWithinMs }) => (startWithinMs === undefined ? '-' : formatSpan(startWithinMs)))),
    ],
    ['retention.timeZone', retention.timeZone],
    ...Object.entries(verify).map(([name, period]) => [`verify.${name}.window`, windowOf(period)] as const),
    ['verify.restoreTest.target', verify.restoreTest?.target],
    ['limits.bandwidth', listOf(limits.bandwidth.map(bandwidthText))],
    ['hooks.before', listOf(hooks.before.map(hookText))],
    ['hooks.after', listOf(hooks.after.map(hookText))],
    ['prune.every', prune && formatSpan(prune.everyMs)],
    ['prune.window', windowOf(prune)],
  ];
  return fields.flatMap(([field, text]) => (text === undefined ? [] : [[field, text] as const]));
}

function listOf(texts: readonly string[]): string | undefined {
  return texts.every((text) => text === '-') ? undefined : texts.join(', ');
}

function windowOf(period: Period | undefined): string | undefined {
  return period?.window === undefined ? undefined : `${windowText(period.window)} ${period.timeZone}`;
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

function bandwidthText(rule: EffectivePolicy['limits']['bandwidth'][number]): string {
  const { window, days, timeZone, uploadBytesPerSecond: up, downloadBytesPerSecond: down } = rule;
  return [
    ...(window === undefined ? ['always'] : [`${windowText(window)} ${timeZone}`]),
    ...(days === undefined ? [] : [days.map((day) => DAYS[day]).join('+')]),
    ...(up === undefined ? [] : [`up ${formatSize(up)}/s`]),
    ...(down === undefined ? [] : [`down ${formatSize(down)}/s`]),
  ].join(' ');
}

function hookText({ command, timeoutMs, onFailure }: HookCommand): string {
  return `${command.join(' ')} (${formatSpan(timeoutMs)}, then ${onFailure})`;
}

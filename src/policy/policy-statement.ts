// What a document says, in numbers: the same terms as an effective policy, but only those that it names.

import { Fault } from '../base/faults.ts';
import { parseCron } from './cron.ts';
import { parseDuration } from './duration.ts';
import type { PolicyDocument } from './policy-document.ts';
import type {
  BackupSchedule,
  BandwidthRule,
  CopyTerms,
  EffectivePolicy,
  HookCommand,
  LimitTerms,
  Period,
  RetentionTerms,
  TimeWindow,
  VerifyTerms,
} from './policy-terms.ts';
import type { RetentionPolicy } from './retention.ts';
import { parseSize } from './size.ts';
import { isTimeZone } from './zone-clock.ts';

/** An `EffectivePolicy` is one that names everything. */
export type PolicyStatement = Omit<EffectivePolicy, 'retention' | 'limits' | 'origins'> & {
  readonly retention: RetentionPolicy & Partial<RetentionTerms>;
  readonly limits: Omit<LimitTerms, 'priority'> & Partial<LimitTerms>;
};

const WEEK_DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** `timeZone`: of the level above, for a document that names none. Throws POLICY_INVALID for values that mean nothing. */
export function statementOf(document: PolicyDocument, timeZone = 'UTC'): PolicyStatement {
  const zone = zoneOf(document.timeZone ?? timeZone);
  const { objectives = {}, limits = {}, hooks = {} } = document;
  return {
    name: document.name,
    ...given('label', document.label),
    objectives: {
      ...duration('rpoMs', objectives.rpo),
      ...duration('rtoMs', objectives.rto),
      ...duration('proofAgeMs', objectives.proofAge),
    },
    ...duration('recoveryWindowMs', document.recoveryWindow),
    schedule: (document.schedule ?? []).map((entry) => scheduleOf(entry, zone)),
    retention: retentionOf(document.retention, zone),
    copies: (document.copies ?? []).map(copyOf),
    verify: verifyOf(document.verify, zone),
    limits: {
      bandwidth: (limits.bandwidth ?? []).map((rule) => bandwidthOf(rule, zone)),
      ...given('perHostMax', limits.concurrency?.perHost),
      ...given('perSiteMax', limits.concurrency?.perSite),
      ...given('priority', limits.priority),
    },
    hooks: {
      before: (hooks.before ?? []).map((hook) => hookOf(hook, 'fail')),
      after: (hooks.after ?? []).map((hook) => hookOf(hook, 'warn')),
    },
    ...(document.prune === undefined ? {} : { prune: periodOf(document.prune, zone) }),
  };
}

type DocumentOf<K extends keyof PolicyDocument> = NonNullable<PolicyDocument[K]>;
type VerifyDocument = DocumentOf<'verify'>;

function scheduleOf(entry: DocumentOf<'schedule'>[number], zone: string): BackupSchedule {
  const parsed = parseCron(entry.cron);
  if (parsed.kind === 'fault') throw new Fault('POLICY_INVALID', `The schedule cannot be understood: ${parsed.message}`);
  return {
    kind: 'cron',
    cron: entry.cron,
    timeZone: zoneOf(entry.timeZone ?? zone),
    ...windowOf(entry.window),
    ...duration('jitterMs', entry.jitter),
    ...duration('startWithinMs', entry.startWithin),
    ...(entry.afterLog === undefined ? {} : { afterLogBytes: sizeOf(entry.afterLog) }),
    ...given('continuousLog', entry.continuousLog),
  };
}

function retentionOf(retention: PolicyDocument['retention'], timeZone: string): PolicyStatement['retention'] {
  if (retention === undefined) return {};
  return {
    ...given('keepLast', retention.keepLast),
    ...given('keepHourly', retention.hourly),
    ...given('keepDaily', retention.daily),
    ...given('keepWeekly', retention.weekly),
    ...given('keepMonthly', retention.monthly),
    ...given('keepYearly', retention.yearly),
    ...duration('keepWithinMs', retention.within),
    ...given('keepTags', retention.keepTags),
    ...given('legalHold', retention.legalHold),
    timeZone,
  };
}

function copyOf({ site, immutability, maxLag }: DocumentOf<'copies'>[number]): CopyTerms {
  return { site, ...duration('immutabilityMs', immutability), ...duration('maxLagMs', maxLag) };
}

function verifyOf(verify: VerifyDocument | undefined, timeZone: string): VerifyTerms {
  const { scrub, sampled, full, restoreTest } = verify ?? {};
  return {
    ...(scrub === undefined ? {} : { scrub: periodOf(scrub, timeZone) }),
    ...(sampled === undefined
      ? {}
      : { sampled: { ...periodOf(sampled, timeZone), share: Number(sampled.share.slice(0, -1)) / 100 } }),
    ...(full === undefined ? {} : { full: periodOf(full, timeZone) }),
    ...(restoreTest === undefined
      ? {}
      : { restoreTest: { ...periodOf(restoreTest, timeZone), target: restoreTest.target ?? 'scratch' } }),
  };
}

function bandwidthOf(rule: NonNullable<DocumentOf<'limits'>['bandwidth']>[number], timeZone: string): BandwidthRule {
  const { from, to, days, upload, download } = rule;
  return {
    ...(from === undefined && to === undefined ? {} : windowOf({ from: from ?? '00:00', to: to ?? '00:00' })),
    ...(days === undefined ? {} : { days: days.map((day) => WEEK_DAYS.indexOf(day)) }),
    timeZone,
    ...(upload === undefined ? {} : { uploadBytesPerSecond: sizeOf(upload) }),
    ...(download === undefined ? {} : { downloadBytesPerSecond: sizeOf(download) }),
  };
}

function hookOf(hook: NonNullable<DocumentOf<'hooks'>['before']>[number], onFailure: 'fail' | 'warn'): HookCommand {
  return { command: hook.command, timeoutMs: durationOf(hook.timeout), onFailure: hook.onFailure ?? onFailure };
}

function periodOf(period: { readonly every: string; readonly window?: WindowDocument }, timeZone: string): Period {
  return { everyMs: durationOf(period.every), timeZone, ...windowOf(period.window) };
}

type WindowDocument = { readonly from: string; readonly to: string };

function windowOf(window: WindowDocument | undefined): { readonly window?: TimeWindow } {
  return window === undefined ? {} : { window: { fromMinute: minuteOf(window.from), toMinute: minuteOf(window.to) } };
}

function minuteOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));
}

function zoneOf(name: string): string {
  if (!isTimeZone(name)) throw new Fault('POLICY_INVALID', `"${name}" is not a time zone`);
  return name;
}

function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new Fault('POLICY_INVALID', `"${text}" is not a time such as 15m, 36h or 30d`);
  return ms;
}

function sizeOf(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new Fault('POLICY_INVALID', `"${text}" is not a size such as 512KiB or 10GiB`);
  return bytes;
}

function duration<K extends string>(key: K, text: string | undefined): { readonly [P in K]?: number } {
  return text === undefined ? {} : ({ [key]: durationOf(text) } as { readonly [P in K]?: number });
}

/** Only what is given: an absent key and one that is undefined are different things. */
function given<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}

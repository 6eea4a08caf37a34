// What a policy of the right form still gets wrong: values that mean nothing (errors), and promises that what it does cannot keep (warnings).

import { parseCron } from './cron.ts';
import { largestRealGap } from './due-gaps.ts';
import { formatSpan, MINUTE_MS, parseDuration } from './duration.ts';
import type { PolicyDocument } from './policy-document.ts';
import type { EffectivePolicy } from './policy-terms.ts';
import type { Path } from './schema-problems.ts';
import { parseSize } from './size.ts';
import { isTimeZone } from './zone-clock.ts';

export type Check = { readonly path: Path; readonly message: string };

/** Values that mean nothing. */
export function checkValues(document: PolicyDocument): readonly Check[] {
  const checks: Check[] = [];
  checkZone(document.timeZone, ['timeZone'], checks);
  document.schedule?.forEach((entry, i) => {
    const parsed = parseCron(entry.cron);
    if (parsed.kind === 'fault') checks.push({ path: ['schedule', i, 'cron'], message: parsed.message });
    checkZone(entry.timeZone, ['schedule', i, 'timeZone'], checks);
    checkWindow(entry.window, ['schedule', i, 'window'], checks);
    if (entry.startWithin !== undefined && parseDuration(entry.startWithin)! < MINUTE_MS)
      checks.push({ path: ['schedule', i, 'startWithin'], message: 'less than a minute is too short for anything to begin' });
  });
  const { scrub, sampled, full, restoreTest } = document.verify ?? {};
  for (const [name, period] of Object.entries({ scrub, sampled, full, restoreTest })) checkPeriod(period, ['verify', name], checks);
  checkPeriod(document.prune, ['prune'], checks);
  if (sampled?.share !== undefined && Number(sampled.share.slice(0, -1)) === 0)
    checks.push({ path: ['verify', 'sampled', 'share'], message: 'a share of 0% proves nothing' });
  document.limits?.bandwidth?.forEach((rule, i) => {
    const path = ['limits', 'bandwidth', i];
    for (const key of ['upload', 'download'] as const)
      if (rule[key] !== undefined && parseSize(rule[key])! < 1024)
        checks.push({
          path: [...path, key],
          message: 'less than 1KiB a second would stop everything; leave the hours out of the window instead',
        });
    if (rule.upload === undefined && rule.download === undefined)
      checks.push({ path, message: 'a limit of bandwidth needs upload, download or both' });
    if (rule.from !== undefined && rule.from === rule.to)
      checks.push({ path, message: `from ${rule.from} to ${rule.to} is no time at all; leave both out for the whole day` });
  });
  for (const when of ['before', 'after'] as const)
    document.hooks?.[when]?.forEach((hook, i) => {
      const path = ['hooks', when, i];
      if (!hook.command[0]!.startsWith('/'))
        checks.push({ path: [...path, 'command', 0], message: 'a hook names its program by an absolute path' });
      if (parseDuration(hook.timeout) === 0) checks.push({ path: [...path, 'timeout'], message: 'a hook needs some time' });
    });
  const sites = (document.copies ?? []).map(({ site }) => site);
  sites.forEach((site, i) => {
    if (sites.indexOf(site) < i) checks.push({ path: ['copies', i, 'site'], message: `the site "${site}" is named twice` });
  });
  if (document.extends === document.name) checks.push({ path: ['extends'], message: 'a policy cannot extend itself' });
  return checks;
}

function checkZone(name: string | undefined, path: Path, checks: Check[]): void {
  if (name !== undefined && !isTimeZone(name))
    checks.push({ path, message: `"${name}" is not a time zone; expected an IANA name such as Asia/Shanghai` });
}

type WindowDocument = { readonly from: string; readonly to: string };

function checkWindow(window: WindowDocument | undefined, path: Path, checks: Check[]): void {
  if (window !== undefined && window.from === window.to)
    checks.push({ path, message: `a window from ${window.from} to ${window.to} is never open; leave it out for the whole day` });
}

function checkPeriod(
  period: { readonly every: string; readonly window?: WindowDocument } | undefined,
  path: Path,
  checks: Check[],
): void {
  if (period === undefined) return;
  if (parseDuration(period.every)! < MINUTE_MS)
    checks.push({ path: [...path, 'every'], message: 'a period must be a minute at least' });
  checkWindow(period.window, [...path, 'window'], checks);
}

/** Promises that cannot be kept so. Of what is in force: a policy that inherits its schedule is judged with it. */
export function checkPromises(policy: EffectivePolicy): readonly Check[] {
  const { objectives, schedule, verify, retention, recoveryWindowMs } = policy;
  const checks: Check[] = [];
  const gapMs = largestRealGap(schedule);
  const { rpoMs, proofAgeMs } = objectives;
  const isLogged = schedule.some(({ continuousLog, afterLogBytes }) => continuousLog === true || afterLogBytes !== undefined);
  if (rpoMs !== undefined && schedule.length === 0)
    checks.push({ path: ['objectives', 'rpo'], message: `an rpo of ${formatSpan(rpoMs)} is promised, but nothing is scheduled` });
  else if (rpoMs !== undefined && !isLogged && gapMs >= rpoMs)
    checks.push({
      path: ['objectives', 'rpo'],
      message: `backups are up to ${Number.isFinite(gapMs) ? formatSpan(gapMs) : 'many years'} apart, so an rpo of ${formatSpan(rpoMs)} is broken between them; a run takes time, too`,
    });
  const proofs = [verify.sampled, verify.full, verify.restoreTest].flatMap((period) =>
    period === undefined ? [] : [period.everyMs],
  );
  if (proofAgeMs !== undefined && !proofs.some((everyMs) => everyMs < proofAgeMs))
    checks.push({
      path: ['objectives', 'proofAge'],
      message: `a proof at least every ${formatSpan(proofAgeMs)} is promised, but nothing in "verify" proves so often`,
    });
  const keptMs = certainReach(retention, gapMs);
  if (recoveryWindowMs !== undefined && keptMs < recoveryWindowMs)
    checks.push({
      path: ['recoveryWindow'],
      message: `a recovery window of ${formatSpan(recoveryWindowMs)} is promised, but the retention is certain to reach back ${formatSpan(keptMs)} only`,
    });
  return checks;
}

const DAY_MS = 24 * 60 * MINUTE_MS;

/** How far back the oldest kept point lies at the least, when every backup succeeds. `keepLast` is certain of nothing: backups by hand may
 *  push the others out. */
function certainReach(retention: EffectivePolicy['retention'], gapMs: number): number {
  if (retention.legalHold) return Number.POSITIVE_INFINITY;
  // Of n periods the newest may have just begun, and the oldest keeps only its newest point. A rare schedule stretches them.
  const periods = (count: number | undefined, lengthMs: number): number =>
    Math.max(0, (count ?? 0) - 1) * Math.max(lengthMs, Number.isFinite(gapMs) ? gapMs : 0);
  return Math.max(
    retention.keepWithinMs ?? 0,
    periods(retention.keepHourly, DAY_MS / 24),
    periods(retention.keepDaily, DAY_MS),
    periods(retention.keepWeekly, 7 * DAY_MS),
    periods(retention.keepMonthly, 28 * DAY_MS),
    periods(retention.keepYearly, 365 * DAY_MS),
  );
}

// The recovery window of a database as the API shows it: intervals in which one returns to any transaction, each with the evidence for its end,
// and the gaps between them with their causes. Pure.

import { formatLsn } from '../model/lsn.ts';
import type { RecoveryPoint } from '../model/recovery-point.ts';
import type { LackingCheck } from '../scheduler/log-notes.ts';
import type { LogWindow } from '../scheduler/log-windows.ts';
import { type AssetWindowFacts, provenOf, type RecoveryWindow } from './recovery-window.ts';

export type LogWindowFacts = AssetWindowFacts & {
  readonly window: LogWindow;
  /** What the server lacks. */
  readonly lacking: readonly LackingCheck[];
  /** The server is another one than the one whose log is stored: nothing of it is protected now. */
  readonly isRefused: boolean;
  /** Why no log comes, when a run tells it. */
  readonly trouble?: string;
};

type Interval = RecoveryWindow['intervals'][number];
type Gap = RecoveryWindow['gaps'][number];

export function logWindow(facts: LogWindowFacts, now: Date): RecoveryWindow {
  const { assetId, window, rpoMs, windowMs } = facts;
  const intervals = window.intervals.map((one) => intervalOf(one, facts.points));
  const gaps = window.intervals.slice(1).map((next, i) => gapBetween(window.intervals[i]!, next, window));
  const open = openGap(facts, now);
  const [first, last] = [intervals[0], intervals.at(-1)];
  return {
    assetId,
    at: now.toISOString(),
    kind: 'log',
    ...(rpoMs === undefined ? {} : { rpoSeconds: rpoMs / 1000 }),
    ...(windowMs === undefined ? {} : { promisedWindowSeconds: windowMs / 1000 }),
    ...(first === undefined ? {} : { earliest: first.from }),
    ...(last === undefined ? {} : { latest: last.to }),
    points: intervals.reduce((sum, { points }) => sum + points, 0),
    intervals,
    gaps: open === undefined ? gaps : [...gaps, open],
    missing: missingOf(facts, first, now),
  };
}

function intervalOf({ from, to, bases, timeline }: LogWindow['intervals'][number], points: readonly RecoveryPoint[]): Interval {
  const own = points.filter(({ snapshot }) => bases.includes(snapshot));
  return {
    from: instantAfter(from.time),
    to: instantBefore(Math.max(to.time, Math.ceil(from.time / 1000) * 1000)),
    points: bases.length,
    longestStepSeconds: 0,
    evidence: { ...provenOf(own), withWarnings: 0 },
    log: {
      timeline,
      from: formatLsn(from.position),
      to: formatLsn(to.position),
      bases: [...bases],
      ...(to.mark === undefined
        ? {}
        : { lastTransaction: { id: to.mark.id, position: formatLsn(to.mark.position), at: instantBefore(to.mark.time) } }),
    },
  };
}

function gapBetween(before: LogWindow['intervals'][number], after: LogWindow['intervals'][number], window: LogWindow): Gap {
  const [from, to] = [instantBefore(before.to.time), instantAfter(after.from.time)];
  const known = window.gaps.find((gap) => gap.to > before.to.position && gap.from < after.from.position);
  return {
    from,
    to,
    seconds: (Date.parse(to) - Date.parse(from)) / 1000,
    isOpen: false,
    cause: known?.cause ?? 'the log between is not stored, or does not lead on',
    runs: [],
    damaged: [],
    ...(known === undefined ? {} : { log: { timeline: known.timeline, from: formatLsn(known.from), to: formatLsn(known.to) } }),
  };
}

function openGap({ window, rpoMs, createdAt, isPaused, isRefused, trouble }: LogWindowFacts, now: Date): Gap | undefined {
  const last = window.intervals.at(-1);
  const since = last === undefined ? createdAt : instantBefore(last.to.time);
  const seconds = (now.getTime() - Date.parse(since)) / 1000;
  if (!isRefused && (rpoMs === undefined || seconds * 1000 <= rpoMs)) return undefined;
  const cause = isPaused ? 'the asset is paused' : (trouble ?? 'nothing has come since: the server is away, or nobody has written');
  return { from: since, to: now.toISOString(), seconds, isOpen: true, cause, runs: [], damaged: [] };
}

function missingOf({ window, lacking, windowMs, createdAt }: LogWindowFacts, first: Interval | undefined, now: Date): string[] {
  const missing = lacking
    .filter(({ state }) => state === 'missing')
    .map(({ name, found, why, remedy }) => `${name}: ${found}. ${why}. ${remedy}`);
  if (window.incarnation === undefined) missing.push('no log is stored yet');
  else if (first === undefined) missing.push('there is no base backup whose log is stored');
  else if (!window.isAnchored) missing.push('no base backup leads to the end of the log');
  if (windowMs === undefined || first === undefined) return missing;
  const wanted = now.getTime() - windowMs;
  if (Date.parse(first.from) > wanted && Date.parse(createdAt) < wanted)
    missing.push(`the promised window begins at ${new Date(wanted).toISOString()}, what can be restored at ${first.from}`);
  return missing;
}

/** Unix microseconds to an instant in milliseconds that is not before. */
function instantAfter(micros: number): string {
  return new Date(Math.ceil(micros / 1000)).toISOString();
}

function instantBefore(micros: number): string {
  return new Date(Math.floor(micros / 1000)).toISOString();
}

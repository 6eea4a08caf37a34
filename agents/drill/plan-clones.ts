// Where the clones of a plan's databases end: group by group, as the plan declares what has to hold between its members.
//
// "none": each at the end of its own log, so that nothing is given up that nobody asked for. "epsilon": all at one instant, the last that every
// one of their logs reaches; each ends with its last commit before it. "barrier": all at the newest restore point that has the same name in all
// of their logs, none of which has a commit until the last of them had its point. Where there is none they end at one instant, too, and the
// evidence says that it was no barrier.

import { Fault } from '../../src/base/faults.ts';
import type { PlanGroup } from '../../src/plan/plan-document.ts';
import { type ClonePlan, type CloneSource, openCloneSource, planClone } from './clone.ts';
import type { DrillOptions } from './drill-options.ts';

type Point = { readonly name: string; readonly time: number; readonly timeline: number; readonly end: number };

/** In the order of the plan. RECOVERY_REFUSED, LOG_GAP, USAGE. */
export async function planClones(options: DrillOptions): Promise<ClonePlan[]> {
  return (await Promise.all(options.plan.groups.map((group) => planGroup(group, options)))).flat();
}

async function planGroup(
  { members, consistency = 'none' }: PlanGroup,
  { sources, disaster, programs, signal }: DrillOptions,
): Promise<ClonePlan[]> {
  const opened = await Promise.all(
    members
      .filter(({ kind }) => kind === 'postgres')
      .map(({ asset }) => {
        const source = sources.find((one) => one.asset === asset);
        if (source === undefined) throw new Fault('USAGE', `Nobody said from which repository "${asset}" is cloned`);
        return openCloneSource(source.repository, asset, signal);
      }),
  );
  const wanted = disaster === undefined ? Number.POSITIVE_INFINITY : disaster.getTime() * 1000;
  if (opened.length > 1 && consistency === 'barrier') {
    const barrier = await atBarrier(opened, wanted, programs);
    if (barrier !== undefined) return barrier;
  }
  const common = Math.min(wanted, ...opened.map(({ endsAt }) => endsAt ?? Number.POSITIVE_INFINITY));
  const time = opened.length > 1 && consistency !== 'none' ? common : wanted;
  return Promise.all(
    opened.map((source) => {
      const isLatest = time === Number.POSITIVE_INFINITY || (source.endsAt !== undefined && time >= source.endsAt);
      return planClone(source, isLatest ? { kind: 'latest' } : { kind: 'time', time }, programs);
    }),
  );
}

/** Undefined: no restore point is in all of their logs, with nothing committed between the first and the last of them. */
async function atBarrier(
  opened: readonly CloneSource[],
  until: number,
  programs: readonly string[],
): Promise<ClonePlan[] | undefined> {
  const points = await Promise.all(opened.map((source) => pointsOf(source, until)));
  for (const { name } of [...points[0]!].reverse()) {
    const own = points.map((some) => some.filter((one) => one.name === name));
    // A name that was used twice is no barrier.
    if (own.some(({ length }) => length !== 1)) continue;
    const last = Math.max(...own.map(([one]) => one!.time));
    const quiet = await Promise.all(opened.map((source, i) => isQuiet(source, own[i]![0]!, last)));
    if (!quiet.every(Boolean)) continue;
    const plans = await Promise.all(opened.map((source) => planClone(source, { kind: 'point', name }, programs)));
    return plans.map((plan) => ({ ...plan, isQuiet: true }));
  }
  return undefined;
}

/** On the timeline that is written now, from the oldest base on. */
async function pointsOf({ cluster: { facts, view } }: CloneSource, until: number): Promise<Point[]> {
  const { timeline } = view;
  const from = Math.min(...facts.bases.map(({ stop }) => stop));
  const points: Point[] = [];
  for await (const { kind, text: name, time, end } of view.marks(timeline, from, Number.MAX_SAFE_INTEGER))
    if (kind === 'point' && time <= until) points.push({ name, time, timeline, end });
  return points;
}

/** Whether nothing was committed after the point and before that time. */
async function isQuiet({ cluster: { view } }: CloneSource, { timeline, end }: Point, before: number): Promise<boolean> {
  const ends = view.storedTo(timeline, end);
  const later = await view.firstLater(timeline, end, ends, before);
  return (await view.last(timeline, end, later?.position ?? ends, 'commit')) === undefined;
}

// Which bases a promised window needs, and which log the bases need. Pure. Knows no database.
//
// A window that reaches back to a moment needs, for every timeline that still matters, the newest base that was complete by then and can be
// restored, and everything after it: from that base every later moment is reached. A timeline matters when it is the one that is captured,
// or has transactions within the window. Where there is no such base nothing of that timeline is dropped.
//
// Of log, a base needs what lies behind its start on its timeline, and all of the timelines that branch off behind it.

import { pathTo, type RecoveryBase, type RecoveryFacts, wayFrom } from './recovery-plan.ts';

export type RetentionFacts = Pick<RecoveryFacts, 'bases' | 'stretches' | 'lineages' | 'marks'> & {
  /** The timeline that is captured. */
  readonly timeline: number;
  /** False for a base that is known to be damaged: it stands in for no other. */
  readonly isSound: (base: RecoveryBase) => boolean;
};

export type JudgedBase = { readonly base: RecoveryBase; readonly isNeeded: boolean; readonly reason: string };

/** `since`: Unix microseconds; infinite: only the newest moment is promised. */
export async function basesOfWindow(facts: RetentionFacts, since: number): Promise<JudgedBase[]> {
  const { bases } = facts;
  const chosen = new Map<number, RecoveryBase | undefined>();
  for (const timeline of await timelinesOfWindow(facts, since)) chosen.set(timeline, newestBefore(facts, timeline, since));
  const current = chosen.get(facts.timeline);
  return bases.map((base) => {
    if (current === undefined)
      return { base, isNeeded: true, reason: 'no base that leads to the log captured now is older than the window' };
    const stays = (reason: string): JudgedBase => ({ base, isNeeded: true, reason });
    if (base.stoppedAt > since) return stays('within the window');
    let isOnWay = false;
    for (const [timeline, first] of chosen) {
      if (!leadsTo(base, timeline, facts)) continue;
      isOnWay = true;
      if (first === undefined) return stays(`nothing older leads into timeline ${timeline}`);
      if (first.snapshot === base.snapshot)
        return stays(Number.isFinite(since) ? 'the window begins with it' : 'the newest base that can be restored');
      if (base.stop >= first.stop) return stays('newer than the base that the window begins with');
    }
    const reason = isOnWay ? 'the window begins with a newer base' : 'nothing of its timeline lies within the window';
    return { base, isNeeded: false, reason };
  });
}

/** Where the log of each timeline begins to be needed; undefined for timelines that no base leads to. `bases`: all that are kept or held. */
export function neededFrom(
  timelines: readonly number[],
  { bases, lineages }: Pick<RecoveryFacts, 'bases' | 'lineages'>,
): ReadonlyMap<number, number | undefined> {
  const needed = new Map<number, number | undefined>();
  for (const timeline of timelines) {
    // Where it comes from is not known: nobody can say what it is needed for.
    if (pathTo(timeline, lineages) === undefined) needed.set(timeline, 0);
    else {
      const own = bases.filter((base) => leadsTo(base, timeline, { lineages }));
      const starts = own.map((base) => (base.timeline === timeline ? base.start : 0));
      needed.set(timeline, starts.length === 0 ? undefined : Math.min(...starts));
    }
  }
  return needed;
}

async function timelinesOfWindow({ stretches, marks, timeline }: RetentionFacts, since: number): Promise<Set<number>> {
  const timelines = new Set([timeline]);
  for (const one of new Set(stretches.map((stretch) => stretch.timeline))) {
    if (timelines.has(one)) continue;
    const last = await marks.last(one, 0, Number.POSITIVE_INFINITY);
    if (last !== undefined && last.time >= since) timelines.add(one);
  }
  return timelines;
}

/** In the order of the log, whatever clocks say: everything behind the first base that is within the window is needed. */
function newestBefore(facts: RetentionFacts, timeline: number, since: number): RecoveryBase | undefined {
  const own = facts.bases
    .filter((base) => facts.isSound(base) && wayFrom(base, timeline, facts)?.isWhole === true)
    .sort((a, b) => a.stop - b.stop);
  const within = own.findIndex(({ stoppedAt }) => stoppedAt > since);
  return own[(within === -1 ? own.length : within) - 1];
}

function leadsTo(base: RecoveryBase, timeline: number, { lineages }: Pick<RecoveryFacts, 'lineages'>): boolean {
  const part = pathTo(timeline, lineages)?.find((one) => one.timeline === base.timeline);
  return part !== undefined && base.stop <= part.until;
}

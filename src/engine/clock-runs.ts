// A database's clock may be set back; then it passes some times once more. From one such step to the next the log is one run of the clock, in which
// a time lies at one place. A time that lies in several runs is a place in none: nobody knows which is meant. Pure.
//
// Transactions take their time before their record is written, so small steps back are in every log and mean nothing: a time then lies before
// the first later one (recovery-plan.ts).

import type { LogMark } from '../model/log-mark.ts';

/** Transactions that waited for so long between the two are not heard of. */
export const CLOCK_STEP_MICROS = 5_000_000;

/** `position`: of the first mark after it. Times: the latest one before, and that mark's; Unix microseconds. */
export type ClockStep = { readonly timeline: number; readonly position: number; readonly before: number; readonly after: number };

/** Log from `from` to `to`, in which the clock went from `since` to `until`. The ends of the first and the last one are infinite. */
export type ClockRun = { readonly from: number; readonly to: number; readonly since: number; readonly until: number };

type Stretch = { readonly timeline: number; readonly from: number; readonly to: number };

/** Finds the steps in marks that come in the order of the log. */
export class ClockWatch {
  #latest: number;

  /** `latest`: time of the mark before; 0: none. */
  constructor(latest: number) {
    this.#latest = latest;
  }

  look(marks: readonly LogMark[]): Omit<ClockStep, 'timeline'>[] {
    const steps: Omit<ClockStep, 'timeline'>[] = [];
    for (const { position, time } of marks) {
      if (time === 0) continue;
      const isStep = time < this.#latest - CLOCK_STEP_MICROS;
      if (isStep) steps.push({ position, before: this.#latest, after: time });
      this.#latest = isStep ? time : Math.max(this.#latest, time);
    }
    return steps;
  }
}

/** The runs on a path of timelines, in the order of the log: on a path positions only grow. */
export function clockRuns(
  steps: readonly ClockStep[],
  path: readonly { readonly timeline: number; readonly until: number }[],
): ClockRun[] {
  const own = steps
    .filter(({ timeline, position }) => {
      const n = path.findIndex((one) => one.timeline === timeline);
      return n !== -1 && position < path[n]!.until && position >= (path[n - 1]?.until ?? 0);
    })
    .sort((a, b) => a.position - b.position);
  return [undefined, ...own].map((begin, n) => ({
    from: begin?.position ?? 0,
    to: own[n]?.position ?? Number.POSITIVE_INFINITY,
    since: begin?.after ?? Number.NEGATIVE_INFINITY,
    until: own[n]?.before ?? Number.POSITIVE_INFINITY,
  }));
}

/** What of these parts of a way lies in a run. */
export function within({ from, to }: ClockRun, legs: readonly Stretch[]): Stretch[] {
  return legs
    .map((leg) => ({ ...leg, from: Math.max(leg.from, from), to: Math.min(leg.to, to) }))
    .filter((leg) => leg.from < leg.to);
}

// What is not in the recovered data although it was written: log behind a place, counted by what is known of it.

import type { LogView } from '../../src/engine/log-view.ts';

export type LogLoss = {
  readonly bytes: number;
  readonly commits: number;
  /** From the last commit before it to the last one in it, by the database's clock. */
  readonly seconds: number;
};

export const NO_LOSS: LogLoss = { bytes: 0, commits: 0, seconds: 0 };

/** Of what is stored of the timeline from `from` to `to`, holes or not. */
export async function lossBehind(view: LogView, timeline: number, from: number, to: number): Promise<LogLoss> {
  if (to <= from) return NO_LOSS;
  let commits = 0;
  let last = 0;
  for await (const { kind, time } of view.marks(timeline, from, to)) {
    if (kind !== 'commit') continue;
    commits++;
    last = Math.max(last, time);
  }
  const before = await view.last(timeline, 0, from, 'commit');
  const seconds = commits === 0 || before === undefined ? 0 : Math.max(0, last - before.time) / 1_000_000;
  return { bytes: to - from, commits, seconds };
}

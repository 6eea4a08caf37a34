// Marks on a way: of a base, and the log that leads on from it. Nothing before the base was complete counts.

import type { LogMark } from '../model/log-mark.ts';

type Leg = { readonly timeline: number; readonly from: number; readonly to: number };
export type MarkedWay = { readonly base: { readonly stop: number }; readonly legs: readonly Leg[] };

/** Looks up marks whose records end in (from, to] of a timeline. */
export interface MarkIndex {
  firstLater(timeline: number, from: number, to: number, time: number): Promise<LogMark | undefined>;
  /** The last transaction's end; with `kind` only of that kind. */
  last(timeline: number, from: number, to: number, kind?: 'commit'): Promise<LogMark | undefined>;
  find(timeline: number, from: number, to: number, is: (mark: LogMark) => boolean): Promise<LogMark | undefined>;
}

/** The first mark that is later than a time, in the order of the log. */
export async function firstLaterOn(marks: MarkIndex, { base, legs }: MarkedWay, time: number): Promise<LogMark | undefined> {
  for (const { timeline, from, to } of legs) {
    const found = to > base.stop ? await marks.firstLater(timeline, Math.max(from, base.stop), to, time) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The last transaction's end; `before` a position; or with a record that begins at or before `begunAt`. */
export async function lastOn(
  marks: MarkIndex,
  { base, legs }: MarkedWay,
  { kind, before, begunAt }: { readonly kind?: 'commit'; readonly before?: number; readonly begunAt?: number } = {},
): Promise<LogMark | undefined> {
  for (const leg of [...legs].reverse()) {
    const from = Math.max(leg.from, base.stop);
    let to = Math.min(leg.to, before ?? leg.to);
    if (begunAt !== undefined) {
      const crossing = await marks.find(leg.timeline, from, to, (mark) => mark.position > begunAt);
      if (crossing !== undefined) to = Math.min(to, crossing.position);
    }
    const found = to > from ? await marks.last(leg.timeline, from, to, kind) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

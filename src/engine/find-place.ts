// Where a place of the log is that was named: a restore point, the commit of a transaction, a position. A name can be used twice, numbers of
// transactions come again, and a server that was left at a failover may have used any of them for something else. Then nobody knows what is
// meant: nothing is chosen, and all of them are told. Pure, but for the port that looks up marks.

import { textOfMicros } from '../model/instant-text.ts';
import type { LogMark } from '../model/log-mark.ts';
import { formatLsn } from '../model/lsn.ts';

const PLACES_MAX = 5;

type Stretch = { readonly timeline: number; readonly from: number; readonly to: number };
type Way = { readonly base: { readonly timeline: number; readonly stop: number }; readonly legs: readonly Stretch[] };
type Path = readonly { readonly timeline: number; readonly until: number }[];
/** Finds the first mark whose record ends in (from, to] of a timeline. */
type Finder = {
  find(timeline: number, from: number, to: number, is: (mark: LogMark) => boolean): Promise<LogMark | undefined>;
};

/** `way`: with the newest base that leads there; undefined: on a timeline that was left, behind the place where it was. */
export type FoundPlace<W> = { readonly mark: LogMark; readonly timeline: number; readonly way: W | undefined };

/** Each once, those on the ways first; of many the first ones. `ways`: newest base first. `left`: log beside the path. */
export async function placesOf<W extends Way>(
  ways: readonly W[],
  left: readonly Stretch[],
  marks: Finder,
  is: (mark: LogMark) => boolean,
): Promise<FoundPlace<W>[]> {
  const found = new Map<string, FoundPlace<W>>();
  const look = async ({ timeline, from, to }: Stretch, way: W | undefined): Promise<void> => {
    for (let at = from; at < to && found.size < PLACES_MAX; ) {
      const mark = await marks.find(timeline, at, to, is);
      if (mark === undefined) return;
      const key = `${timeline} ${mark.position}`;
      if (!found.has(key)) found.set(key, { mark, timeline, way });
      at = mark.end;
    }
  };
  for (const [n, way] of ways.entries())
    for (const leg of legsBefore(way, ways[n - 1])) await look({ ...leg, from: Math.max(leg.from, way.base.stop) }, way);
  for (const stretch of left) await look(stretch, undefined);
  return [...found.values()];
}

export const NO_PLACE = 'there is no such place in the log';

/** The only one that can be gone back to; else why there is none. */
export function onlyPlace<W>(places: readonly FoundPlace<W>[], what: string): { readonly way: W; readonly mark: LogMark } | string {
  const [first] = places;
  if (first === undefined) return `${NO_PLACE}: ${what}`;
  const { way, mark } = first;
  if (places.length === 1 && way !== undefined) return { way, mark };
  const list = places
    .map((one) => `${formatLsn(one.mark.position)} of timeline ${one.timeline}, at ${textOfMicros(one.mark.time)}`)
    .join('; ');
  return places.length === 1
    ? `${what} is on a timeline that was left, which has to be named: ${list}`
    : `${what} is in the log more than once, and its time or position has to be named: ${list}`;
}

/** What is stored beside the path: of timelines that do not lead on, and of others what they wrote after they were left. */
export function besidePath(stretches: readonly Stretch[], path: Path): Stretch[] {
  return stretches.flatMap(({ timeline, from, to }) => {
    const own = path.find((one) => one.timeline === timeline);
    const begin = own === undefined ? from : Math.max(from, own.until);
    return begin < to ? [{ timeline, from: begin, to }] : [];
  });
}

/** Without what a newer way has looked at: where both lead to one end it holds everything behind its base. */
function legsBefore({ legs }: Way, newer: Way | undefined): readonly Stretch[] {
  const [end, other] = [legs.at(-1)!, newer?.legs.at(-1)];
  if (newer === undefined || end.timeline !== other!.timeline || end.to !== other!.to) return legs;
  const { timeline, stop } = newer.base;
  const last = legs.findIndex((leg) => leg.timeline === timeline);
  return legs.slice(0, last + 1).map((leg) => (leg.timeline === timeline ? { ...leg, to: Math.min(leg.to, stop) } : leg));
}

// Where a capture goes on: at the end of what is stored, on the timeline of that end, although the server may be on a later one by now;
// otherwise the last log before a failover would be missing.

import type { KnownStretch } from '../../src/engine/log-coverage.ts';
import type { LogView, OpenEpoch } from '../../src/engine/log-view.ts';
import type { Ancestor } from './timeline-history.ts';

export type StoredEnd = { readonly timeline: number; readonly position: number };

/** `position` is the start of a segment; `stored` the end of what is stored there, if anything. */
export type LogPlace = { readonly timeline: number; readonly position: number; readonly stored: number | undefined };

export type ResumePoint =
  | ({ readonly kind: 'resume' } & LogPlace)
  /** Nothing is stored yet. */
  | { readonly kind: 'begin' }
  /** The server is older than what is stored: a node that was demoted or rolled back, or a standby that lags (then `lagging` says where it
   *  is). */
  | { readonly kind: 'behind'; readonly stored: StoredEnd; readonly lagging: LogPlace | undefined };

export type ServerPlace = {
  readonly timeline: number;
  readonly position: number;
  /** Of its timeline. */
  readonly ancestors: readonly Ancestor[];
  readonly isStandby: boolean;
};

export function resumePoint(stored: StoredEnd | undefined, server: ServerPlace, segmentBytes: number): ResumePoint {
  if (stored === undefined) return { kind: 'begin' };
  const start = (position: number): number => Math.floor(position / segmentBytes) * segmentBytes;
  if (stored.timeline > server.timeline) return { kind: 'behind', stored, lagging: undefined };
  if (stored.timeline === server.timeline) {
    if (stored.position > server.position) {
      const at = { timeline: server.timeline, position: start(server.position), stored: server.position };
      return { kind: 'behind', stored, lagging: server.isStandby ? at : undefined };
    }
    return { kind: 'resume', timeline: stored.timeline, position: start(stored.position), stored: stored.position };
  }
  const index = server.ancestors.findIndex(({ timeline }) => timeline === stored.timeline);
  const own = server.ancestors[index];
  if (own !== undefined && stored.position < own.until)
    return { kind: 'resume', timeline: own.timeline, position: start(stored.position), stored: stored.position };
  if (own !== undefined) {
    // All of that timeline is stored that leads on.
    const next = server.ancestors[index + 1]?.timeline ?? server.timeline;
    return { kind: 'resume', timeline: next, position: start(own.until), stored: undefined };
  }
  // Another branch: where it left the one that is stored, nobody knows.
  const last = server.ancestors.at(-1);
  return { kind: 'resume', timeline: server.timeline, position: start(last?.until ?? server.position), stored: undefined };
}

/** The end of the log: on the latest timeline, its furthest record. */
export function storedEnd(epochs: readonly OpenEpoch[]): StoredEnd | undefined {
  let end: StoredEnd | undefined;
  for (const { reader, recordsEnd } of epochs) {
    const { timeline } = reader.epoch;
    if (end === undefined || timeline > end.timeline || (timeline === end.timeline && recordsEnd > end.position))
      end = { timeline, position: recordsEnd };
  }
  return end;
}

/** Gaps that were recorded are not asked for again; one may begin where another ended. */
export function skipGaps(place: LogPlace, serverTimeline: number, view: LogView | undefined): LogPlace {
  const at = place.stored ?? place.position;
  const gap = view?.recordedGaps.findLast((one) => one.timeline === place.timeline && one.from <= at && one.to > at);
  return gap === undefined
    ? place
    : skipGaps({ timeline: serverTimeline, position: gap.to, stored: undefined }, serverTimeline, view);
}

/** What is stored of a timeline from a position on, object by object. */
export async function knownFrom(view: LogView, timeline: number, position: number): Promise<KnownStretch[]> {
  const known: KnownStretch[] = [];
  let end = position;
  for (const { reader } of view.epochs) {
    if (reader.epoch.timeline !== timeline || reader.end <= position) continue;
    for await (const { from, to, digest, recordFrom } of reader.indexes(position)) {
      if (from < end || to <= end) continue;
      known.push({ from, to, digest, recordFrom });
      end = to;
    }
  }
  return known.sort((a, b) => a.to - b.to);
}

/** Time of the last transaction that is stored before a place: of its timeline, or of the one that it comes from. 0: none. */
export async function timeBefore(view: LogView, { timeline, position }: Pick<LogPlace, 'timeline' | 'position'>): Promise<number> {
  const own = await view.last(timeline, 0, position);
  if (own !== undefined) return own.time;
  const parent = view.lineages.find((one) => one.timeline === timeline)?.ancestors.at(-1);
  return parent === undefined ? 0 : ((await view.last(parent.timeline, 0, parent.until))?.time ?? 0);
}

// Where a capture goes on: at the end of what is stored, on the timeline of that end, although the server may be on a later one by now;
// otherwise the last log before a failover would be missing. Pure.

import type { OpenEpoch } from '../../src/engine/log-view.ts';
import type { Ancestor } from './timeline-history.ts';

export type StoredEnd = { readonly timeline: number; readonly position: number };

export type ResumePoint =
  /** `position` is the start of a segment; `stored` the end of what is stored there, if anything. */
  | { readonly kind: 'resume'; readonly timeline: number; readonly position: number; readonly stored: number | undefined }
  /** Nothing is stored yet. */
  | { readonly kind: 'begin' }
  /** The server is older than what is stored: a node that was demoted or rolled back. */
  | { readonly kind: 'behind'; readonly stored: StoredEnd };

/** `ancestors`: of the server's timeline. */
export function resumePoint(
  stored: StoredEnd | undefined,
  server: { readonly timeline: number; readonly position: number; readonly ancestors: readonly Ancestor[] },
  segmentBytes: number,
): ResumePoint {
  if (stored === undefined) return { kind: 'begin' };
  const start = (position: number): number => Math.floor(position / segmentBytes) * segmentBytes;
  if (stored.timeline > server.timeline) return { kind: 'behind', stored };
  if (stored.timeline === server.timeline) {
    if (stored.position > server.position) return { kind: 'behind', stored };
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

// Proof that log leads from one place to another: every object of it opens, and every record carries its checksum and the position of the
// record before it.

import { Fault } from '../../src/base/faults.ts';
import type { LogEnd } from '../../src/dr/writer-record.ts';
import type { LogView } from '../../src/engine/log-view.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import { storedBytes } from '../postgres/stored-bytes.ts';
import { isShutdownCheckpoint, type RecordsEnd, samePlace, walRecords } from '../postgres/wal-records.ts';

/** The end of what was sealed: of a planned failover the end of the shutdown checkpoint that begins there, otherwise the place itself. */
export async function sealedPlace(view: LogView, { timeline, lsn }: LogEnd, segmentBytes: number): Promise<number> {
  const place = mustParseLsn(lsn);
  const segment = Math.floor(place / segmentBytes) * segmentBytes;
  if (view.storedTo(timeline, segment) <= place) return place;
  for await (const record of walRecords(storedBytes(view, timeline), segment, segmentBytes)) {
    if (record.position === place) return isShutdownCheckpoint(record) ? record.end : place;
    if (record.position > place) break;
  }
  return place;
}

/** Answers how many bytes were proven: from the start of the segment of `from` to `to`. LOG_GAP, LOG_FORKED. */
export async function verifyChain(
  view: LogView,
  {
    timeline,
    from,
    to,
    segmentBytes,
    signal,
  }: {
    readonly timeline: number;
    readonly from: number;
    readonly to: number;
    readonly segmentBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const wanted = Math.floor(Math.min(from, to) / segmentBytes) * segmentBytes;
  // A timeline begins in the middle of a segment, of which it holds all: what comes before is its ancestor's.
  const stretch = view.stretches.filter((one) => one.timeline === timeline && one.to > wanted).sort((a, b) => a.from - b.from)[0];
  const start = stretch === undefined ? wanted : Math.max(wanted, Math.ceil(stretch.from / segmentBytes) * segmentBytes);
  if (start >= to) return 0;
  const end: RecordsEnd = { position: start, why: '' };
  for await (const record of walRecords(storedBytes(view, timeline), start, segmentBytes, end)) {
    signal.throwIfAborted();
    if (record.end >= to || samePlace(record.end, to, segmentBytes)) return to - start;
  }
  throw new Fault(
    'LOG_GAP',
    `The records of timeline ${timeline} end at ${formatLsn(end.position)}, before ${formatLsn(to)}: ${end.why}`,
  );
}

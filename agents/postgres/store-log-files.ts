// Storing the last log of a server that is stopped, from its own files: what a capture did not come to any more. The server was shut down in
// order, so its log ends with the record of its last checkpoint.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { ClockWatch } from '../../src/engine/clock-runs.ts';
import { incarnationOf } from '../../src/engine/cluster-facts.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { mustParseLsn, segmentName } from '../../src/model/lsn.ts';
import type { LogRepository } from './capture-options.ts';
import { LOG_FILES, type LogFilePlace, readSegment } from './log-segments.ts';
import { knownFrom, storedEnd, timeBefore } from './resume-point.ts';
import { WalReader } from './wal-reader.ts';

const PAGE_BYTES = 8192;
const HEADER_BYTES = 24;
const LONG_HEADER_BYTES = 40;
const ALIGNMENT = 8;
const PIECE_BYTES = 1024 * 1024;
const POLICY = { bytes: PIECE_BYTES, ms: 100 };

export type StoreLogFiles = {
  readonly repository: LogRepository;
  readonly asset: string;
  readonly dataDirectory: string;
  readonly systemId: string;
  readonly timeline: number;
  /** Of the last checkpoint's record, as pg_controldata says it. */
  readonly checkpoint: string;
  readonly host: string;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly onTrouble: (error: unknown) => void;
};

/** Answers the end of the log. LOG_NOT_STORED when the files do not hold what is missing. */
export async function storeLogFiles(options: StoreLogFiles): Promise<number> {
  const { repository, asset, dataDirectory, systemId, timeline, signal, host, now, onTrouble } = options;
  const files = join(dataDirectory, LOG_FILES);
  const segmentBytes = segmentBytesIn(files);
  const checkpoint = mustParseLsn(options.checkpoint);
  const end = await endOfRecord(files, { timeline, position: checkpoint, segmentBytes });
  const assetId = repository.keyring.assetId(asset);
  const view = await LogView.open(repository, assetId, undefined, { signal });
  const incarnation = incarnationOf(systemId);
  if (view !== undefined && view.incarnation !== incarnation)
    throw new Fault('PG_OTHER_CLUSTER', `The log of "${asset}" is that of another cluster than the one in ${dataDirectory}`);
  const stored = view === undefined ? undefined : storedEnd(view.epochs);
  if (stored !== undefined && stored.timeline === timeline && stored.position >= end) return end;
  const from = Math.floor((stored?.timeline === timeline ? stored.position : checkpoint) / segmentBytes) * segmentBytes;
  const known = view === undefined ? [] : await knownFrom(view, timeline, from);
  const catalogue = new LogCatalogueKeeper(repository, assetId);
  const log = { repository, catalogue, assetId, incarnation, timeline, from, host: `${host}, from files`, known };
  const writer = new LogWriter({ ...log, now, policy: POLICY, signal, onTrouble, onDurable: () => {} });
  const clock = new ClockWatch(view === undefined ? 0 : await timeBefore(view, { timeline, position: from }));
  const records = new WalReader(from, segmentBytes, versionOf(dataDirectory));
  for (let at = from; at < end; ) {
    await writer.ready();
    const bytes = await readAt(files, { timeline, position: at, segmentBytes }, Math.min(end - at, writer.room, PIECE_BYTES));
    const marks = records.push(bytes);
    const steps = clock.look(marks).map((step) => ({ ...step, incarnation, timeline }));
    if (steps.length > 0) await catalogue.addClockSteps(steps, { signal });
    writer.append(bytes, marks, records.recordFrom);
    at += bytes.length;
  }
  await writer.flush();
  return end;
}

/** Of all files of a cluster. `files`: its directory pg_wal. */
export function segmentBytesIn(files: string): number {
  const name = readdirSync(files).find((one) => /^[0-9A-F]{24}$/.test(one));
  if (name === undefined) throw new Fault('LOG_NOT_STORED', `There is no log in ${files}`);
  return statSync(join(files, name)).size;
}

/** Major. */
export function versionOf(dataDirectory: string): number {
  return Number.parseInt(readFileSync(join(dataDirectory, 'PG_VERSION'), 'utf8'), 10);
}

/** Its bytes go on after the headers of pages. */
async function endOfRecord(files: string, place: LogFilePlace): Promise<number> {
  const length = (await readAt(files, place, 4)).readUInt32LE();
  const { position: start, segmentBytes } = place;
  let at = start;
  for (let left = length; ; ) {
    const room = PAGE_BYTES - (at % PAGE_BYTES);
    if (left <= room) return Math.ceil((at + left) / ALIGNMENT) * ALIGNMENT;
    left -= room;
    at += room;
    at += at % segmentBytes === 0 ? LONG_HEADER_BYTES : HEADER_BYTES;
  }
}

/** Never beyond a segment. */
async function readAt(files: string, place: LogFilePlace, length: number): Promise<Buffer> {
  const { timeline, position, segmentBytes } = place;
  const name = segmentName(timeline, Math.floor(position / segmentBytes), segmentBytes);
  const bytes = await readSegment(files, place, length);
  if (bytes === undefined) throw new Fault('LOG_NOT_STORED', `The log ${name} is neither stored nor in ${files} any more`);
  if (bytes.length < Math.min(length, segmentBytes - (position % segmentBytes)))
    throw new Fault('LOG_NOT_STORED', `The file ${name} in ${files} is cut short`);
  return bytes;
}

// An asset whose log and bases are made up, and stored by the real code: records of one length, each a commit a second after the one before.

import { backUp } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';

export const ASSET = 'pg/made-up';
export const SYSTEM_ID = '81985529216486895';
export const INCARNATION = '0123456789abcdef';
export const SECTION = 16 * 1024 * 1024;
/** Sixteen records fill a section. */
export const RECORD = 1024 * 1024;
const SECOND = 1_000_000;
const BEGAN = 1_700_000_000 * SECOND;

/** The database's clock when the log reached a position, Unix microseconds. */
export function timeAt(position: number): number {
  return BEGAN + Math.floor(position / RECORD) * SECOND;
}

/** Compresses well, and says where it is from. */
export function logBytes(from: number, to: number, timeline = 1): Uint8Array {
  const bytes = new Uint8Array(to - from);
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / RECORD) + 1) * RECORD);
    bytes.fill((Math.floor(at / RECORD) * 7 + timeline) & 0xff, at - from, end - from);
    at = end;
  }
  return bytes;
}

export type LogWriterDetails = {
  readonly from?: number;
  readonly timeline?: number;
  readonly host?: string;
  readonly signal?: AbortSignal;
};

export function newLogWriter(repository: Repository, details: LogWriterDetails = {}): LogWriter {
  const assetId = repository.keyring.assetId(ASSET);
  return new LogWriter({
    repository,
    catalogue: new LogCatalogueKeeper(repository, assetId),
    assetId,
    incarnation: INCARNATION,
    timeline: details.timeline ?? 1,
    from: details.from ?? 0,
    host: details.host ?? 'test',
    now: () => new Date(),
    policy: { bytes: 1, ms: 60_000 },
    known: [],
    signal: details.signal ?? new AbortController().signal,
    onTrouble: () => {},
    onDurable: () => {},
  });
}

/** Appends up to `to`, and waits until it is stored. Both ends are multiples of RECORD. */
export async function writeLog(writer: LogWriter, to: number): Promise<void> {
  while (writer.end < to) {
    await writer.ready();
    const from = writer.end;
    const end = from + Math.min(writer.room, to - from);
    const marks: LogMark[] = [];
    for (let position = from; position < end; position += RECORD)
      marks.push({ kind: 'commit', position, end: position + RECORD, time: timeAt(position), id: position / RECORD + 1, text: '' });
    writer.append(logBytes(from, end, writer.epoch.timeline), marks, end);
  }
  await writer.flush();
}

/** A base that was complete when the log had reached `stop`. */
export function makeBase(
  repository: Repository,
  { start, stop = start + RECORD, timeline = 1 }: { readonly start: number; readonly stop?: number; readonly timeline?: number },
): Promise<Snapshot> {
  const stoppedAt = new Date(timeAt(stop) / 1000);
  const details = {
    asset: ASSET,
    type: 'stream' as const,
    host: 'test',
    user: 'test',
    paths: [],
    tags: [],
    program: 'test',
    now: () => stoppedAt,
    threads: 1,
    level: 1,
    signal: new AbortController().signal,
    progress: new BackupProgress(),
    listener: { onProblem: () => {} },
  };
  return backUp(repository, details, async () => ({
    root: { kind: 'chunks', reference: new Uint8Array(), contentBytes: 0, entries: 0 },
    facts: {
      kind: 'postgres-base',
      systemId: SYSTEM_ID,
      timeline: String(timeline),
      startPosition: formatLsn(start),
      stopPosition: formatLsn(stop),
      stoppedAt: textOfMicros(timeAt(stop)),
      tablespaces: '[]',
      server: JSON.stringify({ segmentBytes: SECTION, version: '15.1' }),
    },
  }));
}

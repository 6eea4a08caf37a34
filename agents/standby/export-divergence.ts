// Before the directory of an old primary is written over: everything that it has, and history does not, is kept. In a directory of its own:
//
//   log/<segment>        the files of its log from the seal on, as they are
//   transactions.jsonl   each transaction in it: number, outcome, time, blocks by relation
//   rows.jsonl           each row that differs between the seal and the end, when it could be found out (divergent-rows.ts)
//   divergence.json      what all that is; written last: without it the export is not whole, and is made anew
//
// The old server must be stopped. Nothing in its directory is changed.

import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { replaceFile } from '../../src/base/replace-file.ts';
import type { LogEnd } from '../../src/dr/writer-record.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import { readControlData } from '../gate/control-data.ts';
import { ownerOf } from '../postgres/restore.ts';
import { serverIn } from '../postgres/running-servers.ts';
import { type DivergentLog, readDivergentLog } from './divergent-log.ts';

const FACTS = 'divergence.json';
export const DIVERGENT_LOG = 'log';
const TRANSACTIONS = 'transactions.jsonl';

export type Divergence = {
  readonly version: 1;
  readonly asset: string;
  readonly systemId: string;
  readonly timeline: number;
  /** Where history left it, and where its own log ends: "0/3000060". */
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly records: number;
  readonly committed: number;
  readonly aborted: number;
  readonly open: number;
  /** RFC 3339, of commits. Null: there is none. */
  readonly firstCommitAt: string | null;
  readonly lastCommitAt: string | null;
  readonly segments: readonly string[];
  readonly exportedAt: string;
  readonly rows: RowsFound | RowsNotFound;
};

export type RowsFound = {
  readonly kind: 'listed';
  readonly file: string;
  readonly tables: readonly TableDifference[];
};
/** The log is kept, and people must look by themselves: why. */
export type RowsNotFound = { readonly kind: 'not listed'; readonly why: string };

export type TableDifference = {
  readonly database: string;
  readonly table: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Why its rows are not listed one by one. */
  readonly notListed: string | null;
};

export type ExportDivergence = {
  readonly asset: string;
  readonly dataDirectory: string;
  readonly programs: string;
  readonly segmentBytes: number;
  /** Major, of the server. */
  readonly version: number;
  readonly sealed: LogEnd;
  /** What is exported lies in a directory below it that is named for the seal. */
  readonly directory: string;
  /** Absent: only transactions are listed. Throws: rows are not listed, and why is told. */
  readonly listRows?: (log: DivergentLog, directory: string) => Promise<RowsFound>;
  readonly now: () => Date;
};

/** Answers the directory, and what is in it; undefined when the old primary has nothing more than what was sealed. Again: what is whole stays. */
export async function exportDivergence(
  options: ExportDivergence,
): Promise<{ readonly directory: string; readonly divergence: Divergence } | undefined> {
  const { asset, dataDirectory, programs, sealed, segmentBytes, version, now, listRows } = options;
  const running = serverIn(dataDirectory);
  if (running !== undefined)
    throw new Fault('STANDBY_REFUSED', `A server runs in "${dataDirectory}" (process ${running.pid}): its log is not at its end`);
  const place = mustParseLsn(sealed.lsn);
  const directory = join(options.directory, `${asset.replaceAll('/', '_')}-${sealed.timeline}-${sealed.lsn.replace('/', '-')}`);
  const known = readDivergence(directory);
  if (known !== undefined) return { directory, divergence: known };
  const control = readControlData(programs, dataDirectory, ownerOf(dataDirectory));
  if (control.timeline !== sealed.timeline)
    throw new Fault(
      'STANDBY_REFUSED',
      `"${dataDirectory}" is on timeline ${control.timeline}, and timeline ${sealed.timeline} was sealed: this is not the primary that was left`,
    );
  rmSync(directory, { recursive: true, force: true });
  makeDirectory(join(directory, DIVERGENT_LOG), { mode: 0o700 });
  const list = openSync(join(directory, TRANSACTIONS), 'wx', 0o600);
  let log: DivergentLog;
  try {
    log = await readDivergentLog(
      { dataDirectory, timeline: sealed.timeline, sealed: place, segmentBytes, version },
      (transaction) => {
        const time = transaction.time === 0 ? null : textOfMicros(transaction.time);
        writeFileSync(list, `${JSON.stringify({ ...transaction, time })}\n`);
      },
    );
    fsyncSync(list);
  } finally {
    closeSync(list);
  }
  if (log.records === 0) {
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
  for (const name of log.segments) keep(join(dataDirectory, 'pg_wal', name), join(directory, DIVERGENT_LOG, name));
  const divergence = { ...factsOf(log, options, control.systemId), exportedAt: now().toISOString() };
  const rows = await rowsOf(listRows, log, directory);
  replaceFile(join(directory, FACTS), `${JSON.stringify({ ...divergence, rows }, null, 2)}\n`, 0o600);
  return { directory, divergence: { ...divergence, rows } };
}

export function readDivergence(directory: string): Divergence | undefined {
  const path = join(directory, FACTS);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Divergence) : undefined;
}

async function rowsOf(listRows: ExportDivergence['listRows'], log: DivergentLog, directory: string): Promise<Divergence['rows']> {
  if (listRows === undefined) return { kind: 'not listed', why: 'it was not asked for' };
  try {
    return await listRows(log, directory);
  } catch (error) {
    return { kind: 'not listed', why: error instanceof Error ? error.message : String(error) };
  }
}

function factsOf(log: DivergentLog, { asset }: ExportDivergence, systemId: string): Omit<Divergence, 'exportedAt' | 'rows'> {
  const { timeline, from, to, records, committed, aborted, open, firstCommit, lastCommit, segments } = log;
  const at = (micros: number): string | null => (micros === 0 ? null : textOfMicros(micros));
  return {
    version: 1,
    asset,
    systemId,
    timeline,
    from: formatLsn(from),
    to: formatLsn(to),
    bytes: to - from,
    records,
    committed,
    aborted,
    open,
    firstCommitAt: at(firstCommit),
    lastCommitAt: at(lastCommit),
    segments,
  };
}

function keep(from: string, to: string): void {
  copyFileSync(from, to);
  sync(to);
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

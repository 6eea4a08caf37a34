// What an old primary has written behind the place where its log was sealed: as it lies in its own directory, record by record, gathered by
// transaction. Nothing is started, and nothing there is changed.

import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { formatLsn, segmentName } from '../../src/model/lsn.ts';
import { partsOf, type TouchedBlock, type TransactionEnd, transactionEnd } from '../postgres/wal-blocks.ts';
import {
  isShutdownCheckpoint,
  type LogBytes,
  type RecordsEnd,
  samePlace,
  type WalRecord,
  walRecords,
} from '../postgres/wal-records.ts';

/** Blocks of a relation that are remembered one by one; of more all of it counts as touched. */
const BLOCKS_MAX = 200_000;

export type DivergentTransaction = {
  readonly xid: number;
  readonly outcome: 'committed' | 'aborted' | 'open';
  /** Unix microseconds, of its end; 0: it has none. */
  readonly time: number;
  readonly records: number;
  /** Blocks by relation, "tablespace/database/file". */
  readonly touched: Readonly<Record<string, number>>;
};

export type TouchedRelation = { readonly database: number; readonly file: number; readonly blocks: ReadonlySet<number> | 'all' };

export type DivergentLog = {
  readonly timeline: number;
  /** Where the sealed log ends, and where that of this directory does. */
  readonly from: number;
  readonly to: number;
  /** Why nothing more could be read. */
  readonly end: string;
  readonly records: number;
  readonly committed: number;
  readonly aborted: number;
  readonly open: number;
  /** Of commits, Unix microseconds; 0: none. */
  readonly firstCommit: number;
  readonly lastCommit: number;
  /** Names of the segment files that hold it. */
  readonly segments: readonly string[];
  readonly relations: ReadonlyMap<string, TouchedRelation>;
};

export type DivergentSource = {
  readonly dataDirectory: string;
  readonly timeline: number;
  readonly sealed: number;
  readonly segmentBytes: number;
  /** Major, of the server. */
  readonly version: number;
};

type OpenTransaction = { readonly xid: number; records: number; readonly touched: Map<string, number> };

/** `onTransaction`: in the order of their ends, then those that have none. LOG_GAP when the log there cannot be read up to the seal: then nobody
 *  knows what lies behind it. */
export async function readDivergentLog(
  source: DivergentSource,
  onTransaction: (transaction: DivergentTransaction) => void,
): Promise<DivergentLog> {
  const { timeline, segmentBytes, version } = source;
  const segment = Math.floor(source.sealed / segmentBytes) * segmentBytes;
  const end: RecordsEnd = { position: segment, why: '' };
  const gathered = new Gathered(onTransaction);
  let from = source.sealed;
  for await (const record of walRecords(filesOf(source), segment, segmentBytes, end)) {
    if (record.position < source.sealed) continue;
    // What a demotion names is the shutdown checkpoint, which is part of what was sealed.
    if (record.position === source.sealed && isShutdownCheckpoint(record)) from = record.end;
    else gathered.take(record, version);
  }
  if (end.position < source.sealed && !samePlace(end.position, source.sealed, segmentBytes))
    throw new Fault(
      'LOG_GAP',
      `The log in "${source.dataDirectory}" can be read up to ${formatLsn(end.position)} only (${end.why}), and was sealed at ${formatLsn(source.sealed)}: what it holds behind that is not known`,
      { hint: 'Keep a copy of the directory for people to look at, then make the standby with "holdfast standby make --delta".' },
    );
  const to = Math.max(from, end.position);
  gathered.end();
  const first = Math.floor(from / segmentBytes);
  const count = gathered.records === 0 ? 0 : Math.ceil(to / segmentBytes) - first;
  const segments = Array.from({ length: count }, (_, n) => segmentName(timeline, first + n, segmentBytes));
  const { records, committed, aborted, open, firstCommit, lastCommit, relations } = gathered;
  return { timeline, from, to, end: end.why, records, committed, aborted, open, firstCommit, lastCommit, segments, relations };
}

class Gathered {
  readonly #onTransaction: (transaction: DivergentTransaction) => void;
  readonly #open = new Map<number, OpenTransaction>();
  /** Subtransactions whose parent is known. */
  readonly #parents = new Map<number, number>();
  readonly relations = new Map<string, { database: number; file: number; blocks: Set<number> | 'all' }>();
  records = 0;
  committed = 0;
  aborted = 0;
  open = 0;
  firstCommit = 0;
  lastCommit = 0;

  constructor(onTransaction: (transaction: DivergentTransaction) => void) {
    this.#onTransaction = onTransaction;
  }

  take(record: WalRecord, version: number): void {
    this.records++;
    const { blocks, topXid, data } = partsOf(record, version);
    if (topXid !== 0) this.#parents.set(record.xid, topXid);
    for (const block of blocks) this.#touch(block);
    const ended = transactionEnd(record, data);
    if (record.xid === 0 && ended === undefined) return;
    const transaction = this.#of(this.#parents.get(record.xid) ?? record.xid);
    transaction.records++;
    for (const { relation, fork } of blocks)
      if (fork === 0) transaction.touched.set(relation, (transaction.touched.get(relation) ?? 0) + 1);
    if (ended !== undefined) this.#ended(transaction, ended);
  }

  end(): void {
    for (const transaction of this.#open.values()) this.#tell(transaction, 'open', 0);
    this.open = this.#open.size;
  }

  #of(xid: number): OpenTransaction {
    let transaction = this.#open.get(xid);
    if (transaction === undefined) {
      transaction = { xid, records: 0, touched: new Map() };
      this.#open.set(xid, transaction);
    }
    return transaction;
  }

  #touch({ relation, database, file, fork, block }: TouchedBlock): void {
    if (fork !== 0) return;
    let known = this.relations.get(relation);
    if (known === undefined) this.relations.set(relation, (known = { database, file, blocks: new Set() }));
    if (known.blocks === 'all') return;
    known.blocks.add(block);
    if (known.blocks.size > BLOCKS_MAX) known.blocks = 'all';
  }

  #ended(transaction: OpenTransaction, { isCommit, time, children }: TransactionEnd): void {
    for (const xid of children) {
      const child = this.#open.get(xid);
      if (child === undefined || child === transaction) continue;
      transaction.records += child.records;
      for (const [relation, count] of child.touched)
        transaction.touched.set(relation, (transaction.touched.get(relation) ?? 0) + count);
      this.#open.delete(xid);
    }
    this.#open.delete(transaction.xid);
    if (isCommit) {
      this.committed++;
      this.firstCommit ||= time;
      this.lastCommit = Math.max(this.lastCommit, time);
    } else this.aborted++;
    this.#tell(transaction, isCommit ? 'committed' : 'aborted', time);
  }

  #tell({ xid, records, touched }: OpenTransaction, outcome: DivergentTransaction['outcome'], time: number): void {
    this.#onTransaction({ xid, outcome, time, records, touched: Object.fromEntries(touched) });
  }
}

/** The segments that lie in the directory. */
function filesOf({ dataDirectory, timeline, segmentBytes }: DivergentSource): LogBytes {
  return async (position, length) => {
    const segment = Math.floor(position / segmentBytes);
    const path = join(dataDirectory, 'pg_wal', segmentName(timeline, segment, segmentBytes));
    if (!existsSync(path)) return new Uint8Array(0);
    const bytes = Buffer.alloc(length);
    const file = openSync(path, 'r');
    try {
      const read = readSync(file, bytes, 0, length, position - segment * segmentBytes);
      return bytes.subarray(0, read);
    } finally {
      closeSync(file);
    }
  };
}

// PostgreSQL's log as records, as far as recovery needs it: where each record begins and ends, and of those of transactions and of the log
// itself what they say (commit, abort, restore point, changed parameters, new tablespaces). Made for 13 to 18; pages, records and these few record types
// are the same in all of them.
//
// A record may span pages and segments; pages begin with headers. Only the records that are wanted are put together; the rest is skipped by
// its length. Bytes come in pieces of any size.

import { Fault } from '../../src/base/faults.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn, unixMicros } from '../../src/model/lsn.ts';
import { crc32c } from './crc32c.ts';

const PAGE_BYTES = 8192;
const SHORT_HEADER = 24;
const LONG_HEADER = 40;
const RECORD_HEADER = 24;
const IS_CONTINUATION = 0x0001;
const OVERWRITES_CONTINUATION = 0x0008;
const RM_XLOG = 0;
const RM_XACT = 1;
const RM_TABLESPACE = 5;
const TABLESPACE_CREATE = 0x00;
const XLOG_SWITCH = 0x40;
const XLOG_PARAMETER_CHANGE = 0x60;
const XLOG_RESTORE_POINT = 0x70;
const XACT_COMMIT = 0x00;
const XACT_ABORT = 0x20;
const XACT_COMMIT_PREPARED = 0x30;
const XACT_ABORT_PREPARED = 0x40;
const XACT_HAS_INFO = 0x80;
/** Commit records list dropped files and invalidations. */
const COLLECTED_BYTES_MAX = 64 * 1024 * 1024;

/** In the order of the record. */
const CHANGED_PARAMETERS = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

/** In the record, after those. */
const WAL_LEVEL_AT = CHANGED_PARAMETERS.length * 4;
const WAL_LEVEL_MINIMAL = 0;

/** What a note says. */
export type LogNote =
  /** The server's parameters were changed: a hot standby needs at least these. `isMinimal`: with wal_level=minimal, which no server replays. */
  | { readonly floor: Readonly<Record<string, number>>; readonly isMinimal?: true }
  /** A tablespace was created: a server that replays this makes a link to its location, wherever it runs. */
  | { readonly tablespace: { readonly oid: string; readonly location: string } };

type State = 'page' | 'skip-continuation' | 'header' | 'body' | 'padding' | 'skip-segment';

export class WalReader {
  readonly #segmentBytes: number;
  readonly #version: number;
  /** Of the next byte. */
  #position: number;
  #state: State = 'page';
  /** State to go back to after a page's header; undefined for the first page. */
  #after: State | undefined;
  readonly #page = Buffer.alloc(LONG_HEADER);
  #pageFilled = 0;
  readonly #header = Buffer.alloc(RECORD_HEADER);
  #headerFilled = 0;
  #recordStart: number;
  #left = 0;
  #collected: Buffer[] | undefined;
  #marks: LogMark[] = [];

  /** `from` is the start of a segment. `version`: major, of the server. */
  constructor(from: number, segmentBytes: number, version: number) {
    if (from % segmentBytes !== 0) throw new Error('Invariant broken: a log is read from the start of a segment');
    this.#position = from;
    this.#recordStart = from;
    this.#segmentBytes = segmentBytes;
    this.#version = version;
  }

  get position(): number {
    return this.#position;
  }

  /** Where the first record begins that is not complete; `position` when all are. */
  get recordFrom(): number {
    return this.#isBetween() ? this.#position : this.#recordStart;
  }

  /** Answers what is marked by the records that these bytes completed. PG_PROTOCOL when they are no log. */
  push(bytes: Uint8Array): readonly LogMark[] {
    this.#marks = [];
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < buffer.length; ) {
      const n = this.#step(buffer, at);
      at += n;
      this.#position += n;
      if (this.#position % PAGE_BYTES === 0 && n > 0 && this.#state !== 'page') {
        this.#after = this.#state;
        this.#state = 'page';
        this.#pageFilled = 0;
      }
    }
    return this.#marks;
  }

  #isBetween(): boolean {
    const state = this.#state === 'page' ? (this.#after ?? 'page') : this.#state;
    return (state === 'header' && this.#headerFilled === 0) || state === 'skip-segment';
  }

  /** Takes some bytes of the page at hand; answers how many. */
  #step(buffer: Buffer, at: number): number {
    const available = Math.min(buffer.length - at, PAGE_BYTES - (this.#position % PAGE_BYTES));
    if (this.#state === 'page') return this.#takePage(buffer, at, available);
    if (this.#state === 'skip-segment') return this.#skipSegment(available);
    if (this.#state === 'header') return this.#takeHeader(buffer, at, available);
    const n = Math.min(available, this.#left);
    if (this.#state === 'body') this.#collected?.push(Buffer.from(buffer.subarray(at, at + n)));
    this.#left -= n;
    if (this.#left === 0) this.#ended(this.#position + n);
    return n;
  }

  #takePage(buffer: Buffer, at: number, available: number): number {
    const inPage = this.#position % PAGE_BYTES;
    const length = (this.#position - inPage) % this.#segmentBytes === 0 ? LONG_HEADER : SHORT_HEADER;
    const n = Math.min(available, length - this.#pageFilled);
    buffer.copy(this.#page, this.#pageFilled, at, at + n);
    this.#pageFilled += n;
    if (this.#pageFilled === length) this.#pageBegan(this.#position - inPage);
    return n;
  }

  #pageBegan(pageStart: number): void {
    const after = this.#after;
    if (after === 'skip-segment' && pageStart % this.#segmentBytes !== 0) {
      this.#state = 'skip-segment';
      return;
    }
    const info = this.#page.readUInt16LE(2);
    const address = Number(this.#page.readBigUInt64LE(8));
    const remaining = this.#page.readUInt32LE(16);
    if (address !== pageStart) throw damaged(pageStart, `a page that says it is at ${formatLsn(address)}`);
    const isContinuation = (info & IS_CONTINUATION) !== 0;
    if (after === undefined) {
      this.#state = isContinuation ? 'skip-continuation' : 'header';
      this.#left = remaining;
      if (!isContinuation) this.#headerFilled = 0;
      return;
    }
    if (after === 'skip-segment') {
      this.#state = 'header';
      this.#headerFilled = 0;
      return;
    }
    const isInRecord = after === 'body' || after === 'skip-continuation' || (after === 'header' && this.#headerFilled > 0);
    if (isInRecord && !isContinuation) {
      // The server died in the middle of that record and began anew after it.
      if ((info & OVERWRITES_CONTINUATION) === 0) throw damaged(pageStart, 'a page that does not go on with the record before it');
      this.#collected = undefined;
      this.#headerFilled = 0;
      this.#state = 'header';
      return;
    }
    if (!isInRecord && isContinuation) throw damaged(pageStart, 'a page that goes on with a record that was complete');
    this.#state = after;
  }

  #takeHeader(buffer: Buffer, at: number, available: number): number {
    if (this.#headerFilled === 0) this.#recordStart = this.#position;
    const n = Math.min(available, RECORD_HEADER - this.#headerFilled);
    buffer.copy(this.#header, this.#headerFilled, at, at + n);
    this.#headerFilled += n;
    if (this.#headerFilled >= 4 && this.#header.readUInt32LE(0) < RECORD_HEADER)
      throw damaged(this.#recordStart, 'a record without a length');
    if (this.#headerFilled < RECORD_HEADER) return n;
    const length = this.#header.readUInt32LE(0);
    const isWanted = isWantedRecord(this.#header[17]!, this.#header[16]!);
    this.#collected = isWanted && length <= COLLECTED_BYTES_MAX ? [] : undefined;
    this.#left = length - RECORD_HEADER;
    this.#state = 'body';
    if (this.#left === 0) this.#ended(this.#position + n);
    return n;
  }

  /** A record's bytes end before `end`; the next record begins at a multiple of 8. */
  #ended(end: number): void {
    if (this.#state === 'body' || this.#state === 'skip-continuation') {
      const padding = (8 - (end % 8)) % 8;
      if (this.#state === 'skip-continuation') this.#collected = undefined;
      this.#isSkipped = this.#state === 'skip-continuation';
      this.#state = 'padding';
      this.#left = padding;
      if (padding > 0) return;
    }
    this.#recordEnded(end);
  }

  #isSkipped = false;

  #recordEnded(end: number): void {
    this.#state = 'header';
    this.#headerFilled = 0;
    if (this.#isSkipped) {
      this.#isSkipped = false;
      return;
    }
    const [rmgr, info] = [this.#header[17]!, this.#header[16]!];
    if (this.#collected !== undefined) {
      const mark = this.#markOf(rmgr, info, Buffer.concat(this.#collected), end);
      if (mark !== undefined) this.#marks.push(mark);
      this.#collected = undefined;
    }
    // The rest of the segment is zeros.
    if (rmgr === RM_XLOG && (info & 0xf0) === XLOG_SWITCH && end % this.#segmentBytes !== 0) this.#state = 'skip-segment';
  }

  #skipSegment(available: number): number {
    return available;
  }

  #markOf(rmgr: number, info: number, body: Buffer, end: number): LogMark | undefined {
    const position = this.#recordStart;
    if (crc32c(this.#header.subarray(0, 20), crc32c(body)) !== this.#header.readUInt32LE(20))
      throw damaged(position, 'a record with a wrong checksum');
    const data = mainData(body);
    if (data === undefined) throw damaged(position, 'a record without content');
    if (rmgr === RM_TABLESPACE) return { kind: 'note', position, end, time: 0, id: 0, text: tablespaceNote(data) };
    if (rmgr === RM_XLOG) {
      if ((info & 0xf0) === XLOG_PARAMETER_CHANGE)
        return { kind: 'note', position, end, time: 0, id: 0, text: parametersNote(data) };
      const name = data.subarray(8, 72);
      return {
        kind: 'point',
        position,
        end,
        time: timeOf(data),
        id: 0,
        text: name.toString('utf8', 0, Math.max(0, name.indexOf(0))),
      };
    }
    const operation = info & 0x70;
    const kind = operation === XACT_COMMIT || operation === XACT_COMMIT_PREPARED ? 'commit' : 'abort';
    const isPrepared = operation === XACT_COMMIT_PREPARED || operation === XACT_ABORT_PREPARED;
    const id = isPrepared ? preparedId(data, info, this.#version) : this.#header.readUInt32LE(4);
    return { kind, position, end, time: timeOf(data), id, text: '' };
  }
}

function isWantedRecord(rmgr: number, info: number): boolean {
  if (rmgr === RM_XACT) return [XACT_COMMIT, XACT_ABORT, XACT_COMMIT_PREPARED, XACT_ABORT_PREPARED].includes(info & 0x70);
  if (rmgr === RM_TABLESPACE) return (info & 0xf0) === TABLESPACE_CREATE;
  return rmgr === RM_XLOG && [XLOG_PARAMETER_CHANGE, XLOG_RESTORE_POINT].includes(info & 0xf0);
}

/** What follows the headers of a record that has no blocks. */
function mainData(body: Buffer): Buffer | undefined {
  for (let at = 0; at < body.length; ) {
    const kind = body[at]!;
    if (kind === 255) return body.subarray(at + 2, at + 2 + body[at + 1]!);
    if (kind === 254 && at + 5 <= body.length) return body.subarray(at + 5, at + 5 + body.readUInt32LE(at + 1));
    if (kind === 253) at += 3;
    else if (kind === 252) at += 5;
    else return undefined;
  }
  return undefined;
}

function timeOf(data: Buffer): number {
  return unixMicros(data.readBigInt64LE(0));
}

/** The transaction that a COMMIT PREPARED or ROLLBACK PREPARED ends; 0 when its record is of a form that is not known. */
function preparedId(data: Buffer, info: number, version: number): number {
  if ((info & XACT_HAS_INFO) === 0) return 0;
  const flags = data.readUInt32LE(8);
  let at = 12;
  const skipList = (flag: number, itemBytes: number): void => {
    if ((flags & flag) !== 0 && at + 4 <= data.length) at += 4 + data.readInt32LE(at) * itemBytes;
  };
  if ((flags & 1) !== 0) at += 8;
  skipList(2, 4);
  skipList(4, 12);
  if (version >= 15) skipList(256, version >= 18 ? 16 : 12);
  skipList(8, 16);
  return (flags & 16) !== 0 && at + 4 <= data.length ? data.readUInt32LE(at) : 0;
}

function parametersNote(data: Buffer): string {
  const floor = Object.fromEntries(CHANGED_PARAMETERS.map((name, i) => [name, data.readInt32LE(i * 4)]));
  const isMinimal = data.readInt32LE(WAL_LEVEL_AT) === WAL_LEVEL_MINIMAL;
  return JSON.stringify({ floor, ...(isMinimal ? { isMinimal } : {}) } satisfies LogNote);
}

function tablespaceNote(data: Buffer): string {
  const end = data.indexOf(0, 4);
  const location = data.toString('utf8', 4, end === -1 ? data.length : end);
  return JSON.stringify({ tablespace: { oid: String(data.readUInt32LE(0)), location } } satisfies LogNote);
}

function damaged(position: number, why: string): Fault {
  return new Fault('PG_PROTOCOL', `The log at ${formatLsn(position)} cannot be read: there is ${why}`);
}

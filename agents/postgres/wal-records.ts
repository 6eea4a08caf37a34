// PostgreSQL's log record by record, each proven by its checksum and by the position of the one before it: for whoever must know what exactly
// is written there (wal-reader.ts only looks for marks). Made for 13 to 18: pages and headers of records are the same in all of them.

import { crc32c } from './crc32c.ts';

const PAGE_BYTES = 8192;
const SHORT_HEADER = 24;
const LONG_HEADER = 40;
const RECORD_HEADER = 24;
const IS_CONTINUATION = 0x0001;
const OVERWRITES_CONTINUATION = 0x0008;
const RECORD_BYTES_MAX = 1024 * 1024 * 1024;
const CRC_AT = 20;
export const RM_XLOG = 0;
const XLOG_SWITCH = 0x40;
const CHECKPOINT_SHUTDOWN = 0x00;

export type WalRecord = {
  /** Where it begins, and where the next one may. */
  readonly position: number;
  readonly end: number;
  /** 0: of no transaction. */
  readonly xid: number;
  readonly manager: number;
  readonly info: number;
  /** Without the header. */
  readonly body: Buffer;
};

/** Bytes from a position of a log on; fewer than were asked for: that is all there is. */
export type LogBytes = (position: number, length: number) => Promise<Uint8Array>;

/** Why the records end: no more bytes, or bytes that are no record. */
export type RecordsEnd = { position: number; why: string };

/** From the first record that begins at or after `from`, the start of a segment. `end` is told when they are over. */
export async function* walRecords(
  bytes: LogBytes,
  from: number,
  segmentBytes: number,
  end: RecordsEnd = { position: from, why: '' },
): AsyncGenerator<WalRecord> {
  const cursor = new Cursor(bytes, segmentBytes, from);
  let previous: number | undefined;
  end.position = from;
  try {
    await cursor.begin();
    for (;;) {
      end.position = cursor.position;
      const record = await recordAt(cursor, previous);
      if (record === 'abandoned') continue;
      previous = record.position;
      yield record;
      end.position = cursor.position;
    }
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    end.why = error.message;
  }
}

/** `previous`: where the record before it begins. 'abandoned': the server died in the middle of it, and its next life began anew after it; that
 *  is where the cursor stands then. */
async function recordAt(cursor: Cursor, previous: number | undefined): Promise<WalRecord | 'abandoned'> {
  const position = await cursor.recordStart();
  const header = await cursor.take(RECORD_HEADER, position);
  if (header === 'abandoned') return header;
  const length = header.readUInt32LE(0);
  if (length < RECORD_HEADER || length > RECORD_BYTES_MAX) throw new Ended('no record follows');
  const before = Number(header.readBigUInt64LE(8));
  if (previous !== undefined && before !== previous) throw new Ended('a record that follows another one than the last');
  const body = await cursor.take(length - RECORD_HEADER, position);
  if (body === 'abandoned') return body;
  if (crc32c(header.subarray(0, CRC_AT), crc32c(body)) !== header.readUInt32LE(CRC_AT))
    throw new Ended('a record with a wrong checksum');
  const [info, manager] = [header[16]!, header[17]!];
  if (manager === RM_XLOG && (info & 0xf0) === XLOG_SWITCH) cursor.skipSegment();
  else cursor.align();
  return { position, end: cursor.position, xid: header.readUInt32LE(4), manager, info, body };
}

export function isShutdownCheckpoint({ manager, info }: WalRecord): boolean {
  return manager === RM_XLOG && (info & 0xf0) === CHECKPOINT_SHUTDOWN;
}

/** Two positions between which no record can begin: behind a page's header, or before it. */
export function samePlace(a: number, b: number, segmentBytes: number): boolean {
  return pageOf(a, segmentBytes) === pageOf(b, segmentBytes);
}

function pageOf(position: number, segmentBytes: number): number {
  const inPage = position % PAGE_BYTES;
  return inPage <= headerBytes(position - inPage, segmentBytes) ? position - inPage : position;
}

function headerBytes(page: number, segmentBytes: number): number {
  return page % segmentBytes === 0 ? LONG_HEADER : SHORT_HEADER;
}

class Ended extends Error {}

class Cursor {
  readonly #bytes: LogBytes;
  readonly #segmentBytes: number;
  #page: Buffer = Buffer.alloc(0);
  #pageAt = -1;
  position: number;

  constructor(bytes: LogBytes, segmentBytes: number, from: number) {
    this.#bytes = bytes;
    this.#segmentBytes = segmentBytes;
    this.position = from;
  }

  /** Over the rest of a record that began before. */
  async begin(): Promise<void> {
    const page = await this.#load(this.position, SHORT_HEADER);
    let left = (page.readUInt16LE(2) & IS_CONTINUATION) === 0 ? 0 : page.readUInt32LE(16);
    this.position += headerBytes(this.position, this.#segmentBytes);
    while (left > 0) {
      const room = PAGE_BYTES - (this.position % PAGE_BYTES);
      const n = Math.min(left, room);
      this.position += n;
      left -= n;
      if (left === 0) break;
      if (await this.#isAbandonedHere()) return;
      this.position += headerBytes(this.position, this.#segmentBytes);
    }
    this.align();
  }

  async recordStart(): Promise<number> {
    if (this.position % PAGE_BYTES === 0) await this.#enter(false);
    return this.position;
  }

  align(): void {
    this.position = Math.ceil(this.position / 8) * 8;
  }

  skipSegment(): void {
    this.position = Math.ceil(this.position / this.#segmentBytes) * this.#segmentBytes;
  }

  /** Bytes of the record that began at `start`, over the headers of pages. */
  async take(length: number, start: number): Promise<Buffer | 'abandoned'> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      if (this.position % PAGE_BYTES === 0 && this.position !== start) {
        if (await this.#isAbandonedHere()) return 'abandoned';
        await this.#enter(true);
      }
      const inPage = this.position % PAGE_BYTES;
      const n = Math.min(left, PAGE_BYTES - inPage);
      const page = await this.#load(this.position - inPage, inPage + n);
      parts.push(page.subarray(inPage, inPage + n));
      this.position += n;
      left -= n;
    }
    return Buffer.concat(parts);
  }

  /** At the start of a page: whether the record before it was never finished, and another one begins here in its place. */
  async #isAbandonedHere(): Promise<boolean> {
    return ((await this.#load(this.position, SHORT_HEADER)).readUInt16LE(2) & OVERWRITES_CONTINUATION) !== 0;
  }

  async #enter(isContinuation: boolean): Promise<void> {
    const page = await this.#load(this.position, SHORT_HEADER);
    if (Number(page.readBigUInt64LE(8)) !== this.position) throw new Ended('a page of another place');
    if (((page.readUInt16LE(2) & IS_CONTINUATION) !== 0) !== isContinuation) throw new Ended('a page that does not go on');
    this.position += headerBytes(this.position, this.#segmentBytes);
  }

  async #load(at: number, needed: number): Promise<Buffer> {
    if (this.#pageAt !== at || this.#page.length < needed) {
      const bytes = await this.#bytes(at, PAGE_BYTES);
      this.#page = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#pageAt = at;
    }
    if (this.#page.length < needed) throw new Ended('there is no more');
    return this.#page;
  }
}

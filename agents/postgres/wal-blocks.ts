// What a record of PostgreSQL's log says that it touches, and whose it is. Versions 13 to 18.

import { unixMicros } from '../../src/model/lsn.ts';
import type { WalRecord } from './wal-records.ts';

const SHORT_DATA = 255;
const LONG_DATA = 254;
const ORIGIN = 253;
const TOP_XID = 252;
const BLOCK_ID_MAX = 32;
const HAS_IMAGE = 0x10;
const HAS_DATA = 0x20;
const SAME_RELATION = 0x80;
const HAS_HOLE = 0x01;
const RM_XACT = 1;
const HAS_INFO = 0x80;

export type TouchedBlock = {
  /** "tablespace/database/file", by their numbers. */
  readonly relation: string;
  readonly database: number;
  readonly file: number;
  /** 0: the data itself. */
  readonly fork: number;
  readonly block: number;
};

export type RecordParts = { readonly blocks: readonly TouchedBlock[]; readonly topXid: number; readonly data: Buffer };

/** `version`: major, of the server. */
export function partsOf({ body }: WalRecord, version: number): RecordParts {
  const blocks: TouchedBlock[] = [];
  let topXid = 0;
  let relation: { readonly name: string; readonly database: number; readonly file: number } | undefined;
  let dataBytes = 0;
  let mainBytes = 0;
  let at = 0;
  while (body.length - at > dataBytes) {
    const id = body[at++]!;
    if (id === SHORT_DATA) {
      mainBytes = body[at]!;
      dataBytes += mainBytes;
      break;
    }
    if (id === LONG_DATA) {
      mainBytes = body.readUInt32LE(at);
      break;
    }
    if (id === ORIGIN) at += 2;
    else if (id === TOP_XID) {
      topXid = body.readUInt32LE(at);
      at += 4;
    } else if (id > BLOCK_ID_MAX) break;
    else {
      const flags = body[at]!;
      if ((flags & HAS_DATA) !== 0) dataBytes += body.readUInt16LE(at + 1);
      at += 3;
      if ((flags & HAS_IMAGE) !== 0) {
        dataBytes += body.readUInt16LE(at);
        const info = body[at + 4]!;
        const isCompressed = (info & (version >= 15 ? 0x1c : 0x02)) !== 0;
        at += isCompressed && (info & HAS_HOLE) !== 0 ? 7 : 5;
      }
      if ((flags & SAME_RELATION) === 0) {
        const [space, database, file] = [0, 4, 8].map((offset) => body.readUInt32LE(at + offset)) as [number, number, number];
        relation = { name: `${space}/${database}/${file}`, database, file };
        at += 12;
      }
      const block = body.readUInt32LE(at);
      at += 4;
      if (relation === undefined) break;
      blocks.push({ relation: relation.name, database: relation.database, file: relation.file, fork: flags & 0x0f, block });
    }
  }
  return { blocks, topXid, data: body.subarray(body.length - mainBytes) };
}

export type TransactionEnd = {
  readonly isCommit: boolean;
  /** The server's clock, Unix microseconds. */
  readonly time: number;
  /** Of its subtransactions. */
  readonly children: readonly number[];
};

/** Undefined when the record ends none. Of COMMIT PREPARED the transaction is the record's own only in the parts that are not read here. */
export function transactionEnd({ manager, info }: WalRecord, data: Buffer): TransactionEnd | undefined {
  const kind = info & 0x70;
  if (manager !== RM_XACT || ![0x00, 0x20, 0x30, 0x40].includes(kind) || data.length < 8) return undefined;
  const children: number[] = [];
  if ((info & HAS_INFO) !== 0 && data.length >= 12) {
    const flags = data.readUInt32LE(8);
    let at = 12 + ((flags & 1) !== 0 ? 8 : 0);
    const count = (flags & 2) !== 0 ? data.readInt32LE(at) : 0;
    at += 4;
    for (let n = 0; n < count && at + 4 <= data.length; n++, at += 4) children.push(data.readUInt32LE(at));
  }
  return { isCommit: kind === 0x00 || kind === 0x30, time: unixMicros(data.readBigInt64LE(0)), children };
}

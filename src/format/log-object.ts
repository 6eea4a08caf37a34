// Objects of a log: a stretch of its bytes, and what is marked in it. See README.md, "Logs". This is the plain inside and the frame around;
// sealing is the engine's.

import { invariant } from '../base/invariant.ts';
import type { LogMark } from '../model/log-mark.ts';
import { ByteReader, ByteWriter } from './bytes.ts';

export const LOG_HEADER_BYTES = 16;
const MAGIC = Buffer.from('HFLG\x01', 'latin1');
const INDEX_VERSION = 1;
const DIGEST_BYTES = 32;
export const LOG_INDEX_BYTES_MAX = 64 * 1024 * 1024;
/** Sections of the log are sealed at positions that are multiples of this. */
export const LOG_SECTION_BYTES = 16 * 1024 * 1024;
/** Bytes of the log are compressed in pieces of this length. */
export const LOG_PIECE_BYTES = 4 * 1024 * 1024;
const KINDS = ['commit', 'abort', 'point', 'note'] as const;

export type LogObjectKind = 'section' | 'range';

export type LogIndex = {
  readonly from: number;
  readonly to: number;
  /** B3(idKey, bytes): equal stretches of two captures are told by it. */
  readonly digest: Uint8Array;
  /** Where the first record begins that was not complete at `to`. */
  readonly recordFrom: number;
  /** The latest time of all marks of the epoch before this object; 0 when there was none. */
  readonly timeBefore: number;
  readonly marks: readonly LogMark[];
};

export function encodeLogHeader(kind: LogObjectKind, indexBytes: number, dataBytes: number): Uint8Array {
  const header = Buffer.alloc(LOG_HEADER_BYTES);
  MAGIC.copy(header);
  header[5] = kind === 'section' ? 0 : 1;
  header.writeUInt32LE(indexBytes, 8);
  header.writeUInt32LE(dataBytes, 12);
  return header;
}

/** FORMAT_DAMAGED when it is none. */
export function decodeLogHeader(
  bytes: Uint8Array,
  what: string,
): { readonly kind: LogObjectKind; readonly indexBytes: number; readonly dataBytes: number } {
  const r = new ByteReader(bytes, what);
  r.check(MAGIC.equals(r.raw(MAGIC.length)), 'it is no object of a log');
  const kind = r.u8();
  r.check(kind <= 1 && r.u8() === 0 && r.u8() === 0, 'unknown kind');
  const indexBytes = r.u32();
  const dataBytes = r.u32();
  r.check(indexBytes <= LOG_INDEX_BYTES_MAX, 'its index is too long');
  return { kind: kind === 0 ? 'section' : 'range', indexBytes, dataBytes };
}

export function encodeLogIndex({ from, to, digest, recordFrom, timeBefore, marks }: LogIndex): Uint8Array {
  invariant(from < to && digest.length === DIGEST_BYTES && recordFrom <= to, 'an object of a log has bytes, and a digest');
  const w = new ByteWriter(256 + marks.length * 12);
  w.u8(INDEX_VERSION)
    .varint(from)
    .varint(to - from)
    .raw(digest)
    .zigzag(recordFrom - from)
    .varint(timeBefore)
    .varint(marks.length);
  let position = from;
  let time = timeBefore;
  let id = 0;
  for (const mark of marks) {
    w.u8(KINDS.indexOf(mark.kind))
      .zigzag(mark.position - position)
      .varint(mark.end - mark.position);
    w.zigzag(mark.time - time).zigzag(mark.id - id);
    if (mark.kind === 'point' || mark.kind === 'note') w.bytes(Buffer.from(mark.text));
    position = mark.position;
    time = mark.time;
    id = mark.id;
  }
  return w.finish();
}

export function decodeLogIndex(bytes: Uint8Array, what: string): LogIndex {
  const r = new ByteReader(bytes, what);
  r.check(r.u8() === INDEX_VERSION, 'unknown version');
  const from = r.varint();
  const to = from + r.varint();
  const digest = r.raw(DIGEST_BYTES);
  const recordFrom = from + r.zigzag();
  const timeBefore = r.varint();
  r.check(from < to && recordFrom <= to && recordFrom >= 0, 'it covers nothing');
  const marks: LogMark[] = [];
  let position = from;
  let time = timeBefore;
  let id = 0;
  for (let n = r.count(5); n > 0; n--) {
    const kind = KINDS[r.u8()];
    if (kind === undefined) return r.damaged('unknown kind of mark');
    position += r.zigzag();
    const end = position + r.varint();
    time += r.zigzag();
    id += r.zigzag();
    r.check(position >= 0 && end <= to && end > from && time >= 0 && id >= 0, 'a mark lies outside');
    const text = kind === 'point' || kind === 'note' ? Buffer.from(r.bytes(65_536)).toString('utf8') : '';
    marks.push({ kind, position, end, time, id, text });
  }
  r.end();
  return { from, to, digest, recordFrom, timeBefore, marks };
}

/** Frames of the pieces, one after the other. */
export function encodeLogData(frames: readonly Uint8Array[]): Uint8Array {
  const w = new ByteWriter(frames.reduce((sum, frame) => sum + frame.length + 8, 8));
  w.varint(frames.length);
  for (const frame of frames) w.bytes(frame);
  return w.finish();
}

export function decodeLogData(bytes: Uint8Array, what: string): Uint8Array[] {
  const r = new ByteReader(bytes, what);
  const frames: Uint8Array[] = [];
  for (let n = r.count(2); n > 0; n--) frames.push(r.bytes());
  r.end();
  return frames;
}

// A record as one zstd frame that says in its header how long its content is (what zstd does when it is given all of it at once). So a
// reader allocates once, what it needs, and only after it has judged the length: a few bytes cannot ask for a gigabyte.

import zlib from 'node:zlib';
import { invariant } from '../base/invariant.ts';
import { Decompressor, type ZstdDriver } from './zstd.ts';

/** A record may be this long whatever its frame, */
const PLAIN_BYTES_FREE = 4 * 1024 * 1024;
/** and beyond so many times as long as its frame: records are full of ids, which do not compress. */
const EXPANSION_MAX = 64;
const MAGIC = 0xfd2fb528;

/** Whether a reader takes a frame of this length for a record of that length. */
export function isPlausible(plainBytes: number, frameBytes: number): boolean {
  return plainBytes <= PLAIN_BYTES_FREE || plainBytes <= EXPANSION_MAX * frameBytes;
}

export function compressFrame(plain: Uint8Array): Uint8Array {
  const frame = zlib.zstdCompressSync(plain);
  invariant(isPlausible(plain.length, frame.length), 'a frame is one that a reader takes');
  invariant(announcedLength(frame) === plain.length, 'zstd announces the length of what it was given at once');
  return frame;
}

/** Undefined when it is not a frame, says that it is longer than `bytesMax` or than is plausible, or is damaged. */
export function decompressFrame(frame: Uint8Array, bytesMax: number, driver?: ZstdDriver): Uint8Array | undefined {
  const length = announcedLength(frame);
  if (length === undefined || length > bytesMax || !isPlausible(length, frame.length)) return undefined;
  const plain = new Uint8Array(length);
  const decompressor = new Decompressor(driver);
  try {
    return decompressor.decompress(plain, frame) ? plain : undefined;
  } finally {
    decompressor.close();
  }
}

/** RFC 8878, 3.1.1.1. Undefined when the frame does not say. */
export function announcedLength(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 6 || view.getUint32(0, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(4);
  const isSingle = (descriptor & 0x20) !== 0;
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  if (size === 0 || at + size > frame.length) return undefined;
  if (size === 1) return view.getUint8(at);
  if (size === 2) return view.getUint16(at, true) + 256;
  if (size === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

// Bytes of a log as compressed frames, which may be put together: a section's frames are those of its ranges, where these are long, so that
// few bytes are compressed twice. Whoever has the ranges makes the same frames of them.

import { setImmediate } from 'node:timers/promises';
import { Compressor, compressBound } from '../codec/zstd.ts';
import { LOG_PIECE_BYTES } from '../format/log-object.ts';

const ZSTD_LEVEL = 1;
/** Shorter ones are compressed anew with their neighbours: apart they would take more room. */
const KEPT_BYTES_MIN = 256 * 1024;

/** `length`: of what is in it. */
export type LogFrame = { readonly length: number; readonly bytes: Uint8Array };

/** As frames that say how long their content is, or nobody reads them. Others have their turn between two. */
export async function compressPieces(bytes: Uint8Array): Promise<LogFrame[]> {
  const frames: LogFrame[] = [];
  const compressor = new Compressor(ZSTD_LEVEL);
  const target = Buffer.allocUnsafeSlow(compressBound(Math.min(bytes.length, LOG_PIECE_BYTES)));
  try {
    for (let at = 0; at < bytes.length; at += LOG_PIECE_BYTES) {
      if (at > 0) await setImmediate();
      const piece = bytes.subarray(at, at + LOG_PIECE_BYTES);
      const length = compressor.compress(target, piece);
      frames.push({ length: piece.length, bytes: Buffer.from(target.subarray(0, length)) });
    }
  } finally {
    compressor.close();
  }
  return frames;
}

/** Of `length` bytes, which `cut` gives from one place to another. `frames`: of a first part of them. Answers those of all. */
export async function joinFrames(
  length: number,
  cut: (from: number, to: number) => Uint8Array,
  frames: readonly LogFrame[],
): Promise<LogFrame[]> {
  const joined: LogFrame[] = [];
  let at = 0;
  let done = 0;
  const compressTo = async (end: number): Promise<void> => {
    if (end > done) joined.push(...(await compressPieces(cut(done, end))));
  };
  for (const frame of frames) {
    if (frame.length >= KEPT_BYTES_MIN) {
      await compressTo(at);
      joined.push(frame);
      done = at + frame.length;
    }
    at += frame.length;
  }
  await compressTo(length);
  return joined;
}

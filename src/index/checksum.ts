// What protects the cache files and spilled records against bit rot and torn writes: XXH64 in WebAssembly, seeded with the file's
// own number and the position, so that a page of another file, or of another place in this one, is not taken for the right one
// either. Never an id: an adversary can forge it, but who can write to the cache directory can do worse.
//
// Measured for a page of 4 KiB on Node 24: xxhash-wasm h64 0.35 us, h32 0.56, zlib.crc32 0.74; the pread itself 1.0 to 1.2. So every
// page is checked at every read, and the check costs a quarter of a probe.

import xxhash from 'xxhash-wasm';

export type Checksum = (bytes: Uint8Array, seed: bigint) => bigint;

export const CHECKSUM_BYTES = 8;
/** Longer bytes are folded piece by piece: the hash copies its input into memory that never shrinks. */
export const CHECKSUM_PIECE_BYTES = 64 * 1024;

let loading: Promise<Checksum> | undefined;

/** One WebAssembly instance a thread. Not one a call: V8's bookkeeping of code pages does not survive it when many are made and dropped in
 *  several threads (it ends the process: "Check failed: jit_page.has_value()"). */
export function loadChecksum(): Promise<Checksum> {
  loading ??= xxhash().then(({ h64Raw }) => h64Raw);
  return loading;
}

/** The checksum of bytes of any length, in pieces. */
export function foldChecksum(checksum: Checksum, bytes: Uint8Array, seed: bigint): bigint {
  let sum = seed;
  for (let at = 0; at < bytes.length; at += CHECKSUM_PIECE_BYTES)
    sum = checksum(bytes.subarray(at, at + CHECKSUM_PIECE_BYTES), sum);
  return sum;
}

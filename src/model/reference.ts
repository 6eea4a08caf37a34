// Where a chunk or a node lies. Lists of references are packed into bytes, 40 each, because a backup handles millions of them:
// block id (16), digest (16), u32 offset in the block, u32 length.

export const REFERENCE_BYTES = 40;

/** One reference or several, packed. */
export type References = Uint8Array;

export const NO_REFERENCES: References = new Uint8Array(0);

const u32 = (b: Uint8Array, at: number): number => (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;

export function referenceCount(references: References): number {
  return references.length / REFERENCE_BYTES;
}

export function referenceAt(references: References, n: number): References {
  return references.subarray(n * REFERENCE_BYTES, (n + 1) * REFERENCE_BYTES);
}

/** 16 bytes, a view. */
export function blockOf(references: References, n = 0): Uint8Array {
  const at = n * REFERENCE_BYTES;
  return references.subarray(at, at + 16);
}

/** Whether reference `n` leads into this block. Makes no view. */
export function isInBlock(references: References, n: number, block: Uint8Array): boolean {
  const at = n * REFERENCE_BYTES;
  for (let i = 15; i >= 0; i--) if (references[at + i] !== block[i]) return false;
  return true;
}

/** 16 bytes, a view. */
export function digestOf(references: References, n = 0): Uint8Array {
  const at = n * REFERENCE_BYTES + 16;
  return references.subarray(at, at + 16);
}

export function offsetOf(references: References, n = 0): number {
  return u32(references, n * REFERENCE_BYTES + 32);
}

export function lengthOf(references: References, n = 0): number {
  return u32(references, n * REFERENCE_BYTES + 36);
}

export function writeReference(
  target: Uint8Array,
  at: number,
  block: Uint8Array,
  digest: Uint8Array,
  offset: number,
  length: number,
): void {
  target.set(block, at);
  for (let i = 0; i < 16; i++) target[at + 16 + i] = digest[i]!;
  writeRange(target, at, offset, length);
}

/** The second half of the reference at byte `at`. */
export function writeRange(target: Uint8Array, at: number, offset: number, length: number): void {
  for (let i = 0; i < 4; i++) {
    target[at + 32 + i] = offset >>> (8 * i);
    target[at + 36 + i] = length >>> (8 * i);
  }
}

export function packReference(block: Uint8Array, digest: Uint8Array, offset: number, length: number): References {
  const reference = new Uint8Array(REFERENCE_BYTES);
  writeReference(reference, 0, block, digest, offset, length);
  return reference;
}

/** Sum of the lengths. */
export function contentLength(references: References): number {
  let sum = 0;
  for (let n = referenceCount(references) - 1; n >= 0; n--) sum += lengthOf(references, n);
  return sum;
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

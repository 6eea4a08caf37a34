// Keys are byte strings of fixed length and sort as such (a number inside a key must be big-endian to sort by value).

/** Negative, zero or positive, as the `length` bytes at `aAt` sort before, with or after those at `bAt`. */
export function compareKeys(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): number {
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Four bytes of a key from `at` as a number that sorts like them. */
export function keyWord(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

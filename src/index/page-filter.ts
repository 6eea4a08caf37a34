// A small Bloom filter for the keys of one page. It is addressed by the page, not by the key, so that a writer makes the filters in
// the order of the pages and needs no memory for them. Five bits a key; the hash takes the key's last sixteen bytes, whose words are
// mixed because block ids differ in few of them.

const BITS_PER_KEY = 5;

function hash(key: Uint8Array, keyAt: number, keyBytes: number): number {
  let h = keyBytes;
  const from = keyAt + (keyBytes > 16 ? keyBytes - 16 : 0);
  const to = keyAt + keyBytes;
  for (let i = from; i < to; i += 4) {
    const word = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24);
    h = Math.imul(h ^ word, 0x9e3779b1);
    h = (h << 13) | (h >>> 19);
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return h ^ (h >>> 13);
}

/** The page's filter is `filters[at, at + filterBytes)`; `filterBytes` is a power of two. */
export function addToFilter(
  filters: Uint8Array,
  at: number,
  filterBytes: number,
  key: Uint8Array,
  keyAt: number,
  keyBytes: number,
): void {
  let h = hash(key, keyAt, keyBytes);
  const step = Math.imul(h, 0xc2b2ae35) | 1;
  const mask = filterBytes * 8 - 1;
  for (let n = 0; n < BITS_PER_KEY; n++) {
    const bit = (h >>> 8) & mask;
    filters[at + (bit >>> 3)]! |= 1 << (bit & 7);
    h = (h + step) | 0;
  }
}

/** False when the key is certainly not in the page. */
export function mayHold(
  filters: Uint8Array,
  at: number,
  filterBytes: number,
  key: Uint8Array,
  keyAt: number,
  keyBytes: number,
): boolean {
  let h = hash(key, keyAt, keyBytes);
  const step = Math.imul(h, 0xc2b2ae35) | 1;
  const mask = filterBytes * 8 - 1;
  for (let n = 0; n < BITS_PER_KEY; n++) {
    const bit = (h >>> 8) & mask;
    if ((filters[at + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false;
    h = (h + step) | 0;
  }
  return true;
}

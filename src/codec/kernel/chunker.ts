// The hot loops of content-defined chunking, in AssemblyScript (not TypeScript: see asconfig.json; excluded from tsc and biome).
// What is computed is specified in ../chunker.ts; this file only says how it is computed fast. It holds no state between calls.
// The checksums of PostgreSQL's pages (specified in ../page-checksum.ts) are at the end: they are of the same window.
//
// The hash at an offset needs nothing but the 32 bytes before it, so a range can be scanned from many places at once: it is split
// into 32 equal segments, one per 32-bit lane of 8 vectors, and every step advances all of them by one byte. 32 chains, because a
// vector multiply takes up to 10 cycles and each chain waits for its own; steps of different chains are interleaved in the source,
// because a processor looks ahead about a hundred waiting operations, not across a whole row. Per row of 16 bytes a lane the words
// are transposed once, so that a vector holds the same 4 bytes of 4 segments, and only the maximum of the hashes is kept: where it
// stays below the bar, nothing more is done. That is nearly always.
//
// Memory: 0 to 4095 belong to this kernel (below), the caller's window begins at 4096. Addresses are bytes.

const VECTOR: usize = 16; // bytes in a vector
const VECTORS: usize = 8;
const LANES: usize = 4 * VECTORS;
const ROW: usize = 16; // bytes of each segment that one pass of the loop takes
const HISTORY: usize = 32; // bytes that decide a hash; a multiple of ROW
const SPAN: usize = 16384; // bytes scanned before looking whether a candidate was found: large wastes work behind it, small wastes warm-up

const HASHES: usize = 64; // the running hash of each lane
const TOPS: usize = HASHES + VECTORS * VECTOR; // the greatest hash of each lane since the last find
const WORDS: usize = TOPS + VECTORS * VECTOR; // a transposed row: [word of the row][vector]

// Loaded, not written as a constant: V8 would build the constant anew at every use, two operations each, a fifth of the run time.
const LOW_BYTES: usize = memory.data<u32>([0xff, 0xff, 0xff, 0xff], 16);

/** Four segments' 16 bytes at `from`, `stride` apart, become four vectors of one word each segment. */
@inline
function transpose(from: usize, stride: usize, words: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + stride);
  const c = v128.load(from + 2 * stride);
  const d = v128.load(from + 3 * stride);
  const abLow = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const cdLow = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(words, v128.shuffle<i64>(abLow, cdLow, 0, 2));
  v128.store(words, v128.shuffle<i64>(abLow, cdLow, 1, 3), VECTORS * VECTOR);
  v128.store(words, v128.shuffle<i64>(abHigh, cdHigh, 0, 2), 2 * VECTORS * VECTOR);
  v128.store(words, v128.shuffle<i64>(abHigh, cdHigh, 1, 3), 3 * VECTORS * VECTOR);
}

@inline
function roll(hash: v128, multiplier: v128, byte: v128): v128 {
  return i32x4.add(i32x4.mul(hash, multiplier), byte);
}

/** Advances 16 lanes (4 vectors at `hashes`) by the 4 bytes of their word, and raises their tops. */
@inline
function advance(words: usize, hashes: usize, tops: usize, m: v128, low: v128): void {
  const wa = v128.load(words), wb = v128.load(words, VECTOR), wc = v128.load(words, 2 * VECTOR), wd = v128.load(words, 3 * VECTOR);
  let ha = v128.load(hashes), hb = v128.load(hashes, VECTOR), hc = v128.load(hashes, 2 * VECTOR), hd = v128.load(hashes, 3 * VECTOR);
  let ta = v128.load(tops), tb = v128.load(tops, VECTOR), tc = v128.load(tops, 2 * VECTOR), td = v128.load(tops, 3 * VECTOR);

  ha = roll(ha, m, v128.and(wa, low)); ta = i32x4.max_s(ta, ha);
  hb = roll(hb, m, v128.and(wb, low)); tb = i32x4.max_s(tb, hb);
  hc = roll(hc, m, v128.and(wc, low)); tc = i32x4.max_s(tc, hc);
  hd = roll(hd, m, v128.and(wd, low)); td = i32x4.max_s(td, hd);

  ha = roll(ha, m, v128.and(i32x4.shr_u(wa, 8), low)); ta = i32x4.max_s(ta, ha);
  hb = roll(hb, m, v128.and(i32x4.shr_u(wb, 8), low)); tb = i32x4.max_s(tb, hb);
  hc = roll(hc, m, v128.and(i32x4.shr_u(wc, 8), low)); tc = i32x4.max_s(tc, hc);
  hd = roll(hd, m, v128.and(i32x4.shr_u(wd, 8), low)); td = i32x4.max_s(td, hd);

  ha = roll(ha, m, v128.and(i32x4.shr_u(wa, 16), low)); ta = i32x4.max_s(ta, ha);
  hb = roll(hb, m, v128.and(i32x4.shr_u(wb, 16), low)); tb = i32x4.max_s(tb, hb);
  hc = roll(hc, m, v128.and(i32x4.shr_u(wc, 16), low)); tc = i32x4.max_s(tc, hc);
  hd = roll(hd, m, v128.and(i32x4.shr_u(wd, 16), low)); td = i32x4.max_s(td, hd);

  ha = roll(ha, m, i32x4.shr_u(wa, 24)); ta = i32x4.max_s(ta, ha);
  hb = roll(hb, m, i32x4.shr_u(wb, 24)); tb = i32x4.max_s(tb, hb);
  hc = roll(hc, m, i32x4.shr_u(wc, 24)); tc = i32x4.max_s(tc, hc);
  hd = roll(hd, m, i32x4.shr_u(wd, 24)); td = i32x4.max_s(td, hd);

  v128.store(hashes, ha); v128.store(hashes, hb, VECTOR); v128.store(hashes, hc, 2 * VECTOR); v128.store(hashes, hd, 3 * VECTOR);
  v128.store(tops, ta); v128.store(tops, tb, VECTOR); v128.store(tops, tc, 2 * VECTOR); v128.store(tops, td, 3 * VECTOR);
}

@inline
function advanceRow(from: usize, segment: usize, m: v128, low: v128): void {
  for (let v: usize = 0; v < VECTORS; v++) transpose(from + 4 * v * segment, segment, WORDS + v * VECTOR);
  for (let words = WORDS; words < WORDS + 4 * VECTORS * VECTOR; words += VECTORS * VECTOR)
    for (let v: usize = 0; v < VECTORS * VECTOR; v += 4 * VECTOR) advance(words + v, HASHES + v, TOPS + v, m, low);
}

@inline
function fill(at: usize, value: v128): void {
  for (let v: usize = 0; v < VECTORS; v++) v128.store(at + v * VECTOR, value);
}

/** The first lane whose top is above `bar`, or LANES. */
@inline
function firstLaneAbove(bar: v128): usize {
  for (let v: usize = 0; v < VECTORS; v++) {
    const bits = i32x4.bitmask(i32x4.gt_s(v128.load(TOPS + v * VECTOR), bar));
    if (bits) return 4 * v + <usize>ctz(bits);
  }
  return LANES;
}

/** Plain search of [from, to), for what is too short for the lanes, and inside the row where the lanes found something. */
function findPlain(from: usize, to: usize, multiplier: u32, least: i32): usize {
  let hash: u32 = 0;
  for (let at = from - HISTORY; at < from; at++) hash = hash * multiplier + <u32>load<u8>(at);
  for (let at = from; at < to; at++) {
    if (<i32>hash >= least) return at;
    hash = hash * multiplier + <u32>load<u8>(at);
  }
  return to;
}

/** Search of [from, from + LANES * segment); `segment` is a multiple of ROW. Returns 0 when there is no candidate. */
function findInLanes(from: usize, segment: usize, multiplier: u32, least: i32): usize {
  const m = i32x4.splat(multiplier);
  const low = v128.load(LOW_BYTES);
  const bar = i32x4.splat(least - 1);
  const bottom = i32x4.splat(i32.MIN_VALUE);

  // The hash at an offset takes in the byte before it: data runs one byte behind the offsets that are judged.
  const begin = from - 1;
  fill(HASHES, i32x4.splat(0));
  for (let at = begin - HISTORY; at < begin; at += ROW) advanceRow(at, segment, m, low);
  fill(TOPS, bottom);

  // Rows go up in all segments together, so the first find is not the first candidate: an earlier segment may still have one.
  let bestLane = LANES;
  let bestAt: usize = 0;
  for (let at = begin; at < begin + segment; at += ROW) {
    advanceRow(at, segment, m, low);
    let top = bottom;
    for (let v: usize = 0; v < VECTORS; v++) top = i32x4.max_s(top, v128.load(TOPS + v * VECTOR));
    if (i32x4.bitmask(i32x4.gt_s(top, bar))) {
      const lane = firstLaneAbove(bar);
      if (lane < bestLane) {
        bestLane = lane;
        bestAt = at;
        if (lane == 0) break;
      }
    }
  }
  if (bestLane == LANES) return 0;
  const row = bestAt + 1 + bestLane * segment;
  return findPlain(row, row + ROW, multiplier, least);
}

/** The first address in [from, to) whose hash, signed, is at least `least`; `to` when there is none. 33 bytes before `from` are read. */
export function find(from: usize, to: usize, multiplier: u32, least: i32): usize {
  while (from < to) {
    const rest = to - from;
    const segment = ((rest < SPAN ? rest : SPAN) / LANES) & ~(ROW - 1);
    if (segment == 0) return findPlain(from, to, multiplier, least);
    const found = findInLanes(from, segment, multiplier, least);
    if (found) return found;
    from += LANES * segment;
  }
  return to;
}

/** Whether every byte in [from, to) is zero. */
export function isZero(from: usize, to: usize): bool {
  while (from + 64 <= to) {
    const left = v128.or(v128.load(from), v128.load(from, 16));
    const right = v128.or(v128.load(from, 32), v128.load(from, 48));
    if (v128.any_true(v128.or(left, right))) return false;
    from += 64;
  }
  for (; from < to; from++) if (load<u8>(from)) return false;
  return true;
}

const PAGE_SUMS: usize = 32; // sums of a page, each over every 32nd word; see ../page-checksum.ts
const PAGE_ROW: usize = 4 * PAGE_SUMS;
const PRIME: u32 = 16777619;
/** Where each sum begins. */
const SEEDS: usize = memory.data<u32>([
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c,
  0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
  0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
  0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
], 16);
/** Of a page's first four words, without its checksum. */
const HEADER_MASK: usize = memory.data<u32>([0xffffffff, 0xffffffff, 0xffff0000, 0xffffffff], 16);

@inline
function step(value: v128, prime: v128): v128 {
  return v128.xor(i32x4.mul(value, prime), i32x4.shr_u(value, 17));
}

/** All sums of a page in one, its own checksum counted as zero. */
function pageSum(page: usize, pageBytes: usize): u32 {
  const prime = i32x4.splat(PRIME);
  let a = v128.load(SEEDS), b = v128.load(SEEDS, 16), c = v128.load(SEEDS, 32), d = v128.load(SEEDS, 48);
  let e = v128.load(SEEDS, 64), f = v128.load(SEEDS, 80), g = v128.load(SEEDS, 96), h = v128.load(SEEDS, 112);
  let header = v128.and(v128.load(page), v128.load(HEADER_MASK));
  for (let at = page; ; ) {
    a = step(v128.xor(a, header), prime);
    b = step(v128.xor(b, v128.load(at, 16)), prime);
    c = step(v128.xor(c, v128.load(at, 32)), prime);
    d = step(v128.xor(d, v128.load(at, 48)), prime);
    e = step(v128.xor(e, v128.load(at, 64)), prime);
    f = step(v128.xor(f, v128.load(at, 80)), prime);
    g = step(v128.xor(g, v128.load(at, 96)), prime);
    h = step(v128.xor(h, v128.load(at, 112)), prime);
    at += PAGE_ROW;
    if (at == page + pageBytes) break;
    header = v128.load(at);
  }
  // Two rounds of zeros, so that the last words count for as much as the first.
  const left = v128.xor(
    v128.xor(step(step(a, prime), prime), step(step(b, prime), prime)),
    v128.xor(step(step(c, prime), prime), step(step(d, prime), prime)),
  );
  const right = v128.xor(
    v128.xor(step(step(e, prime), prime), step(step(f, prime), prime)),
    v128.xor(step(step(g, prime), prime), step(step(h, prime), prime)),
  );
  const all = v128.xor(left, right);
  return i32x4.extract_lane(all, 0) ^ i32x4.extract_lane(all, 1) ^ i32x4.extract_lane(all, 2) ^ i32x4.extract_lane(all, 3);
}

/** The address of the first page in [from, to) that is not whole, or `to`. `block`: the number of the page at `from` in its relation. */
export function brokenPage(from: usize, to: usize, pageBytes: usize, block: u32): usize {
  for (; from < to; from += pageBytes, block++) {
    // A page that was never written: its free space ends nowhere.
    if (load<u16>(from, 14) == 0) {
      if (!isZero(from, from + pageBytes)) return from;
    } else if (((pageSum(from, pageBytes) ^ block) % 65535) + 1 != <u32>load<u16>(from, 8)) return from;
  }
  return to;
}

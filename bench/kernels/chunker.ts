// How fast chunks are cut on one core, beside what the memory itself allows, all in one run: the contenders take turns, and the median
// of the rounds is printed with the share of the fastest limit. MB are 10^6 bytes. Run: bin/node bench/kernels/chunker.ts

import { Chunker, type ChunkerParameters } from '../../src/codec/chunker.ts';
import { openScanner } from '../../src/codec/open-scanner.ts';
import type { Scanner } from '../../src/codec/scanner.ts';
import { openPlainScanner } from '../../src/codec/scanner-plain.ts';

const KIB = 1024;
const WINDOW_BYTES = 8 * 1024 * KIB;
const ROUNDS = 41;
const WARM_UP_ROUNDS = 10;
const UNIT_BYTES = 16 * KIB;
const MULTIPLIER = 0x3ad430e2;

type Contender = { readonly name: string; readonly bytes: number; run(): void };

function fillRandom(bytes: Uint8Array): void {
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 11;
  }
}

function cutting(name: string, scanner: Scanner, minKib: number): Contender {
  const parameters: ChunkerParameters = {
    minBytes: minKib * KIB,
    averageBytes: 4 * minKib * KIB,
    maxBytes: 16 * minKib * KIB,
    multiplier: MULTIPLIER,
  };
  const chunker = new Chunker(parameters, scanner);
  const cuts = new Uint32Array(chunker.cutsMax);
  return {
    name: `cut ${minKib}K/${4 * minKib}K/${16 * minKib}K, ${name}`,
    bytes: WINDOW_BYTES,
    run: () => chunker.cut(WINDOW_BYTES, true, cuts),
  };
}

/** Every byte hashed, nothing found, no minimum skipped. */
function hashing(name: string, scanner: Scanner): Contender {
  const run = () => scanner.findCandidate(64, WINDOW_BYTES + 1, MULTIPLIER, 2 ** 31 - 1);
  return { name: `hash every byte, ${name}`, bytes: WINDOW_BYTES, run };
}

function zeroTests(simd: Scanner, plain: Scanner): Contender[] {
  const zeros = Buffer.alloc(UNIT_BYTES);
  const buffer = Buffer.from(simd.window.buffer, simd.window.byteOffset, simd.window.length);
  const perUnit = (name: string, isZero: (start: number) => boolean): Contender => ({
    name: `zero test a 16 KiB unit, ${name}`,
    bytes: WINDOW_BYTES,
    run: () => {
      for (let at = 0; at < WINDOW_BYTES; at += UNIT_BYTES) if (!isZero(at)) throw new Error('the window is zero');
    },
  });
  return [
    perUnit('SIMD', (at) => simd.isZero(at, at + UNIT_BYTES)),
    perUnit('plain', (at) => plain.isZero(at, at + UNIT_BYTES)),
    perUnit('Buffer.compare', (at) => buffer.compare(zeros, 0, UNIT_BYTES, at, at + UNIT_BYTES) === 0),
  ];
}

function limits(window: Uint8Array): Contender[] {
  const other = new Uint8Array(window.length);
  const words = new Int32Array(window.buffer, window.byteOffset, window.length >> 2);
  const xor = () => {
    let sum = 0;
    for (let i = 0; i < words.length; i += 4) sum ^= words[i]! ^ words[i + 1]! ^ words[i + 2]! ^ words[i + 3]!;
    return sum;
  };
  return [
    { name: 'limit: copy the window', bytes: window.length, run: () => other.set(window) },
    { name: 'limit: xor its words in JavaScript', bytes: window.length, run: xor },
  ];
}

/** Megabytes per second of each contender, median of rounds in which all take turns. */
function race(contenders: readonly Contender[]): number[] {
  const times = contenders.map((): number[] => []);
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const [i, contender] of contenders.entries()) {
      const start = process.hrtime.bigint();
      contender.run();
      const nanoseconds = Number(process.hrtime.bigint() - start);
      if (round >= 0) times[i]!.push(nanoseconds);
    }
  }
  return contenders.map(({ bytes }, i) => (bytes / times[i]!.sort((a, b) => a - b)[ROUNDS >> 1]!) * 1000);
}

function print(contenders: readonly Contender[], rates: readonly number[]): void {
  const fastest = Math.max(...rates.filter((_, i) => contenders[i]!.name.startsWith('limit')));
  for (const [i, { name }] of contenders.entries()) {
    const share = Number.isFinite(fastest) ? `${((rates[i]! / fastest) * 100).toFixed(0).padStart(5)} %` : '';
    console.log(`${name.padEnd(44)}${rates[i]!.toFixed(0).padStart(8)} MB/s${share}`);
  }
}

const begin = process.hrtime.bigint();
const simd = openScanner(WINDOW_BYTES);
console.log(
  `opened a ${simd.kind} scanner with ${WINDOW_BYTES / KIB} KiB in ${(Number(process.hrtime.bigint() - begin) / 1e6).toFixed(2)} ms; medians of ${ROUNDS}\n`,
);
const plain = openPlainScanner(WINDOW_BYTES);

// Written once, or every page would be the system's one page of zeros.
simd.window.fill(0);
plain.window.fill(0);
const zero = zeroTests(simd, plain);
const zeroRates = race(zero);
fillRandom(simd.window);
plain.window.set(simd.window);
const cutters = [4, 16, 64].flatMap((minKib) => [cutting(simd.kind, simd, minKib), cutting('plain', plain, minKib)]);
const contenders = [...cutters, hashing(simd.kind, simd), hashing('plain', plain), ...limits(simd.window)];
print(contenders, race(contenders));
console.log();
print(zero, zeroRates);

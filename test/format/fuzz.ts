// Seeded fuzzing: from a seed a case, from a case an answer. The seed is the bug report.

import { isFault } from '../../src/base/faults.ts';
import { NotOpened, type Target } from './fuzz-targets.ts';
import { Material } from './material.ts';

export type Outcome =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'failed'; readonly error: string };

/** Numbers that lie at the edges of what a format can say, as they stand in its bytes. */
const EDGES: readonly (readonly number[])[] = [
  [0x00],
  [0x7f],
  [0x80],
  [0xff],
  [0x80, 0x00],
  [0xff, 0xff, 0x03],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];

const HOSTILE_VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'x',
  '__proto__',
  'a'.repeat(5000),
  0,
  -1,
  0.5,
  1e308,
  2 ** 53,
  -(2 ** 63),
  [],
  {},
  [[[[[[[[]]]]]]]],
  Array.from({ length: 300 }, (_, i) => i),
  { toString: 1, length: 5, constructor: {}, nonce: 1 },
  '0'.repeat(20),
  '0'.repeat(32),
  '0'.repeat(64),
  '9999-99-99T99:99:99Z',
];

export type Case = {
  readonly bytes: Uint8Array;
  /** What it was made from, unchanged. */
  readonly originals: readonly Uint8Array[];
};

/** Made from the same two valid inputs. */
const CASES_PER_SEED = 12;

export function makeCases(target: Target, seed: number): Case[] {
  const m = new Material(seed);
  const originals = [target.valid(m), target.valid(m)].map((bytes) => Uint8Array.from(bytes)) as [Uint8Array, Uint8Array];
  return Array.from({ length: CASES_PER_SEED }, () => ({ bytes: makeBytes(target, m, originals), originals }));
}

function makeBytes(target: Target, m: Material, originals: readonly [Uint8Array, Uint8Array]): Uint8Array {
  const strategy = m.below(target.kind === 'json' ? 10 : 8);
  const bytes = originals[0].slice();
  if (strategy === 0) return m.bytes(m.below(400));
  if (strategy === 1) return bytes.subarray(0, m.below(bytes.length));
  if (strategy === 2) return joined(bytes, m.bytes(1 + m.below(40)));
  if (strategy === 3) return withEdge(bytes, m);
  if (strategy === 4) return joined(bytes.subarray(0, cut(bytes, m)), fromCut(originals[1], m));
  if (strategy === 5) return repeated(bytes, m);
  if (strategy <= 7) return changed(bytes, m);
  return withHostileValue(bytes, m);
}

/** Positions that are looked at in one sweep. */
const SWEEP_BYTES_MAX = 1500;

/** Every position of one valid input with a giant number written over it: each count and each length has its turn. */
export function* sweepCases(target: Target, seed: number): Generator<Case> {
  const original = Uint8Array.from(target.valid(new Material(seed)));
  const giants = EDGES.filter((edge) => edge.length >= 3);
  for (let at = 0; at < Math.min(original.length, SWEEP_BYTES_MAX); at++) {
    for (const giant of giants) {
      const bytes = original.slice();
      bytes.set(giant.slice(0, bytes.length - at), at);
      yield { bytes, originals: [original] };
    }
  }
}

export function runCase(target: Target, { bytes, originals }: Case): Outcome {
  try {
    target.decode(bytes);
    if (target.isSealed === true && !originals.some((original) => Buffer.compare(original, bytes) === 0))
      return { kind: 'failed', error: 'sealed bytes were changed and nobody noticed' };
    return { kind: 'taken' };
  } catch (error) {
    const isRefusal = error instanceof NotOpened || (isFault(error) && target.codes.some((code) => error.code.startsWith(code)));
    return isRefusal ? { kind: 'refused' } : { kind: 'failed', error: error instanceof Error ? `${error.stack}` : String(error) };
  }
}

const cut = (bytes: Uint8Array, m: Material): number => Math.floor((m.below(1000) / 1000) * (bytes.length + 1));
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function changed(bytes: Uint8Array, m: Material): Uint8Array {
  for (let n = 1 + m.below(4); n > 0 && bytes.length > 0; n--) {
    const at = Math.min(bytes.length - 1, cut(bytes, m));
    bytes[at] = m.chance(0.5) ? bytes[at]! ^ (1 << m.below(8)) : m.pick([0, 1, 0x7f, 0x80, 0xff, m.below(256)]);
  }
  return bytes;
}

function withEdge(bytes: Uint8Array, m: Material): Uint8Array {
  const at = cut(bytes, m);
  const edge = Uint8Array.from(m.pick(EDGES));
  return joined(bytes.subarray(0, at), edge, bytes.subarray(at + (m.chance(0.5) ? edge.length : m.below(3))));
}

function fromCut(bytes: Uint8Array, m: Material): Uint8Array {
  return bytes.subarray(cut(bytes, m));
}

function repeated(bytes: Uint8Array, m: Material): Uint8Array {
  const from = cut(bytes, m);
  const piece = bytes.subarray(from, from + m.below(60));
  const times = m.below(5);
  return joined(bytes.subarray(0, from), ...Array.from({ length: times }, () => piece), bytes.subarray(from + piece.length));
}

/** One value anywhere in the JSON exchanged, taken away, or doubled under another name. */
function withHostileValue(bytes: Uint8Array, m: Material): Uint8Array {
  const value = JSON.parse(Buffer.from(bytes).toString()) as unknown;
  const holders: Record<string, unknown>[] = [];
  const visit = (one: unknown): void => {
    if (typeof one !== 'object' || one === null) return;
    holders.push(one as Record<string, unknown>);
    for (const inner of Object.values(one)) visit(inner);
  };
  visit(value);
  for (let n = 1 + m.below(2); n > 0; n--) {
    const holder = m.pick(holders);
    const keys = Object.keys(holder);
    const key = keys.length === 0 ? 'x' : m.pick(keys);
    const action = m.below(4);
    if (action === 0 && !Array.isArray(holder)) delete holder[key];
    else if (action === 1) holder[m.pick(['extra', '0', 'constructor'])] = m.pick(HOSTILE_VALUES);
    else if (action === 2 && Array.isArray(holder)) holder.push(...(holder as unknown[]));
    else holder[key] = m.pick(HOSTILE_VALUES);
  }
  return Buffer.from(JSON.stringify(value));
}

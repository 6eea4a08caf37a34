import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { makeCases, runCase } from './fuzz.ts';
import { HOSTILES, type HostileAnswer } from './fuzz-hostile.ts';
import { fuzz, HEAP_MIB } from './fuzz-soak.ts';
import { TARGETS, type Target } from './fuzz-targets.ts';

const MIB = 1024 * 1024;
const SEEDS = 150;
/** Of the process with all of the program loaded, and a heap of HEAP_MIB. */
const RSS_MAX_BYTES = (HEAP_MIB + 300) * MIB;
const HOSTILE_HEAP_MIB = 256;
/** By which the worst input, of up to 64 MiB, may make the memory grow. */
const GROWN_MAX_BYTES = 250 * MIB;

describe('whatever the bytes, a decoder takes them or answers with its own fault', () => {
  test(`${SEEDS} seeds, a dozen cases of each for every decoder, in a heap of ${HEAP_MIB} MiB (more: bin/node test/format/fuzz-soak.ts --seeds N)`, () => {
    const { tallies, peakBytes } = fuzz(1, SEEDS);
    expect(Object.keys(tallies)).toEqual(TARGETS.map(({ name }) => name));
    // It reaches what is behind the first check: some of the cases are still whole.
    for (const { name, isSealed } of TARGETS) {
      expect(tallies[name]!.refused, name).toBeGreaterThan(SEEDS);
      if (isSealed !== true) expect(tallies[name]!.taken, name).toBeGreaterThan(0);
    }
    expect(peakBytes).toBeLessThan(RSS_MAX_BYTES);
  });

  test('and the fuzzing would tell: another error, another code, a change of sealed bytes that is taken', () => {
    const target: Target = { name: 'it', kind: 'binary', valid: () => new Uint8Array(9), decode: () => {}, codes: ['FORMAT_'] };
    const one = { bytes: Uint8Array.of(1), originals: [Uint8Array.of(2)] };
    const throwing = (error: Error) => ({
      ...target,
      decode: () => {
        throw error;
      },
    });
    expect(runCase(target, one).kind).toBe('taken');
    expect(runCase({ ...target, isSealed: true }, one).kind).toBe('failed');
    expect(runCase({ ...target, isSealed: true }, { ...one, originals: [one.bytes] }).kind).toBe('taken');
    expect(runCase(throwing(new Fault('FORMAT_DAMAGED', 'it is')), one).kind).toBe('refused');
    expect(runCase(throwing(new Fault('USAGE', 'no')), one).kind).toBe('failed');
    expect(runCase(throwing(new RangeError('no')), one).kind).toBe('failed');
    const make = () => [1, 2, 3].flatMap((seed) => makeCases(target, seed).map(({ bytes }) => Buffer.from(bytes).toString('hex')));
    expect(new Set(make()).size).toBeGreaterThan(20);
    expect(make()).toEqual(make());
  });
});

test(`input that was made to hurt is answered as it should be, in a heap of ${HOSTILE_HEAP_MIB} MiB`, () => {
  const script = fileURLToPath(new URL('./fuzz-hostile.ts', import.meta.url));
  const args = [`--max-old-space-size=${HOSTILE_HEAP_MIB}`, '--expose-gc', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const answers = JSON.parse(stdout) as HostileAnswer[];
  expect(answers.map(({ name, answer }) => `${name}: ${answer}`)).toEqual(HOSTILES.map(({ name, answer }) => `${name}: ${answer}`));
  for (const { name, grownBytes } of answers) expect(grownBytes, name).toBeLessThan(GROWN_MAX_BYTES);
});

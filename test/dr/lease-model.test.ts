import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { HEALTHY, SCENARIOS } from './lease-scenarios.ts';
import type { Walked } from './lease-walk.ts';

const TIMEOUT_MS = 300_000;
// The long form: bin/node test/dr/lease-explore.ts --walks 100000 --seed 1
const WALKS = 150;

async function explored<T>(...words: readonly string[]): Promise<T> {
  const program = new URL('lease-explore.ts', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], { maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as T;
}

type Report = { readonly states: number; readonly transitions: number; readonly violation?: unknown };

describe('Lease and promise, in every interleaving of messages, clocks, pauses and crashes', () => {
  it.each(Object.keys(SCENARIOS))(
    'never let two servers write, nor one after it said where its log ends: %s',
    async (name) => {
      const { states, transitions, violation } = await explored<Report>(name);
      console.info(`${name}: ${states} states, ${transitions} transitions`);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThan(10_000);
    },
    TIMEOUT_MS,
  );

  it.each(Object.keys(HEALTHY))(
    'never stop a primary that only knows that %s',
    async (name) => {
      const { states, violation } = await explored<Report>(name);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThan(5_000);
    },
    TIMEOUT_MS,
  );

  it(
    `hold in ${WALKS} long random walks`,
    async () => {
      const { steps, taken, violation } = await explored<Walked>('--walks', String(WALKS), '--seed', '1');
      console.info(`${steps} steps ${JSON.stringify(taken)}`);
      expect(violation).toBeUndefined();
      for (const kind of [
        'withholds',
        'grants to',
        'claims',
        'claims again',
        'gives back',
        'crashes',
        'promises',
        'says where its log ends',
      ])
        expect(taken[kind], kind).toBeGreaterThan(WALKS / 20);
    },
    TIMEOUT_MS,
  );
});

import { describe, expect, it } from 'vitest';
import { openFsStore } from '../../src/store/fs-store.ts';
import { faultyStore } from '../support/faulty-store.ts';
import { scratchDirectory } from '../support/scratch.ts';

const text = (string: string) => new TextEncoder().encode(string);
const string = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const outcome = (promise: Promise<unknown>) => promise.then(String, (error) => error.code);

async function keys(pages: AsyncIterable<readonly { readonly key: string }[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const page of pages) all.push(...page.map(({ key }) => key));
  return all.sort();
}

describe('a faulty store', () => {
  it('does the same for the same seed, and names the seed in its faults', async () => {
    const run = async (seed: number) => {
      const store = faultyStore(await openFsStore(scratchDirectory()), { seed, lostRequest: 0.3, lostAnswer: 0.3, storm: 0.05 });
      const outcomes: string[] = [];
      for (let i = 0; i < 40; i++) outcomes.push(await outcome(store.put(`k${i}`, text('x'))));
      return outcomes;
    };
    expect(await run(7)).toEqual(await run(7));
    expect(await run(7)).not.toEqual(await run(8));
    const lost = faultyStore(await openFsStore(scratchDirectory()), { seed: 4711, lostRequest: 1 });
    await expect(lost.put('k', text('x'))).rejects.toThrow(/seed 4711, call 1.*put k/);
  });

  it('loses a request before, and an answer after it took place', async () => {
    const inner = await openFsStore(scratchDirectory());
    expect(await outcome(faultyStore(inner, { seed: 1, lostRequest: 1 }).put('a', text('x')))).toBe('STORE_TIMEOUT');
    expect(await inner.size('a')).toBeUndefined();
    expect(await outcome(faultyStore(inner, { seed: 1, lostAnswer: 1 }).put('b', text('x')))).toBe('STORE_TIMEOUT');
    expect(await inner.size('b')).toBe(1);
  });

  it('repeats a request, so that its first answer is not the one that comes back', async () => {
    const inner = await openFsStore(scratchDirectory());
    expect(await faultyStore(inner, { seed: 1, repeated: 1 }).put('a', text('x'))).toBe('exists');
  });

  it('answers a storm of 503 and then works again', async () => {
    const store = faultyStore(await openFsStore(scratchDirectory()), { seed: 3, storm: 0.05, stormCalls: 4 });
    const outcomes: string[] = [];
    for (let i = 0; i < 60; i++) outcomes.push(await outcome(store.size('none')));
    expect(outcomes.join(' ')).toMatch(/undefined( STORE_THROTTLED){4,} undefined/);
  });

  it('flips one bit of what is read, and none of what is stored', async () => {
    const inner = await openFsStore(scratchDirectory());
    await inner.put('a', new Uint8Array(100));
    const read = await faultyStore(inner, { seed: 1, flipped: 1 }).get('a');
    expect([...read].filter((byte) => byte !== 0).length).toBe(1);
    expect([...(await inner.get('a'))].every((byte) => byte === 0)).toBe(true);
  });

  it('lists too few, or what was', async () => {
    const inner = await openFsStore(scratchDirectory());
    for (let i = 0; i < 50; i++) await inner.put(`k${i}`, text('x'));
    const few = await keys(faultyStore(inner, { seed: 1, missed: 0.5 }).list(''));
    expect(few.length).toBeGreaterThan(0);
    expect(few.length).toBeLessThan(50);
    const stale = faultyStore(inner, { seed: 1, stale: 1 });
    const first = await keys(stale.list(''));
    await inner.put('new', text('x'));
    expect(await keys(stale.list(''))).toEqual(first);
  });

  it('is full after so many bytes', async () => {
    const store = faultyStore(await openFsStore(scratchDirectory()), { seed: 1, diskBytes: 10 });
    await store.put('a', text('12345678'));
    expect(await outcome(store.put('b', text('123')))).toBe('STORE_FULL');
    await store.put('c', text('12'));
    expect(store.injected.full).toBe(1);
  });

  it('calls out before and after each effect, so that a test can die there', async () => {
    const inner = await openFsStore(scratchDirectory());
    const seen: string[] = [];
    const store = faultyStore(inner, {
      seed: 1,
      onWrite: ({ number, verb, key, when }) => {
        seen.push(`${number} ${verb} ${key} ${when}`);
        if (number === 2 && when === 'after') throw new Error('died');
        if (number === 3 && when === 'before') throw new Error('died');
      },
    });
    await store.put('a', text('x'));
    await expect(store.swap('r', text('value'), undefined)).rejects.toThrow('died');
    await expect(store.delete('a')).rejects.toThrow('died');
    expect(seen).toEqual(['1 put a before', '1 put a after', '2 swap r before', '2 swap r after', '3 delete a before']);
    expect(string((await inner.read('r'))?.bytes ?? new Uint8Array(0))).toBe('value');
    expect(await inner.size('a')).toBe(1);
    expect(store.writes).toBe(3);
  });
});

// What every ObjectStore must do, whatever lies under it. Each driver's test file runs this suite.

import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import {
  type ListedObject,
  OBJECT_BYTES_MAX,
  type ObjectStore,
  REGISTER_BYTES_MAX,
  REGISTER_HISTORY,
} from '../../src/store/object-store.ts';
import { seededBytes } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;

export type StoreUnderTest = {
  readonly store: ObjectStore;
  /** Another client of the same store, as another process would be. */
  readonly other: ObjectStore;
  readonly cleanUp: () => Promise<void>;
};

export type Conformance = {
  readonly open: () => Promise<StoreUnderTest>;
  /** The store under test throws faults by chance, which is why counts are smaller and some tests have no meaning. */
  readonly faulty?: boolean;
  /** Another suite has tried the same with larger counts. */
  readonly brief?: boolean;
  readonly skip?: boolean;
};

const text = (string: string) => new TextEncoder().encode(string);

/** A value for a register: unlike every other one. */
const unique = (string: string) => text(`${string} ${randomBytes(12).toString('hex')}`);

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    return `no fault but ${JSON.stringify(await promise)}`;
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
};

async function all(pages: AsyncIterable<readonly ListedObject[]>): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const page of pages) objects.push(...page);
  return objects;
}

export function objectStoreConformance(name: string, options: Conformance): void {
  describe.skipIf(options.skip === true)(`an ObjectStore: ${name}`, () => {
    let store: ObjectStore;
    let other: ObjectStore;
    let cleanUp: () => Promise<void>;
    beforeAll(async () => ({ store, other, cleanUp } = await options.open()));
    afterAll(() => cleanUp());
    const stores = { one: () => store, other: () => other };
    probing(stores);
    objects(stores, options.faulty === true);
    ranges(stores);
    keys(stores);
    listings(stores, options.faulty === true || options.brief === true);
    registers(stores, options.faulty === true || options.brief === true);
    aborting(stores);
  });
}

type Stores = { readonly one: () => ObjectStore; readonly other: () => ObjectStore };

function probing({ one }: Stores): void {
  it('says that conditional writes hold here, and leaves nothing behind', async () => {
    const facts = await one().probe();
    expect(facts.conditionalWrites).toBe(true);
    expect(await all(one().list(''))).toEqual([]);
  });
}

function objects({ one, other }: Stores, faulty: boolean): void {
  it('gives back what was put, to everybody and at once', async () => {
    const bytes = seededBytes(100_000, 1);
    expect(['created', ...(faulty ? ['exists'] : [])]).toContain(await one().put('objects/a', bytes));
    expect(Buffer.from(await one().get('objects/a')).equals(bytes)).toBe(true);
    expect(Buffer.from(await other().get('objects/a')).equals(bytes)).toBe(true);
    expect(await other().size('objects/a')).toBe(100_000);
  });

  it('never overwrites an object', async () => {
    await one().put('objects/b', text('first'));
    expect(await one().put('objects/b', text('second'))).toBe('exists');
    expect(await other().put('objects/b', text('third!'))).toBe('exists');
    expect(Buffer.from(await one().get('objects/b')).toString()).toBe('first');
  });

  it('lets exactly one of sixteen concurrent puts create an object', async () => {
    const bodies = Array.from({ length: 16 }, (_, i) => seededBytes(50_000, 100 + i));
    const results = await Promise.all(bodies.map((bytes, i) => (i % 2 ? one() : other()).put('objects/race', bytes)));
    const winners = results.flatMap((result, i) => (result === 'created' ? [i] : []));
    // Where answers are lost, the winner may be told "exists"; two winners are never allowed.
    expect(winners.length).toBeLessThanOrEqual(1);
    if (!faulty) expect(winners.length).toBe(1);
    const stored = Buffer.from(await one().get('objects/race'));
    const matches = bodies.flatMap((bytes, i) => (stored.equals(bytes) ? [i] : []));
    expect(matches.length).toBe(1);
    if (winners.length === 1) expect(matches).toEqual(winners);
  });

  it('holds an empty object', async () => {
    await one().put('objects/empty', new Uint8Array(0));
    expect(await one().size('objects/empty')).toBe(0);
    expect((await one().get('objects/empty')).length).toBe(0);
    expect((await one().get('objects/empty', { offset: 0, length: 10 })).length).toBe(0);
    expect((await one().get('objects/empty', { offset: -10, length: 10 })).length).toBe(0);
  });

  it('holds an object of 40 MiB, taken from shared memory with a digest that is known', async () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(40 * MIB + 7)).subarray(3);
    for (let at = 0; at < bytes.length; at += MIB) bytes.set(seededBytes(64, at), Math.min(at, bytes.length - 64));
    const sha256 = createHash('sha256').update(bytes).digest();
    await one().put('objects/large', bytes, { sha256 });
    const back = await other().get('objects/large');
    expect(createHash('sha256').update(back).digest('hex')).toBe(sha256.toString('hex'));
  });

  it('has no size for an object that is not there, and a fault for its bytes', async () => {
    expect(await one().size('objects/none')).toBeUndefined();
    expect(await code(one().get('objects/none'))).toBe('STORE_NOT_FOUND');
    expect(await code(one().get('objects/none', { offset: 0, length: 0 }))).toBe('STORE_NOT_FOUND');
    expect(await code(one().get('no/such/place', { offset: -8, length: 8 }))).toBe('STORE_NOT_FOUND');
  });

  it('deletes, also what is not there, and lets the name be used again', async () => {
    await one().put('objects/gone', text('here'));
    await other().delete('objects/gone');
    expect(await one().size('objects/gone')).toBeUndefined();
    expect(await code(one().get('objects/gone'))).toBe('STORE_NOT_FOUND');
    await one().delete('objects/gone');
    await one().delete('never/was/there');
    await one().put('objects/known', text('known'));
    await other().delete('objects/known', { kind: 'object' });
    expect(await one().size('objects/known')).toBeUndefined();
    await one().delete('objects/known', { kind: 'object' });
    await one().put('objects/gone', text('again'));
    expect(Buffer.from(await other().get('objects/gone')).toString()).toBe('again');
  });

  it('refuses an object that is larger than any may be', async () => {
    const huge = { length: OBJECT_BYTES_MAX + 1 } as Uint8Array;
    expect(await code(one().put('objects/huge', huge))).toBe('STORE_TOO_LARGE');
  });
}

function ranges({ one }: Stores): void {
  const digits = '0123456789';
  const cases: readonly (readonly [offset: number, length: number, expected: string])[] = [
    [0, 10, digits],
    [0, 1, '0'],
    [3, 4, '3456'],
    [9, 1, '9'],
    [8, 5, '89'],
    [0, 0, ''],
    [5, 0, ''],
    [10, 5, ''],
    [25, 5, ''],
    [-3, 3, '789'],
    [-3, 2, '78'],
    [-3, 10, '789'],
    [-10, 10, digits],
    [-25, 25, digits],
    [-25, 3, '012'],
    [-4, 0, ''],
  ];
  it.each(cases)('reads %i + %i of ten bytes', async (offset, length, expected) => {
    await one().put('ranges/digits', text(digits));
    expect(Buffer.from(await one().get('ranges/digits', { offset, length })).toString()).toBe(expected);
  });
}

function keys({ one }: Stores): void {
  const odd = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a/./b',
    '../a',
    'A',
    'a b',
    'a\0',
    'ä',
    'a\\b',
    'a~',
    'tmp~/x',
    'a:b',
    '%41',
    'x'.repeat(201),
  ];
  it.each(odd.map((key) => [key]))('refuses the key %j for every verb', async (key) => {
    expect(await code(one().put(key, text('x')))).toBe('STORE_BAD_KEY');
    expect(await code(one().get(key))).toBe('STORE_BAD_KEY');
    expect(await code(one().size(key))).toBe('STORE_BAD_KEY');
    expect(await code(one().delete(key))).toBe('STORE_BAD_KEY');
    expect(await code(one().read(key))).toBe('STORE_BAD_KEY');
    expect(await code(one().swap(key, text('x'), undefined))).toBe('STORE_BAD_KEY');
  });

  it('takes every key of the grammar', async () => {
    const good = ['keys/a-b_c.d', 'keys/...', 'keys/-', 'keys/.hidden/x', 'keys/0/1/2/3/4/5', `keys/${'x'.repeat(195)}`];
    for (const key of good) await one().put(key, text(key));
    for (const key of good) expect(Buffer.from(await one().get(key)).toString()).toBe(key);
    expect((await all(one().list('keys/'))).map(({ key }) => key).sort()).toEqual([...good].sort());
  });

  it('keeps objects and registers apart', async () => {
    await one().put('apart/object', text('object'));
    await one().swap('apart/register', unique('register'), undefined);
    expect(await one().read('apart/object')).toBeUndefined();
    expect(await one().size('apart/register')).toBeUndefined();
    expect(await code(one().get('apart/register'))).toBe('STORE_NOT_FOUND');
    expect((await all(one().list('apart/'))).map(({ key }) => key)).toEqual(['apart/object']);
  });
}

function listings({ one, other }: Stores, brief: boolean): void {
  const count = brief ? 120 : 2_100;
  it(`lists ${count} objects with their sizes, once each, by prefix`, async () => {
    const names = Array.from({ length: count }, (_, i) => `list/${String(i % 7)}/${String(i).padStart(5, '0')}`);
    await eachOf(names, 8, async (key, i) => void (await one().put(key, new Uint8Array(i % 5))));
    const listed = await all(other().list('list/'));
    expect(listed.length).toBe(count);
    expect(new Map(listed.map(({ key, sizeBytes }) => [key, sizeBytes]))).toEqual(new Map(names.map((key, i) => [key, i % 5])));
    const three = (await all(other().list('list/3/'))).map(({ key }) => key).sort();
    expect(three).toEqual(names.filter((key) => key.startsWith('list/3/')).sort());
    expect((await all(other().list('list/3/0000'))).map(({ key }) => key).sort()).toEqual(['list/3/00003']);
  });

  it('gives pages of at most a thousand, and none that is empty', async () => {
    for await (const page of one().list('list/')) {
      expect(page.length).toBeGreaterThan(0);
      expect(page.length).toBeLessThanOrEqual(1_000);
    }
  });

  it('lists nothing under a prefix that nothing has', async () => {
    expect(await all(one().list('nothing/here'))).toEqual([]);
  });

  it('refuses a prefix that no key can have', async () => {
    const prefixes = ['/', '../', 'a/../b', 'A', 'a//'];
    for (const prefix of prefixes) expect(await code(all(one().list(prefix)))).toBe('STORE_BAD_KEY');
  });
}

function registers({ one, other }: Stores, brief: boolean): void {
  it('has no value before the first swap', async () => {
    expect(await one().read('registers/none')).toBeUndefined();
  });

  it('changes from a version, and from nothing else', async () => {
    const key = 'registers/plain';
    const [a, b, c] = [unique('a'), unique('b'), unique('c')];
    const first = won(await one().swap(key, a, undefined));
    expect(await other().swap(key, unique('x'), undefined)).toBe('conflict');
    const seen = await other().read(key);
    expect(seen?.version).toBe(first);
    expect(Buffer.from(seen?.bytes ?? []).equals(a)).toBe(true);
    const second = won(await other().swap(key, b, first));
    expect(await one().swap(key, unique('y'), first)).toBe('conflict');
    won(await one().swap(key, c, second));
    expect(Buffer.from((await other().read(key))?.bytes ?? []).equals(c)).toBe(true);
  });

  it('does not swap a register that is not there', async () => {
    const version = won(await one().swap('registers/lives', unique('a'), undefined));
    expect(await one().swap('registers/not-there', unique('b'), version)).toBe('conflict');
    expect(await one().read('registers/not-there')).toBeUndefined();
  });

  it('lets exactly one of sixteen create, and exactly one of sixteen swap', async () => {
    const key = 'registers/race';
    const values = Array.from({ length: 32 }, (_, i) => unique(`value ${i}`));
    let version: string | undefined;
    for (const round of [values.slice(0, 16), values.slice(16)]) {
      const results = await Promise.all(round.map((value, i) => (i % 2 ? one() : other()).swap(key, value, version)));
      const winners = results.flatMap((result, i) => (result === 'conflict' ? [] : [{ i, version: result.version }]));
      expect(winners.length).toBe(1);
      const now = await one().read(key);
      expect(now?.version).toBe(winners[0].version);
      expect(Buffer.from(now?.bytes ?? []).equals(round[winners[0].i])).toBe(true);
      version = now?.version;
    }
  });

  it('counts right when eight count at once', async () => {
    const key = 'registers/counter';
    const times = brief ? 5 : 20;
    const count = async (store: ObjectStore) => {
      for (let done = 0; done < times; ) {
        const now = await store.read(key);
        const next =
          Number(
            Buffer.from(now?.bytes ?? text('0'))
              .toString()
              .split(' ')[0],
          ) + 1;
        if ((await store.swap(key, unique(String(next)), now?.version)) !== 'conflict') done++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => count(i % 2 ? one() : other())));
    expect(Buffer.from((await one().read(key))?.bytes ?? []).toString()).toMatch(new RegExp(`^${8 * times} `));
  });

  it('answers the same swap again as it did the first time, also when others have built upon it', async () => {
    const key = 'registers/again';
    const [a, b, loser] = [unique('a'), unique('b'), unique('loser')];
    const first = won(await one().swap(key, a, undefined));
    expect(won(await other().swap(key, a, undefined))).toBe(first);
    const second = won(await one().swap(key, b, first));
    expect(await one().swap(key, loser, first)).toBe('conflict');
    expect(won(await other().swap(key, b, first))).toBe(second);
    won(await one().swap(key, unique('c'), second));
    const old = won(await other().swap(key, b, first));
    expect(await other().swap(key, unique('d'), old)).toBe('conflict');
    expect(await one().swap(key, loser, first)).toBe('conflict');
  });

  it('says so when too many swaps have passed to know what became of one', async () => {
    const key = 'registers/long';
    const early = unique('early');
    const first = won(await one().swap(key, unique('start'), undefined));
    let version = won(await one().swap(key, early, first));
    for (let i = 0; i < REGISTER_HISTORY - 1; i++) version = won(await one().swap(key, unique(String(i)), version));
    won(await other().swap(key, early, first));
    won(await one().swap(key, unique('one more'), version));
    expect(await code(other().swap(key, early, first))).toBe('STORE_OUTCOME_UNKNOWN');
  });

  it('refuses to offer a value that the register had before', async () => {
    const key = 'registers/repeated';
    const [a, b] = [unique('a'), unique('b')];
    const first = won(await one().swap(key, a, undefined));
    const second = won(await one().swap(key, b, first));
    await expect(one().swap(key, a, second)).rejects.toThrow(/no two values/);
    expect(Buffer.from((await one().read(key))?.bytes ?? []).equals(b)).toBe(true);
  });

  it('holds an empty value and one of the largest size, and refuses one byte more', async () => {
    const empty = won(await one().swap('registers/size', new Uint8Array(0), undefined));
    expect((await other().read('registers/size'))?.bytes.length).toBe(0);
    const large = seededBytes(REGISTER_BYTES_MAX, 5);
    const version = won(await one().swap('registers/size', large, empty));
    expect(Buffer.from((await other().read('registers/size'))?.bytes ?? []).equals(large)).toBe(true);
    expect(await code(one().swap('registers/size', new Uint8Array(REGISTER_BYTES_MAX + 1), version))).toBe('STORE_TOO_LARGE');
  });

  it('forgets a deleted register, and what was read before the deletion no longer swaps the one made anew', async () => {
    const key = 'registers/deleted';
    const old = won(await one().swap(key, unique('old'), undefined));
    await other().delete(key);
    expect(await one().read(key)).toBeUndefined();
    expect(await one().swap(key, unique('x'), old)).toBe('conflict');
    const anew = won(await one().swap(key, unique('anew'), undefined));
    expect(await other().swap(key, unique('y'), old)).toBe('conflict');
    won(await other().swap(key, unique('z'), anew));
  });
}

function aborting({ one }: Stores): void {
  it('throws the reason of a signal that has been aborted, for every verb', async () => {
    const reason = new Error('enough');
    const options = { signal: AbortSignal.abort(reason) };
    const store = one();
    await expect(store.put('abort/a', text('x'), options)).rejects.toBe(reason);
    await expect(store.get('abort/a', undefined, options)).rejects.toBe(reason);
    await expect(store.size('abort/a', options)).rejects.toBe(reason);
    await expect(store.delete('abort/a', options)).rejects.toBe(reason);
    await expect(store.read('abort/a', options)).rejects.toBe(reason);
    await expect(store.swap('abort/a', unique('x'), undefined, options)).rejects.toBe(reason);
    await expect(store.probe(options)).rejects.toBe(reason);
    await expect(all(store.list('', options))).rejects.toBe(reason);
    expect(await store.size('abort/a')).toBeUndefined();
  });

  it('stops when the signal comes in the middle, and goes on working', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const bytes = new Uint8Array(8 * MIB);
    const puts = Array.from({ length: 6 }, (_, i) => one().put(`abort/many-${i}`, bytes, { signal: controller.signal }));
    const settled = Promise.allSettled(puts);
    setImmediate(() => controller.abort(reason));
    for (const result of await settled) if (result.status === 'rejected') expect(result.reason).toBe(reason);
    await one().put('abort/after', text('fine'));
    expect(await one().size('abort/after')).toBe(4);
    for (const { key, sizeBytes } of await all(one().list('abort/many'))) expect([key, sizeBytes]).toEqual([key, bytes.length]);
  });
}

function won(result: { readonly version: string } | 'conflict'): string {
  if (result === 'conflict') throw new Error('the swap lost, though nobody else was there');
  return result.version;
}

async function eachOf<T>(items: readonly T[], width: number, work: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const run = async () => {
    for (let i = next++; i < items.length; i = next++) await work(items[i], i);
  };
  await Promise.all(Array.from({ length: width }, run));
}

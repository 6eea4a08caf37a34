import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FsRegisters } from '../../src/store/fs-register.ts';
import { FsRoot } from '../../src/store/fs-root.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { decodeTally } from '../support/counting-writer.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const value = (string: string) => Buffer.from(string);
const never = new AbortController().signal;

/** A writer of its own, as another process would be, which can be made to sleep or die around its link(2). */
async function writer(path: string) {
  const root = await FsRoot.open(path, true);
  const registers = new FsRegisters(root);
  const link = root.link.bind(root);
  return {
    read: async () => {
      const now = await registers.read('r');
      return now && Buffer.from(now.bytes).toString();
    },
    delete: () => registers.delete('r'),
    swap: async (bytes: string, version: string | undefined) => {
      const result = await registers.swap('r', value(bytes), version, never);
      return result === 'conflict' ? result : result.version;
    },
    version: async () => (await registers.read('r'))?.version,
    around: (before: () => Promise<void>, after: () => Promise<void>) => {
      root.link = async (from, to) => {
        await before();
        const linked = await link(from, to);
        await after();
        return linked;
      };
    },
  };
}

const files = (path: string) => {
  const incarnations = readdirSync(join(path, 'r~'));
  expect(incarnations.length).toBe(1);
  return readdirSync(join(path, 'r~', incarnations[0])).sort();
};
const numbered = (...numbers: number[]) => numbers.map((number) => String(number).padStart(16, '0'));
const nothing = async () => {};

async function swaps(by: Awaited<ReturnType<typeof writer>>, ...values: string[]): Promise<void> {
  for (const one of values) expect(await by.swap(one, await by.version())).not.toBe('conflict');
}

describe('a register of a directory store', () => {
  it('keeps the last two values', async () => {
    const path = scratchDirectory();
    const a = await writer(path);
    await swaps(a, 'one', 'two', 'three', 'four', 'five');
    expect(files(path)).toEqual(numbered(4, 5));
  });

  it('refuses a writer that slept until its place was cleaned away, and no reader ever sees its value', async () => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    let seenAfterLink: string | undefined;
    late.around(
      () => swaps(others, 'two', 'three', 'four', 'five'),
      async () => {
        expect(files(path)).toEqual(numbered(2, 4, 5));
        seenAfterLink = await others.read();
      },
    );
    expect(await late.swap('late', await late.version())).toBe('conflict');
    expect(seenAfterLink).toBe('five');
    expect(await others.read()).toBe('five');
    expect(files(path)).toEqual(numbered(4, 5));
  });

  it('tells a writer the truth that won, slept, and finds its value built upon and cleaned away', async () => {
    const path = scratchDirectory();
    const [slow, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    slow.around(nothing, () => swaps(others, 'three', 'four', 'five'));
    const won = await slow.swap('two', await slow.version());
    expect(won).not.toBe('conflict');
    expect(await slow.swap('six', won)).toBe('conflict');
    expect(await others.read()).toBe('five');
  });

  it('holds the value of a writer that died between link and fsync, and goes on from it', async () => {
    const path = scratchDirectory();
    const [dying, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    const from = await dying.version();
    dying.around(nothing, () => Promise.reject(new Error('killed')));
    await expect(dying.swap('two', from)).rejects.toThrow('killed');
    expect(await others.read()).toBe('two');
    expect(await others.swap('other', from)).toBe('conflict');
    dying.around(nothing, nothing);
    expect(await dying.swap('two', from)).toBe(await others.version());
    await swaps(others, 'three');
  });

  it('is not misled by what a writer left behind that died after a link in a cleaned place', async () => {
    const path = scratchDirectory();
    const [dying, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    dying.around(
      () => swaps(others, 'two', 'three', 'four', 'five'),
      () => Promise.reject(new Error('killed')),
    );
    const from = await dying.version();
    await expect(dying.swap('late', from)).rejects.toThrow('killed');
    expect(files(path)).toEqual(numbered(2, 4, 5));
    expect(await others.read()).toBe('five');
    expect(await others.swap('late', from)).toBe('conflict');
    await swaps(others, 'six');
    expect(files(path)).toEqual(numbered(5, 6));
  });

  it.each([1, 2, 5])('refuses a writer that read it and slept through %i swaps, and nothing of its stays', async (count) => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    const from = await late.version();
    const values = Array.from({ length: count }, (_, i) => `other ${i}`);
    await swaps(others, ...values);
    expect(await late.swap('late', from)).toBe('conflict');
    expect(await late.read()).toBe(values.at(-1));
    expect(files(path)).toEqual(numbered(count, count + 1));
    expect(readdirSync(join(path, 'tmp~'))).toEqual([]);
    expect(await late.swap('in time', await late.version())).toBe(await others.version());
  });

  it('does not tell a writer that slept through more swaps than a value remembers', async () => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    const from = await late.version();
    for (let i = 0; i < 70; i++) await swaps(others, `other ${i}`);
    await expect(late.swap('late', from)).rejects.toMatchObject({ code: 'STORE_OUTCOME_UNKNOWN' });
    expect(await late.read()).toBe('other 69');
  });

  it('may be of many megabytes', async () => {
    const a = await openFsStore(scratchDirectory(), { create: true });
    for (const bytes of [65_535 - 16 - 16, 65_536 - 16 - 16, 65_537 - 16 - 16, 3_000_000]) {
      const content = Buffer.alloc(bytes, bytes % 251);
      expect(await a.swap(`of/${bytes}`, content, undefined)).not.toBe('conflict');
      expect(content.equals((await a.read(`of/${bytes}`))!.bytes)).toBe(true);
    }
    await a.close();
  });

  it('is not touched by a writer that slept while it was deleted and made anew', async () => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    late.around(async () => {
      await others.delete();
      await swaps(others, 'new one');
    }, nothing);
    expect(await late.swap('late', await late.version())).toBe('conflict');
    expect(await others.read()).toBe('new one');
    expect(files(path)).toEqual(numbered(1));
    expect(readdirSync(join(path, 'tmp~'))).toEqual([]);
  });

  it('is gone for a writer that slept while it was deleted', async () => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    late.around(async () => void (await others.delete()), nothing);
    expect(await late.swap('late', await late.version())).toBe('conflict');
    expect(await others.read()).toBeUndefined();
  });

  it('asks to be swapped again when somebody removed the temporary file', async () => {
    const path = scratchDirectory();
    const [late, others] = [await writer(path), await writer(path)];
    await swaps(others, 'one');
    late.around(async () => {
      for (const name of readdirSync(join(path, 'tmp~'))) renameSync(join(path, 'tmp~', name), join(path, name));
    }, nothing);
    const from = await late.version();
    await expect(late.swap('late', from)).rejects.toMatchObject({ code: 'STORE_INTERNAL', retry: 'later' });
    late.around(nothing, nothing);
    expect(await late.swap('late', from)).not.toBe('conflict');
  });

  it.each([
    ['a flipped bit', (bytes: Buffer) => bytes.fill(bytes[bytes.length - 1] ^ 1, bytes.length - 1)],
    ['a missing end', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['a missing head', (bytes: Buffer) => bytes.subarray(0, 10)],
    ['no bytes', () => Buffer.alloc(0)],
    ['another version of the format', (bytes: Buffer) => bytes.fill(9, 4, 5)],
    ['the number of another value', (bytes: Buffer) => bytes.fill(9, 15, 16)],
  ])('says that a value with %s is damaged', async (_, damage) => {
    const path = scratchDirectory();
    const a = await writer(path);
    await swaps(a, 'one', 'two');
    const file = join(path, 'r~', readdirSync(join(path, 'r~'))[0], numbered(2)[0]);
    writeFileSync(file, damage(readFileSync(file)));
    await expect(a.read()).rejects.toMatchObject({ code: 'FORMAT_DAMAGED' });
  });

  it('is the value with the highest number, whatever other files lie there', async () => {
    const path = scratchDirectory();
    const a = await writer(path);
    await swaps(a, 'one', 'two');
    const directory = join(path, 'r~', readdirSync(join(path, 'r~'))[0]);
    linkSync(join(directory, numbered(1)[0]), join(directory, '0000000000000009.bak'));
    writeFileSync(join(directory, 'zzz'), 'x');
    expect(await a.read()).toBe('two');
  });
});

type Counter = { readonly name: string; readonly child: ChildProcess; wins: number; readonly ended: Promise<unknown> };

function startCounter(path: string, name: string, times: number): Counter {
  const script = fileURLToPath(new URL('../support/counting-writer.ts', import.meta.url));
  const child = spawn(process.execPath, [script, path, 'registers/counter', name, String(times)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const counter: Counter = { name, child, wins: 0, ended: once(child, 'close') };
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line === 'won') counter.wins++;
  });
  return counter;
}

async function tally(path: string): Promise<Readonly<Record<string, number>>> {
  const store = await openFsStore(path);
  return decodeTally((await store.read('registers/counter'))?.bytes).counts;
}

describe('a register of a directory store under many processes', () => {
  it('loses no count and doubles none when eight processes count at once', async () => {
    const path = scratchDirectory();
    const counters = Array.from({ length: 8 }, (_, i) => startCounter(path, `p${i}`, 25));
    await Promise.all(counters.map(({ ended }) => ended));
    expect(await tally(path)).toEqual(Object.fromEntries(counters.map(({ name }) => [name, 25])));
    expect(counters.map(({ wins }) => wins)).toEqual(counters.map(() => 25));
    expect(readdirSync(join(path, 'tmp~'))).toEqual([]);
  });

  it('loses no count and doubles none when processes are stopped and killed at random', async () => {
    const path = scratchDirectory();
    const seed = Date.now() >>> 0;
    const random = seededRandom(seed);
    const steady = Array.from({ length: 2 }, (_, i) => startCounter(path, `steady${i}`, 60));
    const killed: Counter[] = [];
    let over = false;
    const stopAndGo = async () => {
      while (!over) {
        const { child } = steady[Math.floor(random() * steady.length)];
        // Short enough that no more swaps pass by than a register remembers.
        child.kill('SIGSTOP');
        await sleep(random() * 15);
        child.kill('SIGCONT');
        await sleep(random() * 20);
      }
    };
    const killing = async () => {
      while (killed.length < 8) {
        const counter = startCounter(path, `killed${killed.length}`, 1_000_000);
        killed.push(counter);
        await Promise.race([once(counter.child.stdout as NodeJS.ReadableStream, 'data'), counter.ended]);
        await sleep(random() * 60);
        counter.child.kill('SIGKILL');
        await counter.ended;
      }
      over = true;
    };
    await Promise.all([stopAndGo(), killing()]);
    // Undisturbed from here: nobody promises that who is stopped again and again ever wins.
    await Promise.all(steady.map(({ ended }) => ended));
    const counts = await tally(path);
    for (const { name, wins } of steady) expect([name, wins, counts[name], seed]).toEqual([name, 60, 60, seed]);
    // Whoever was killed may have won once more than it lived to say.
    for (const { name, wins } of killed) expect([0, 1], `${name}, seed ${seed}`).toContain((counts[name] ?? 0) - wins);
    const store = await openFsStore(path);
    const now = await store.read('registers/counter');
    expect(await store.swap('registers/counter', value(`{"counts":{},"nonce":"${seed}"}`), now?.version)).not.toBe('conflict');
  });
});

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repair } from '../../src/engine/repair.ts';
import { scrub } from '../../src/engine/scrub.ts';
import { verify } from '../../src/engine/verify.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectsIn, openRepository, readTree, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

/** On the way to whoever reads it first a bit of each object is flipped, as only a network or bad memory does. What is asked for is noted. */
class FirstReadFlipped {
  readonly seen = new Set<string>();
  readonly #isFar: boolean;

  constructor({ isFar }: { readonly isFar: boolean }) {
    this.#isFar = isFar;
  }

  wrap = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown;
        if (name === 'get') return (...args: Parameters<ObjectStore['get']>) => this.#get(target, args);
        // As of a store that is far away: a worker would read its files by itself.
        if (name === 'localPath' && this.#isFar) return undefined;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });

  async #get(store: ObjectStore, args: Parameters<ObjectStore['get']>): Promise<Uint8Array> {
    const bytes = await store.get(...args);
    if (this.seen.has(args[0]) || bytes.length === 0) return bytes;
    this.seen.add(args[0]);
    const flipped = Uint8Array.from(bytes);
    flipped[flipped.length >> 1]! ^= 1;
    return flipped;
  }
}

test('a bit that flips on the way of every object is no damage: it opens, is clean, and repair leaves all as it is', async () => {
  const directory = scratchDirectory();
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const { id } = await backUpTree(await newRepository(directory), tree);
  const before = objectsIn(directory, '');
  const opened = async (): Promise<{ repository: Awaited<ReturnType<typeof openRepository>>; seen: Set<string> }> => {
    rmSync(join(directory, 'cache'), { recursive: true, force: true });
    const flipped = new FirstReadFlipped({ isFar: false });
    const repository = await openRepository(directory, { wrap: flipped.wrap });
    onTestFinished(() => repository.close());
    return { repository, seen: flipped.seen };
  };
  const { repository, seen } = await opened();
  expect(await verify(repository, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
  expect(new Set([...seen].map((key) => key.split('/')[0]))).toEqual(
    new Set(['repository', 'keys', 'session-keys', 'index', 'packs']),
  );
  const repaired = await repair((await opened()).repository, { by: 'test', threads: 1 });
  expect(repaired).toMatchObject({ outcome: 'clean', damaged: [], affected: [] });
  expect(objectsIn(directory, '')).toEqual(before);
  const target = join(directory, 'out');
  await restoreTo((await opened()).repository, id, target);
  expect(readTree(target)).toEqual(readTree(tree));
});

test('nor is one in the blocks of a store that is far away: all that needs them is restored whole, and clean', async () => {
  const directory = scratchDirectory();
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 2);
  // Of many blocks, paged and not, beside files that share one.
  writeFileSync(join(tree, 'paged'), seededBytes(5 * 1024 * 1024, 1));
  writeFileSync(join(tree, 'cut'), seededBytes(5 * 1024 * 1024 + 1, 2));
  for (let n = 0; n < 50; n++) writeFileSync(join(tree, `small${n}`), seededBytes(2000 + n, n));
  const { id } = await backUpTree(await newRepository(directory), tree);
  const flipped = new FirstReadFlipped({ isFar: true });
  const reader = await openRepository(directory, { wrap: flipped.wrap });
  onTestFinished(() => reader.close());
  const target = join(directory, 'out');
  expect(await restoreTo(reader, id, target)).toEqual([]);
  expect([...flipped.seen].filter((key) => key.startsWith('packs/')).length).toBeGreaterThan(1);
  expect(readTree(target)).toEqual(readTree(tree));
  const { wrap } = new FirstReadFlipped({ isFar: true });
  const repository = await openRepository(directory, { wrap });
  onTestFinished(() => repository.close());
  expect(await verify(repository, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
  expect(await scrub(new FirstReadFlipped({ isFar: true }).wrap(repository.store), { threads: 1 })).toMatchObject({
    outcome: 'clean',
  });
});

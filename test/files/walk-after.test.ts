// A walk that goes on behind a place finds what the whole walk finds behind it.

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileExclude } from '../../src/files/exclude.ts';
import { type WalkItem, type WalkOptions, walk } from '../../src/files/walk.ts';
import { Walker } from '../../src/worker/walker.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-walk-after-'));
  for (const directory of ['a', 'a/b', 'a/b/c', 'a.d', 'a/empty', 'm', 'm/deep/er', 'z'])
    mkdirSync(join(root, directory), { recursive: true });
  for (const file of ['a/1', 'a/b/2', 'a/b/c/3', 'a/b/d', 'a-', 'a.d/4', 'm/deep/er/5', 'm/x', 'z/é', 'zz'])
    writeFileSync(join(root, file), file);
  symlinkSync('1', join(root, 'a/link'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const told = (items: Iterable<WalkItem>): string[] => [...items].map(({ path, kind }) => `${kind} ${path}`);

function behind(item: WalkItem, options: WalkOptions = {}): WalkOptions {
  return { ...options, after: { path: item.path, isDirectory: item.kind === 'directory' } };
}

async function walkedByThread(from: WalkItem, patterns: readonly string[]): Promise<WalkItem[]> {
  const request = { patterns, leftOut: undefined, oneFileSystem: false, excludeCaches: false };
  const walker = new Walker(root, request, { path: from.path, isDirectory: from.kind === 'directory' });
  const found: WalkItem[] = [];
  for await (const batch of walker.batches()) found.push(...batch);
  return found;
}

describe('a walk behind a place', () => {
  test('yields all that follows, whatever the place', () => {
    for (const options of [{}, { exclude: compileExclude(['/m/deep', 'd']) }]) {
      const all = [...walk([root], options)];
      expect(all.length).toBeGreaterThan(15);
      for (let n = 0; n < all.length; n++) expect([...walk([root], behind(all[n]!, options))]).toEqual(all.slice(n + 1));
    }
  });

  test('yields the same in a thread, every field of it', async () => {
    const all = [...walk([root])];
    for (const n of [0, 3, all.length - 1]) expect(await walkedByThread(all[n]!, [])).toEqual(all.slice(n + 1));
    const some = [...walk([root], { exclude: compileExclude(['/m/deep']) })];
    expect(await walkedByThread(some[1]!, ['/m/deep'])).toEqual(some.slice(2));
  });

  test('goes on where the place, a file, is not there any more', () => {
    const all = [...walk([root])];
    const n = all.findIndex(({ path }) => path === 'a/b/2');
    rmSync(join(root, 'a/b/2'));
    expect(told(walk([root], behind(all[n]!)))).toEqual(told(all.slice(n + 1)));
  });

  test('tells of a directory on the way that is gone, or is none any more: not all in it was walked', () => {
    const all = [...walk([root])];
    const n = all.findIndex(({ path }) => path === 'a/b/c/3');
    const rest = told(all.slice(n + 1)).filter((one) => !one.includes(' a/b/'));
    renameSync(join(root, 'a/b'), join(root, 'zzz'));
    const found = told(walk([root], behind(all[n]!)));
    expect(found.slice(0, rest.length + 1)).toEqual(['problem a/b', ...rest]);
    writeFileSync(join(root, 'a/b'), 'a file');
    expect(told(walk([root], behind(all[n]!)))[0]).toBe('problem a/b');
    const last = all.findIndex(({ path }) => path === 'a/empty');
    rmSync(join(root, 'a/empty'), { recursive: true });
    expect(told(walk([root], behind(all[last]!)))[0]).toBe('problem a/empty');
  });

  test('tells of a root that is gone', () => {
    const all = [...walk([root])];
    rmSync(root, { recursive: true });
    expect(told(walk([root], behind(all[2]!)))).toEqual(['problem ']);
  });
});

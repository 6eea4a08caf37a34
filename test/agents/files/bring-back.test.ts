import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BringBack, bringBack, differences, newestPoint } from '../../../agents/files/bring-back.ts';
import type { RestoreProblem } from '../../../src/engine/restore-progress.ts';
import { backUpImage } from '../../support/images.ts';
import { backUpTree, objectPath, objectsIn, openRepository, writeFileAt } from '../../support/repository.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const signal = new AbortController().signal;

async function found(wish: BringBack): Promise<RestoreProblem[]> {
  const problems: RestoreProblem[] = [];
  await differences(wish, (problem) => void problems.push(problem));
  return problems;
}

/** A tree that was backed up, and a place for it. */
async function scene() {
  const directory = scratchDirectory();
  const repository = await openRepository(directory, { init: true });
  const source = join(directory, 'source');
  mkdirSync(join(source, 'a/b'), { recursive: true });
  for (const name of ['kept', 'a/changed', 'a/b/gone']) writeFileSync(join(source, name), `${name} as it was`);
  const snapshot = await backUpTree(repository, source, { asset: 'files/uploads' });
  const path = join(directory, 'target');
  const aside = join(directory, 'target.before');
  return { directory, repository, source, snapshot, path, aside, wish: { repository, snapshot, path, threads: 1, signal } };
}

describe('files of a plan', () => {
  it('are brought to a new place, and to one that is there without writing over anything that is not in the backup', async () => {
    const { path, aside, wish, directory } = await scene();
    const first = await bringBack(wish, aside);
    expect(first).toMatchObject({ entries: 6, setAside: 0, aside: null, bytesKept: 0 });
    expect(await found(wish)).toEqual([]);
    // Somebody went on writing there.
    writeFileSync(join(path, 'a/changed'), 'the only copy of this');
    mkdirSync(join(path, 'new/below'), { recursive: true });
    writeFileSync(join(path, 'new/below/file'), 'and of this');
    rmSync(join(path, 'a/b/gone'));
    expect((await found(wish)).map((one) => one.path).sort()).toContain('a/b/gone');
    const second = await bringBack(wish, aside);
    expect(second).toMatchObject({ setAside: 2, aside });
    expect(second.bytesKept).toBeGreaterThan(0);
    expect(await found(wish)).toEqual([]);
    expect(existsSync(join(path, 'new'))).toBe(false);
    expect(readFileSync(join(aside, 'a/changed'), 'utf8')).toBe('the only copy of this');
    expect(readFileSync(join(aside, 'new/below/file'), 'utf8')).toBe('and of this');
    // What was set aside once stays; the next time has another place.
    rmSync(join(path, 'a'), { recursive: true });
    writeFileSync(join(path, 'a'), 'a file in the way of a directory');
    renameSync(join(path, 'kept'), join(directory, 'moved'));
    mkdirSync(join(path, 'kept'));
    expect(await bringBack(wish, aside)).toMatchObject({ setAside: 2, aside: `${aside}.2` });
    expect(await found(wish)).toEqual([]);
    expect(readFileSync(join(`${aside}.2`, 'a'), 'utf8')).toBe('a file in the way of a directory');
  });

  it('are set aside whatever kind of entry they are in the place of, and under each of their names', async () => {
    const directory = scratchDirectory();
    const repository = await openRepository(directory, { init: true });
    const source = join(directory, 'source');
    mkdirSync(join(source, 'directory'), { recursive: true });
    writeFileSync(join(source, 'file'), 'file');
    linkSync(join(source, 'file'), join(source, 'file, too'));
    symlinkSync('file', join(source, 'link'));
    execFileSync('mkfifo', [join(source, 'fifo')]);
    const snapshot = await backUpTree(repository, source, { asset: 'files/uploads' });
    const wish = { repository, snapshot, path: join(directory, 'target'), threads: 1, signal };
    const aside = join(directory, 'target.before');
    await bringBack(wish, aside);
    const names = ['directory', 'fifo', 'file', 'file, too', 'link'];
    for (const name of names) rmSync(join(wish.path, name), { recursive: true });
    for (const name of names.filter((one) => one !== 'file, too')) writeFileSync(join(wish.path, name), `the only copy of ${name}`);
    linkSync(join(wish.path, 'file'), join(wish.path, 'file, too'));
    expect(await bringBack(wish, aside)).toMatchObject({ setAside: names.length });
    for (const name of names)
      expect(readFileSync(join(aside, name), 'utf8')).toBe(`the only copy of ${name === 'file, too' ? 'file' : name}`);
    expect(await found(wish)).toEqual([]);
  });

  it('are set aside by themselves, whatever names stand around them', async () => {
    const directory = scratchDirectory();
    const repository = await openRepository(directory, { init: true });
    const source = join(directory, 'source');
    const kept = ['a!', 'a/b', 'a/c!/d', 'a/c/d', 'a0', 'b'];
    for (const name of kept) writeFileAt(source, name, Buffer.from(name));
    const snapshot = await backUpTree(repository, source, { asset: 'files/uploads' });
    const wish = { repository, snapshot, path: join(directory, 'target'), threads: 1, signal };
    const aside = join(directory, 'aside');
    await bringBack(wish, aside);
    const others = ['a"', 'a/!', 'a/c"/x/y', 'a/c/!', 'a/c/e', 'a1/x', 'a1/y', 'c'];
    for (const name of others) writeFileAt(wish.path, name, Buffer.from(name));
    expect(await bringBack(wish, aside)).toMatchObject({ setAside: 7 });
    for (const name of others) expect(readFileSync(join(aside, name), 'utf8')).toBe(name);
    for (const name of kept) expect(readFileSync(join(wish.path, name), 'utf8')).toBe(name);
    expect(others.filter((name) => existsSync(join(wish.path, name)))).toEqual([]);
  });

  it('a volume is set aside when it is longer than the backup, whose end it would lose', async () => {
    const directory = scratchDirectory();
    const repository = await openRepository(directory, { init: true });
    const path = join(directory, 'disk.img');
    writeFileSync(path, Buffer.alloc(512 * 1024, 1));
    const wish = { repository, snapshot: await backUpImage(repository, path), path, threads: 1, signal };
    writeFileSync(path, Buffer.alloc(512, 2), { flag: 'a' });
    const aside = join(directory, 'aside');
    expect(await found(wish)).toMatchObject([{ code: 'DIFFERS' }]);
    expect(await bringBack(wish, aside)).toMatchObject({ setAside: 1, aside });
    expect(readFileSync(join(aside, 'volume'))).toHaveLength(512 * 1024 + 512);
    expect(readFileSync(path)).toEqual(Buffer.alloc(512 * 1024, 1));
    expect(await found(wish)).toEqual([]);
  });

  it('come from the newest backup that was complete in time, of the kind that the plan says', async () => {
    const { repository, source, snapshot } = await scene();
    const before = new Date();
    writeFileSync(join(source, 'later'), 'later');
    const later = await backUpTree(repository, source, { asset: 'files/uploads' });
    const wanted = { asset: 'files/uploads', kind: 'files' } as const;
    expect((await newestPoint(repository, wanted, undefined, signal)).id).toBe(later.id);
    expect((await newestPoint(repository, wanted, before, signal)).id).toBe(snapshot.id);
    const refused = (wish: object, until: Date | undefined) => newestPoint(repository, { ...wanted, ...wish }, until, signal);
    await expect(refused({ kind: 'volume' }, undefined)).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    await expect(refused({ asset: 'files/other' }, undefined)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    await expect(refused({}, new Date(0))).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  it('that are damaged in the repository are no success', async () => {
    const { wish, path, aside, directory } = await scene();
    const packs = [...objectsIn(directory, 'packs')];
    expect(packs.length).toBeGreaterThan(0);
    for (const [key, bytes] of packs) {
      rmSync(objectPath(directory, key));
      writeFileSync(objectPath(directory, key), Buffer.alloc(bytes, 7));
    }
    await expect(bringBack(wish, aside)).rejects.toThrow();
    expect(existsSync(join(path, 'kept'))).toBe(false);
  });
});

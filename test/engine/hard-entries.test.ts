// Entries that are hard to put into a map: each of these once made a snapshot that could not be read again, or no snapshot.

import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, lstatSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openFileSource } from '../../agents/files/source.ts';
import { backUp } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import { HERE } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, readTree, restoreTo, writeFileAt } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

/** Holds times of 64 bits and attributes of 64 KiB, unlike most file systems. */
const TMPFS = '/dev/shm';

function scratchOnTmpfs(): string {
  const path = mkdtempSync(join(TMPFS, 'holdfast-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const secondsOf = (path: string): bigint => lstatSync(path, { bigint: true }).mtimeNs / 1_000_000_000n;

test.skipIf(!existsSync(TMPFS))(
  'files from the end of time keep their neighbours readable, and are kept as old as a number can say',
  async () => {
    const source = scratchOnTmpfs();
    const times = ['9223372036854775807', '-9223372036854775807', '9007199254740993', '0'];
    for (const [n, time] of times.entries()) {
      writeFileSync(join(source, `f${n}`), `file ${n}`);
      execFileSync('touch', ['-d', `@${time}`, join(source, `f${n}`)]);
    }
    const repository = await newRepository(scratchDirectory());
    const snapshot = await backUpTree(repository, source);
    const target = join(scratchOnTmpfs(), 'target');
    expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
    expect(readTree(target)).toEqual(readTree(source));
    expect(secondsOf(join(target, 'f0'))).toBe(2n ** 50n);
    expect(secondsOf(join(target, 'f3'))).toBe(0n);
    // And again, on top of what was kept.
    const second = await backUpTree(repository, source);
    expect(await restoreTo(repository, second.id, join(target, 'again'))).toEqual([]);
  },
);

test.skipIf(!existsSync(TMPFS) || !posixCalls().can.xattrs)(
  'large attributes of many files, more than a block of nodes holds, come back',
  async () => {
    const source = scratchOnTmpfs();
    const value = (n: number): Uint8Array => seededBytes(30_000, n);
    for (let n = 0; n < 40; n++) {
      writeFileSync(join(source, `f${n}`), '');
      posixCalls().setXattr(HERE, join(source, `f${n}`), 'user.large', value(n));
    }
    const repository = await newRepository(scratchDirectory());
    const snapshot = await backUpTree(repository, source);
    const target = join(scratchOnTmpfs(), 'target');
    expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
    for (let n = 0; n < 40; n++)
      expect(Buffer.compare(posixCalls().getXattr(HERE, join(target, `f${n}`), 'user.large')!, value(n))).toBe(0);
  },
);

type Problem = { readonly path: string; readonly code: string };

/** Backs up a tree of which something changes just when it has been seen: `seen` is told of each path before it is read. */
async function backUpChanging(
  repository: Repository,
  source: string,
  seen: (path: string) => void,
): Promise<{ snapshot: Snapshot; problems: string[] }> {
  const problems: string[] = [];
  const progress = new BackupProgress();
  const listener = { onProblem: ({ path, code }: Problem) => void problems.push(`${path}: ${code}`) };
  const details = {
    asset: 'tree',
    type: 'files' as const,
    host: 'test',
    user: 'test',
    paths: [source],
    tags: [],
    program: 'test',
    now: () => new Date(),
    threads: 1,
    level: 1,
    signal: new AbortController().signal,
    progress,
    listener,
  };
  const snapshot = await backUp(repository, details, async ({ pipeline, parent }) => {
    const files = openFileSource([source]);
    function* items() {
      for (const item of files.items()) {
        seen(item.path);
        yield item;
      }
    }
    const root = await backUpFiles({
      session: pipeline,
      source: { ...files, items },
      paged: repository.parameters.paged,
      parentRoot: parent?.root,
      readNode: repository.readNode,
      progress,
      listener,
      parentStartedMs: undefined,
    });
    return { root };
  });
  await repository.syncIndex((await repository.heads.read()).indexes);
  return { snapshot, problems: [...new Set(problems)].sort() };
}

test('a large file that is cut off between being seen and being read is kept as what is left of it, even when that is nothing', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  const large = seededBytes(17 * 1024 * 1024 + 1, 1);
  for (const name of ['to nothing', 'to a part', 'whole']) writeFileAt(source, name, large);
  const repository = await newRepository(scratch);
  const { snapshot, problems } = await backUpChanging(repository, source, (path) => {
    if (path === 'to nothing') truncateSync(join(source, path), 0);
    if (path === 'to a part') truncateSync(join(source, path), 5_000_000);
  });
  expect(problems).toEqual(['to a part: CHANGED', 'to nothing: CHANGED']);
  const sizes: Record<string, number> = {};
  for await (const entry of entriesOf(snapshot.root.reference, repository.readNode)) sizes[entry.path] = entry.sizeBytes;
  expect(sizes).toEqual({ '': 0, 'to a part': 5_000_000, 'to nothing': 0, whole: large.length });
  const target = join(scratch, 'target');
  expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
  expect(readFileSync(join(target, 'to nothing')).length).toBe(0);
  expect(readFileSync(join(target, 'to a part')).equals(large.subarray(0, 5_000_000))).toBe(true);
  expect(readFileSync(join(target, 'whole')).equals(large)).toBe(true);
});

test('when the first name of a file is gone before it is read, the next one holds the content, and the others are links to that', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  const contents = [Buffer.from('short'), seededBytes(200_000, 2), seededBytes(256 * 1024, 3)];
  contents.forEach((content, n) => {
    writeFileAt(source, `a${n}`, content);
    for (const name of ['b', 'c', 'd', 'e']) linkSync(join(source, `a${n}`), join(source, `${name}${n}`));
  });
  const repository = await newRepository(scratch);
  // The first two names of each.
  const { snapshot, problems } = await backUpChanging(repository, source, (path) => {
    if (/^[ab]\d$/.test(path)) rmSync(join(source, path));
  });
  expect(problems).toEqual(['a0: ENOENT', 'a1: ENOENT', 'a2: ENOENT', 'b0: ENOENT', 'b1: ENOENT', 'b2: ENOENT']);
  const links: Record<string, string> = {};
  for await (const entry of entriesOf(snapshot.root.reference, repository.readNode)) links[entry.path] = entry.hardLinkTo;
  expect(links).toEqual({ '': '', c0: '', c1: '', c2: '', d0: 'c0', d1: 'c1', d2: 'c2', e0: 'c0', e1: 'c1', e2: 'c2' });
  const target = join(scratch, 'target');
  expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
  for (const name of ['c', 'd', 'e'])
    for (const [n, content] of contents.entries()) expect(readFileSync(join(target, `${name}${n}`)).equals(content)).toBe(true);
  expect(lstatSync(join(target, 'c0')).ino).toBe(lstatSync(join(target, 'e0')).ino);
});

test('a file that says that it is empty and holds something is named, not kept as an empty one', async () => {
  const repository = await newRepository(scratchDirectory());
  const { snapshot, problems } = await backUpChanging(repository, '/proc/sys/kernel/random', () => {});
  expect(problems).toContain('uuid: SIZE_UNKNOWN');
  const kept: string[] = [];
  for await (const { path } of entriesOf(snapshot.root.reference, repository.readNode)) kept.push(path);
  expect(kept).not.toContain('uuid');
});

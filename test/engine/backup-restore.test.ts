// Backup and restore by the real engine on real files.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backUp } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { backUpStream } from '../../src/engine/backup-stream.ts';
import { parseChangedRanges } from '../../src/engine/changed-ranges.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { readContent } from '../../src/engine/restore-single.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import { HERE, OPEN } from '../../src/files/posix.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { native as posix } from '../files/scratch.ts';
import { backUpImage, contentOf, restoreImage as restoreFile } from '../support/images.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, objectPath, objectsIn, readTree, restoreTo, writeFileAt, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const SIGNAL = new AbortController().signal;
/** Times of change this far back are settled: see src/engine/settled.ts. */
const LATER = (): Date => new Date(Date.now() + 60_000);

type TreeOptions = { readonly below?: string; readonly delta?: boolean };

async function restore(
  repository: Repository,
  snapshot: Snapshot,
  target: string,
  { below = '', delta = false }: TreeOptions = {},
) {
  await repository.syncIndex((await repository.heads.read()).indexes);
  fs.mkdirSync(target, { recursive: true });
  const problems: RestoreProblem[] = [];
  const progress = new RestoreProgress();
  const pool = new ReadingPool(repository.store, 2, { idKey: repository.keyring.payload.idKey, target }, SIGNAL);
  try {
    await restoreTree({
      root: snapshot.root.reference,
      below,
      target,
      delta,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      blocks: repository.blocks,
      keys: repository.keys,
      pool,
      progress,
      onProblem: (problem) => problems.push(problem),
    });
  } finally {
    await pool.close();
  }
  return { problems, progress };
}

function patch(path: string, offset: number, bytes: Uint8Array): void {
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, bytes, 0, bytes.length, offset);
  fs.closeSync(fd);
}

test('a tree of small, large, paged and linked files comes back as it was', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 1, 80);
  writeFileAt(source, 'large.bin', seededBytes(20 * 1024 * 1024 + 7, 2));
  writeFileAt(source, 'paged.db', seededBytes(6 * 1024 * 1024, 3));
  writeFileAt(source, 'many-chunks.bin', seededBytes(9 * 1024 * 1024 + 1, 4));
  fs.linkSync(join(source, 'large.bin'), join(source, 'linked.bin'));
  fs.symlinkSync('nowhere', join(source, 'dangling'));
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source, { threads: 2 });
  const { problems } = await restore(repository, snapshot, join(scratch, 'target'));
  expect(problems).toEqual([]);
  expect(readTree(join(scratch, 'target'))).toEqual(readTree(source));
  expect(fs.statSync(join(scratch, 'target/linked.bin')).ino).toBe(fs.statSync(join(scratch, 'target/large.bin')).ino);
});

test('an unchanged tree is not read, and nothing but a snapshot is written', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 5);
  const repository = await newRepository(scratch);
  await backUpTree(repository, source, { now: LATER() });
  const before = objectsIn(scratch, '');
  const { statistics, root, parent } = await backUpTree(repository, source, { now: LATER() });
  expect(parent).toBeDefined();
  expect(statistics).toMatchObject({ bytesRead: 0, bytesStored: 0, filesUnchanged: statistics.files });
  expect(root.entries).toBeGreaterThan(40);
  expect(objectsIn(scratch, '')).toEqual(before);
});

test('a file that changed within the clock tick in which it was read is read again', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeFileAt(source, 'racy', 'one');
  const repository = await newRepository(scratch);
  // The parent began before the times of the file: they prove nothing.
  await backUpTree(repository, source, { now: new Date(Date.now() - 60_000) });
  const { statistics } = await backUpTree(repository, source);
  expect(statistics.bytesRead).toBe(3);
});

test('a changed, a removed and a new file cost their own content only', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 6, 300);
  const repository = await newRepository(scratch);
  await backUpTree(repository, source, { now: LATER() });
  fs.rmSync(join(source, 'd1/f1'));
  writeFileAt(source, 'd2/new', seededBytes(5000, 8));
  writeFileAt(source, 'd3/f3', seededBytes(7000, 9));
  const second = await backUpTree(repository, source, { now: LATER() });
  expect(second.statistics.bytesRead).toBe(12_000);
  expect(second.statistics.bytesNew).toBe(12_000);
  const { problems } = await restore(repository, second, join(scratch, 'target'));
  expect(problems).toEqual([]);
  expect(readTree(join(scratch, 'target'))).toEqual(readTree(source));
});

test('a file that is copied, moved or has something inserted is found again by content', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  const content = seededBytes(12 * 1024 * 1024 + 3, 10);
  writeFileAt(source, 'a', content);
  const repository = await newRepository(scratch);
  await backUpTree(repository, source);
  writeFileAt(source, 'copy', content);
  fs.renameSync(join(source, 'a'), join(source, 'moved'));
  writeFileAt(
    source,
    'inserted',
    Buffer.concat([content.subarray(0, 5_000_001), Buffer.from('inserted'), content.subarray(5_000_001)]),
  );
  const { statistics } = await backUpTree(repository, source);
  expect(statistics.bytesNew).toBeLessThan(3 * 1024 * 1024);
});

test('a paged file stores the units that changed, by position', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeFileAt(source, 'small.db', seededBytes(2 * 1024 * 1024, 11));
  writeFileAt(source, 'large.db', seededBytes(9 * 1024 * 1024, 12));
  const repository = await newRepository(scratch);
  await backUpTree(repository, source);
  for (const path of ['small.db', 'large.db']) {
    patch(join(source, path), 8192, seededBytes(8192, 13));
    patch(join(source, path), 1_500_000, seededBytes(10, 14));
  }
  const second = await backUpTree(repository, source);
  expect(second.statistics.bytesNew).toBe(4 * 16 * 1024);
  const { problems } = await restore(repository, second, join(scratch, 'target'));
  expect(problems).toEqual([]);
  expect(readTree(join(scratch, 'target'))).toEqual(readTree(source));
});

test('a file that vanishes meanwhile is reported and left out, and the rest is backed up', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeFileAt(source, 'a', 'kept');
  const repository = await newRepository(scratch);
  writeFileAt(source, 'b', 'vanishes');
  const problems: { path: string; missing: boolean }[] = [];
  let seen = 0;
  // Vanishes when its directory has been listed and its neighbour is being looked at.
  const progress = Object.defineProperty(new BackupProgress(), 'entriesScanned', {
    get: () => seen,
    set: (n: number) => {
      seen = n;
      if (n === 2) fs.rmSync(join(source, 'b'));
    },
  });
  const snapshot = await backUpTree(repository, source, { problems, progress });
  expect(snapshot.problems).toBe(1);
  expect(problems).toMatchObject([{ path: 'b' }]);
  await restore(repository, snapshot, join(scratch, 'target'));
  expect([...readTree(join(scratch, 'target')).keys()]).toEqual(['a']);
});

test('a sub-tree and a single file can be restored, a hard link without its original included', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 15);
  writeFileAt(source, 'd0/original', seededBytes(300_000, 16));
  fs.linkSync(join(source, 'd0/original'), join(source, 'd4/other-name'));
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source);
  await restore(repository, snapshot, join(scratch, 'tree'), { below: 'd4' });
  expect(readTree(join(scratch, 'tree'))).toEqual(readTree(join(source, 'd4')));
  await restore(repository, snapshot, join(scratch, 'file'), { below: 'd0/original' });
  expect(readTree(join(scratch, 'file'))).toEqual(
    new Map([['original', Buffer.from(seededBytes(300_000, 16)).toString('latin1')]]),
  );
});

test('a delta restore fetches only what differs and mends the rest', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  const target = join(scratch, 'target');
  writeSampleTree(source, 17);
  writeFileAt(source, 'big.db', seededBytes(8 * 1024 * 1024, 18));
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source);
  await restore(repository, snapshot, target);
  patch(join(target, 'big.db'), 5_000_000, Buffer.from('damaged'));
  fs.rmSync(join(target, 'd2/f2'));
  fs.writeFileSync(join(target, 'd3/f3'), 'something else, and longer than before'.repeat(10_000));
  const { problems, progress } = await restore(repository, snapshot, target, { delta: true });
  expect(problems).toEqual([]);
  expect(readTree(target)).toEqual(readTree(source));
  expect(progress.bytesKept).toBeGreaterThan(8 * 1024 * 1024 - 64 * 1024);
});

test('a volume of holes and data comes back with its holes, and unchanged it is not read', async () => {
  const scratch = scratchDirectory();
  const image = join(scratch, 'disk.img');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, 40 * 1024 * 1024 + 512);
  patch(image, 100_000, seededBytes(3_000_000, 20));
  patch(image, 39 * 1024 * 1024, seededBytes(1024 * 1024 + 512, 21));
  const repository = await newRepository(scratch);
  const first = await backUpImage(repository, image, { now: LATER() });
  expect(first.statistics.bytesNew).toBeLessThan(5 * 1024 * 1024);
  await restoreFile(repository, first, join(scratch, 'restored.img'));
  expect(fs.readFileSync(join(scratch, 'restored.img')).equals(fs.readFileSync(image))).toBe(true);
  expect(fs.statSync(join(scratch, 'restored.img')).blocks * 512).toBeLessThan(6 * 1024 * 1024);
  const second = await backUpImage(repository, image, { now: LATER() });
  expect(second.statistics).toMatchObject({ bytesRead: 0, bytesStored: 0 });
  expect((await backUpImage(repository, image, { now: LATER(), rereadAll: true })).statistics).toMatchObject({ bytesNew: 0 });
  // What was data is a hole now, and what was a hole is data.
  const fd = posix.open(HERE, image, OPEN.readWrite, 0);
  expect(posix.punchHole(fd, 200_000, 2_000_000)).toBe(true);
  posix.close(fd);
  patch(image, 20_000_000, seededBytes(10_000, 22));
  const third = await backUpImage(repository, image, { now: LATER() });
  await restoreFile(repository, third, join(scratch, 'third.img'));
  expect(fs.readFileSync(join(scratch, 'third.img')).equals(fs.readFileSync(image))).toBe(true);
});

test('changed ranges are all that is read of a volume', async () => {
  const scratch = scratchDirectory();
  const image = join(scratch, 'disk.img');
  fs.writeFileSync(image, seededBytes(16 * 1024 * 1024, 22));
  const repository = await newRepository(scratch);
  await backUpImage(repository, image);
  patch(image, 1_000_000, seededBytes(4096, 23));
  patch(image, 9_999_990, seededBytes(20_000, 24));
  const ranges = parseChangedRanges('1000000 4096\n# twice, and touching\n9999990 10000\n10009990 10000\n', 'ranges');
  const second = await backUpImage(repository, image, { ranges });
  expect(second.statistics.bytesRead).toBe(3 * 16 * 1024);
  await restoreFile(repository, second, join(scratch, 'restored.img'));
  expect(fs.readFileSync(join(scratch, 'restored.img')).equals(fs.readFileSync(image))).toBe(true);
  fs.writeFileSync(join(scratch, 'old.img'), seededBytes(16 * 1024 * 1024, 22));
  const progress = await restoreFile(repository, second, join(scratch, 'old.img'), true);
  expect(fs.readFileSync(join(scratch, 'old.img')).equals(fs.readFileSync(image))).toBe(true);
  expect(progress.bytesKept).toBe(16 * 1024 * 1024 - 3 * 16 * 1024);
});

test('a volume that grew or shrank is still backed up whole', async () => {
  const scratch = scratchDirectory();
  const image = join(scratch, 'disk.img');
  const repository = await newRepository(scratch);
  for (const megabytes of [5, 13, 4, 0]) {
    fs.writeFileSync(image, seededBytes(megabytes * 1024 * 1024 + megabytes, 25));
    const snapshot = await backUpImage(repository, image);
    fs.rmSync(join(scratch, 'restored.img'), { force: true });
    await restoreFile(repository, snapshot, join(scratch, 'restored.img'));
    expect(fs.readFileSync(join(scratch, 'restored.img')).equals(fs.readFileSync(image))).toBe(true);
  }
});

test('a stream in odd pieces comes back to a file and to a stream, and again costs nothing', async () => {
  const scratch = scratchDirectory();
  const content = seededBytes(11 * 1024 * 1024 + 5, 26);
  const repository = await newRepository(scratch);
  const run = (pieceBytes: number): Promise<Snapshot> => {
    async function* stream(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
    }
    const progress = new BackupProgress();
    const listener = { onProblem: (problem: { message: string }) => expect.fail(problem.message) };
    const details = {
      asset: 'stream',
      type: 'stream' as const,
      host: 'test',
      user: 'test',
      paths: ['dump'],
      tags: [],
      program: 'test',
      now: () => new Date(),
      threads: 2,
      level: 1,
      signal: SIGNAL,
      progress,
      listener,
    };
    return backUp(repository, details, async ({ pipeline }) => ({
      root: await backUpStream({
        session: pipeline,
        stream: stream(),
        chunking: repository.parameters.content,
        multiplier: repository.keyring.multiplier,
        progress,
      }),
    }));
  };
  const first = await run(70_001);
  const second = await run(3_000_000);
  expect(second.statistics.bytesNew).toBe(0);
  await restoreFile(repository, first, join(scratch, 'dump'));
  expect(fs.readFileSync(join(scratch, 'dump')).equals(content)).toBe(true);
  const pieces: Uint8Array[] = [];
  const { paged } = repository.parameters;
  for await (const piece of readContent(
    contentOf(second),
    second.root.contentBytes,
    paged.unitBytes,
    repository.readNode,
    repository.reader,
  )) {
    pieces.push(Uint8Array.from(piece));
  }
  expect(Buffer.concat(pieces).equals(content)).toBe(true);
});

test('a damaged pack costs the files in it, by name, and never gives wrong bytes', async () => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 30, 60);
  const repository = await newRepository(scratch);
  const snapshot = await backUpTree(repository, source);
  const [key] = [...objectsIn(scratch, 'packs/')].sort((a, b) => b[1] - a[1])[0]!;
  patch(objectPath(scratch, key), 1000, Buffer.from([1, 2, 3, 4]));
  const problems = await restoreTo(repository, snapshot.id, join(scratch, 'target'));
  expect(problems.length).toBeGreaterThan(0);
  expect(problems.every(({ code }) => code === 'FORMAT_DAMAGED')).toBe(true);
  const lost = new Set(problems.map(({ path }) => path));
  const original = readTree(source);
  for (const [path, content] of readTree(join(scratch, 'target'))) if (!lost.has(path)) expect(content).toBe(original.get(path));
});

test.each<[string, (path: string) => void]>([
  ['that is gone', () => {}],
  ['that became a directory', (path) => fs.mkdirSync(path)],
  ['that became a pipe', (path) => execFileSync('mkfifo', [path])],
  ['that became a link to itself', (path) => fs.symlinkSync(path, path)],
])('a pack %s costs the files in it, by name, and the rest is restored', async (_, put) => {
  const scratch = scratchDirectory();
  const source = join(scratch, 'source');
  writeSampleTree(source, 31, 60);
  const repository = await newRepository(scratch);
  const first = await backUpTree(repository, source);
  writeFileAt(source, 'd0/later', seededBytes(100_000, 32));
  const second = await backUpTree(repository, source);
  const before = new Set(objectsIn(scratch, 'packs/').keys());
  expect(first.id).not.toBe(second.id);
  // The largest pack is the first backup's content.
  const [key] = [...objectsIn(scratch, 'packs/')].sort((a, b) => b[1] - a[1])[0]!;
  fs.rmSync(objectPath(scratch, key));
  put(objectPath(scratch, key));
  expect(before.size).toBeGreaterThan(2);
  const problems = await restoreTo(repository, second.id, join(scratch, 'target'));
  expect(new Set(problems.map(({ code }) => code))).toEqual(new Set(['FORMAT_DAMAGED']));
  expect(readTree(join(scratch, 'target')).get('d0/later')).toBe(readTree(source).get('d0/later'));
});

import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkContent, checkTree } from '../../src/engine/check-restored.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { FileStat, HERE, OPEN } from '../../src/files/posix.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { native, scratch } from '../files/scratch.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, restoreTo, writeFileAt } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const MIB = 1024 * 1024;

async function differences(
  repository: Repository,
  { root }: Snapshot,
  target: string,
  reported: readonly string[] = [],
  progress = new RestoreProgress(),
): Promise<RestoreProblem[]> {
  const found: RestoreProblem[] = [];
  const pool = new ReadingPool(
    repository.store,
    1,
    { idKey: repository.keyring.payload.idKey, target: undefined },
    new AbortController().signal,
  );
  const check = {
    unitBytes: repository.parameters.paged.unitBytes,
    readNode: repository.readNode,
    pool,
    progress,
    onDifference: (difference: RestoreProblem) => void found.push(difference),
  };
  try {
    await checkTree({ ...check, root: root.reference, below: '', target, reported: new Set(reported) });
    return found;
  } finally {
    await pool.close();
  }
}

async function restored(): Promise<{ readonly repository: Repository; readonly snapshot: Snapshot; readonly target: string }> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeFileAt(tree, 'small', Buffer.from('small'));
  writeFileAt(tree, 'sub/large', seededBytes(20 * MIB + 1, 1));
  writeFileAt(tree, 'sub/paged', seededBytes(5 * MIB, 2));
  linkSync(join(tree, 'small'), join(tree, 'sub/twin'));
  symlinkSync('small', join(tree, 'link'));
  const snapshot = await backUpTree(repository, tree);
  const target = join(directory, 'out');
  expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
  return { repository, snapshot, target };
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = bytes[offset]! ^ 1;
  writeFileSync(path, bytes);
}

describe('a restored tree', () => {
  it('is looked at to its end where it is deeper than any path that the kernel takes', async () => {
    const directory = scratch();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    mkdirSync(tree);
    let at = native.openDirectory(HERE, tree, 'refuse');
    const component = 'x'.repeat(250);
    for (let depth = 0; depth < 20; depth++) {
      native.mkdir(at, component, 0o700);
      const next = native.openDirectory(at, component, 'refuse');
      native.close(at);
      at = next;
    }
    const writeLeaf = (below: number, bytes: string): void => {
      const fd = native.open(below, 'leaf', OPEN.create | OPEN.write, 0o600);
      native.pwrite(fd, Buffer.from(bytes), 0, bytes.length, 0);
      native.close(fd);
    };
    writeLeaf(at, 'deep');
    native.close(at);
    const snapshot = await backUpTree(repository, tree);
    const target = join(directory, 'out');
    expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
    expect(await differences(repository, snapshot, target)).toEqual([]);
    const root = native.openDirectory(HERE, target, 'refuse');
    const deepest = native.openBeneath(root, Array(20).fill(component).join('/'), OPEN.directory, 0);
    const stat = new FileStat();
    native.lstat(deepest, 'leaf', stat);
    writeLeaf(deepest, 'DEEP');
    native.setMtime(deepest, 'leaf', stat.mtimeSec, stat.mtimeNsec);
    native.close(deepest);
    native.close(root);
    expect(await differences(repository, snapshot, target)).toMatchObject([{ code: 'DIFFERS' }]);
  });

  it('is found to be what the snapshot holds', async () => {
    const { repository, snapshot, target } = await restored();
    expect(await differences(repository, snapshot, target)).toEqual([]);
  });

  it('differs in every name of an inode whose owner or time could not be set, which was reported with the first', async () => {
    const { repository, snapshot, target } = await restored();
    utimesSync(join(target, 'small'), 1, 1);
    expect(await differences(repository, snapshot, target, ['small'])).toEqual([]);
    expect(await differences(repository, snapshot, target)).toMatchObject([{ path: 'small' }, { path: 'sub/twin' }]);
  });

  it('is read once for all names of an inode, and each name is told when it differs', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    writeFileAt(tree, 'large', seededBytes(5 * MIB, 1));
    for (const name of ['x', 'y', 'z']) linkSync(join(tree, 'large'), join(tree, name));
    const snapshot = await backUpTree(repository, tree);
    const target = join(directory, 'out');
    expect(await restoreTo(repository, snapshot.id, target)).toEqual([]);
    const progress = new RestoreProgress();
    expect(await differences(repository, snapshot, target, [], progress)).toEqual([]);
    expect(progress).toMatchObject({ entriesDone: 5, bytesDone: 5 * MIB });
    const { mtime } = statSync(join(target, 'large'));
    flip(join(target, 'large'), 4 * MIB);
    utimesSync(join(target, 'large'), mtime, mtime);
    // A copy in the place of a name is no other name: it is read, and differs by itself.
    const copy = readFileSync(join(target, 'z'));
    unlinkSync(join(target, 'z'));
    writeFileSync(join(target, 'z'), copy);
    utimesSync(join(target, 'z'), mtime, mtime);
    const found = await differences(repository, snapshot, target, ['large', 'z', ''], new RestoreProgress());
    expect(found.map(({ path }) => path).sort()).toEqual(['large', 'x', 'y', 'z']);
  });

  it.each([
    ['one bit of a small file', 'small', (path: string) => flip(path, 2)],
    ['one bit in the middle of a large file', 'sub/large', (path: string) => flip(path, 17 * MIB)],
    ['the last byte of a large file', 'sub/large', (path: string) => flip(path, 20 * MIB)],
    ['one bit of a file in units', 'sub/paged', (path: string) => flip(path, 3 * MIB)],
    ['a byte at the end of a file', 'sub/paged', (path: string) => writeFileSync(path, 'x', { flag: 'a' })],
    ['a file that was cut short', 'sub/paged', (path: string) => truncateSync(path, 4 * MIB)],
    ['a file that is gone', 'sub/large', (path: string) => unlinkSync(path)],
    ['a mode', 'sub', (path: string) => chmodSync(path, 0o711)],
    ['a time', 'sub/large', (path: string) => utimesSync(path, 1, 1)],
    [
      'where a link leads',
      'link',
      (path: string) => {
        unlinkSync(path);
        symlinkSync('other', path);
      },
    ],
    [
      'a link in the place of a file',
      'sub/large',
      (path: string) => {
        unlinkSync(path);
        symlinkSync('/etc/passwd', path);
      },
    ],
  ])('is found to differ by %s', async (_, name, change) => {
    const { repository, snapshot, target } = await restored();
    change(join(target, name));
    const paths = (await differences(repository, snapshot, target)).map(({ path }) => path);
    // Two names of one inode differ together; a directory changes its time with what is in it.
    expect(paths).toContain(name);
    expect(paths.filter((path) => path !== name && path !== 'sub/twin' && path !== 'sub' && path !== '')).toEqual([]);
  });

  it('is not told again what was told when it was restored', async () => {
    const { repository, snapshot, target } = await restored();
    chmodSync(join(target, 'sub/large'), 0o600);
    expect(await differences(repository, snapshot, target, ['sub/large'])).toEqual([]);
    flip(join(target, 'sub/large'), 0);
    expect(await differences(repository, snapshot, target, ['sub/large'])).toMatchObject([{ path: 'sub/large', code: 'DIFFERS' }]);
  });
});

describe('one restored content', () => {
  it('is told once, however much of it differs, with the first place', async () => {
    const { repository, target } = await restored();
    const path = join(target, 'sub/paged');
    writeFileSync(path, Buffer.alloc(5 * MIB, 7));
    const { root } = await backUpTree(repository, target, { asset: 'changed' });
    writeFileSync(path, Buffer.alloc(5 * MIB, 8));
    const found: RestoreProblem[] = [];
    const pool = new ReadingPool(
      repository.store,
      1,
      { idKey: repository.keyring.payload.idKey, target: undefined },
      new AbortController().signal,
    );
    const { findEntry } = await import('../../src/engine/entries-reader.ts');
    await repository.openIndex();
    await repository.syncIndex((await repository.heads.read()).indexes);
    const entry = await findEntry(root.reference, repository.readNode, 'sub/paged');
    const check = {
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      pool,
      progress: new RestoreProgress(),
      onDifference: (difference: RestoreProblem) => void found.push(difference),
    };
    await checkContent(check, entry!.content, entry!.sizeBytes, path, 'x');
    await pool.drain();
    await pool.close();
    expect(found).toHaveLength(1);
    expect(found[0]!.message).toContain('differs from the snapshot at byte ');
  });
});

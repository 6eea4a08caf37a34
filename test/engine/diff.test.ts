import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Difference, diffTrees } from '../../src/engine/diff.ts';
import { entriesOf } from '../../src/engine/entries-reader.ts';
import { EntryFinder } from '../../src/engine/find.ts';
import { comparePaths } from '../../src/model/entry-path.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, writeFileAt } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

type Counted = { readonly differences: Difference[]; readonly nodesRead: number };

async function diffOf(repository: Repository, before: Snapshot, after: Snapshot): Promise<Counted> {
  await repository.syncIndex((await repository.heads.read()).indexes);
  let nodesRead = 0;
  const differences: Difference[] = [];
  const readNode: Repository['readNode'] = (reference) => {
    nodesRead++;
    return repository.readNode(reference);
  };
  for await (const difference of diffTrees(before.root.reference, after.root.reference, readNode)) differences.push(difference);
  return { differences, nodesRead };
}

const shortened = ({ differences }: Counted): string[] => differences.map(({ change, path }) => `${change} ${path}`);

describe('the difference of two trees', () => {
  it('names what came, went and changed, in order, with the fields', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    writeFileAt(tree, 'a', Buffer.from('a'));
    writeFileAt(tree, 'b', Buffer.from('b'));
    writeFileAt(tree, 'dir/file', seededBytes(300_000, 1));
    writeFileAt(tree, 'becomes', Buffer.from('directory'));
    writeFileAt(tree, 'linked', Buffer.from('one'));
    linkSync(join(tree, 'linked'), join(tree, 'twin'));
    symlinkSync('a', join(tree, 'link'));
    const before = await backUpTree(repository, tree);
    unlinkSync(join(tree, 'a'));
    writeFileSync(join(tree, 'b'), 'c');
    chmodSync(join(tree, 'dir/file'), 0o600);
    unlinkSync(join(tree, 'becomes'));
    mkdirSync(join(tree, 'becomes'));
    writeFileSync(join(tree, 'becomes/new'), 'new');
    writeFileSync(join(tree, 'linked'), 'two');
    unlinkSync(join(tree, 'link'));
    symlinkSync('b', join(tree, 'link'));
    const counted = await diffOf(repository, before, await backUpTree(repository, tree));
    expect(shortened(counted)).toEqual([
      'metadata ',
      'removed a',
      'changed b',
      'changed becomes',
      'added becomes/new',
      'metadata dir/file',
      'changed link',
      'changed linked',
      'changed twin',
    ]);
    const fields = new Map(counted.differences.flatMap((one) => ('fields' in one ? [[one.path, one.fields] as const] : [])));
    expect(fields.get('')).toEqual(['mtime']);
    expect(fields.get('b')).toContain('content');
    expect(fields.get('becomes')).toEqual(['kind']);
    expect(fields.get('dir/file')).toEqual(['mode']);
    expect(fields.get('link')).toContain('target');
    expect(fields.get('twin')).toContain('content');
  });

  it('is that of a comparison entry by entry, whatever came and went', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    const random = seededRandom(7);
    for (let n = 0; n < 3000; n++) writeFileAt(tree, `d${n % 37}/f${n}`, Buffer.from(`${n}`));
    const snapshots = [await backUpTree(repository, tree)];
    for (let round = 0; round < 4; round++) {
      for (let k = 0; k < 10 ** round / 2 + 1; k++) {
        const n = Math.floor(random() * 3000);
        const path = join(tree, `d${n % 37}/f${n}`);
        if (k % 3 === 0) rmSync(path, { force: true });
        else writeFileAt(tree, `d${n % 37}/${k % 3 === 1 ? 'f' : 'g'}${n}`, Buffer.from(`${round} ${k}`));
      }
      snapshots.push(await backUpTree(repository, tree));
    }
    for (const [x, y] of [
      [0, 1],
      [1, 2],
      [0, 4],
      [4, 0],
      [3, 4],
      [2, 2],
    ] as const) {
      expect(shortened(await diffOf(repository, snapshots[x]!, snapshots[y]!)), `${x} ${y}`).toEqual(
        await plainDiff(repository, snapshots[x]!, snapshots[y]!),
      );
    }
  });

  it('reads the nodes that differ, and no others', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    for (let n = 0; n < 20_000; n++) writeFileAt(tree, `d${n % 100}/f${n}`, Buffer.from('x'));
    const before = await backUpTree(repository, tree);
    writeFileSync(join(tree, 'd50/f50'), 'changed');
    const after = await backUpTree(repository, tree);
    const counted = await diffOf(repository, before, after);
    expect(shortened(counted)).toEqual(['changed d50/f50']);
    expect(counted.nodesRead).toBeLessThanOrEqual(2 * 4);
    expect((await diffOf(repository, after, after)).nodesRead).toBe(0);
  });

  it('with an empty tree is all of the other', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    writeFileAt(tree, 'a/b', Buffer.from('x'));
    const snapshot = await backUpTree(repository, tree);
    const empty = { ...snapshot, root: { ...snapshot.root, reference: new Uint8Array(0) } };
    expect(shortened(await diffOf(repository, empty, snapshot))).toEqual(['added ', 'added a', 'added a/b']);
    expect(shortened(await diffOf(repository, snapshot, empty))).toEqual(['removed ', 'removed a', 'removed a/b']);
    expect(shortened(await diffOf(repository, empty, empty))).toEqual([]);
  });
});

describe('a search', () => {
  it('reads no node twice, and finds in each snapshot what it holds', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const tree = join(directory, 'tree');
    for (let n = 0; n < 2000; n++) writeFileAt(tree, `d${n % 10}/f${n}`, Buffer.from('x'));
    const first = await backUpTree(repository, tree);
    writeFileSync(join(tree, 'd3/f3'), 'y');
    unlinkSync(join(tree, 'd5/f1005'));
    const second = await backUpTree(repository, tree);
    await repository.syncIndex((await repository.heads.read()).indexes);
    const seen = new Map<string, number>();
    const readNode: Repository['readNode'] = (reference) => {
      const name = Buffer.from(reference).toString('hex');
      seen.set(name, (seen.get(name) ?? 0) + 1);
      return repository.readNode(reference);
    };
    const finder = new EntryFinder(readNode, ({ path }) => path.endsWith('005'));
    const found: string[][] = [];
    for (const { root } of [first, second, first]) {
      const paths: string[] = [];
      for await (const { path } of finder.find(root.reference)) paths.push(path);
      found.push(paths);
    }
    expect(found).toEqual([['d5/f1005'], [], ['d5/f1005']]);
    expect(Math.max(...seen.values())).toBe(1);
  });
});

async function plainDiff(repository: Repository, before: Snapshot, after: Snapshot): Promise<string[]> {
  const entries = async ({ root }: Snapshot) => {
    const all = new Map<string, string>();
    for await (const { path, sizeBytes, mtimeSec, mtimeNsec, mode, content } of entriesOf(root.reference, repository.readNode))
      all.set(
        path,
        JSON.stringify([mtimeSec, mtimeNsec, mode, sizeBytes, content.kind === 'chunks' ? [...content.references] : content.kind]),
      );
    return all;
  };
  const [a, b] = await Promise.all([entries(before), entries(after)]);
  const paths = [...new Set([...a.keys(), ...b.keys()])].sort(comparePaths);
  const changed = (path: string): string => (path.includes('/') ? 'changed' : 'metadata');
  return paths.flatMap((path) => {
    if (!b.has(path)) return [`removed ${path}`];
    if (!a.has(path)) return [`added ${path}`];
    return a.get(path) === b.get(path) ? [] : [`${changed(path)} ${path}`];
  });
}

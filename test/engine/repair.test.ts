import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rebuildHead, repair } from '../../src/engine/repair.ts';
import { scrub, verify } from '../../src/engine/verify.ts';
import { decodeTrailer, TRAILER_BYTES } from '../../src/format/pack.ts';
import { rotatePair } from '../../src/repository/keys.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { newRepository } from '../support/new-repository.ts';
import {
  backUpTree,
  objectPath,
  objectsIn,
  openRepository,
  PASSPHRASE,
  readTree,
  restoreTo,
  writeSampleTree,
} from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

type Sample = {
  readonly directory: string;
  readonly tree: string;
  readonly repository: Repository;
  readonly first: string;
  readonly second: string;
};

async function sample(): Promise<Sample> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1);
  const first = await backUpTree(repository, tree);
  writeSampleTree(join(tree, 'more'), 2, 10);
  const second = await backUpTree(repository, tree);
  return { directory, tree, repository, first: first.id, second: second.id };
}

const FULL = { depth: { kind: 'full' }, threads: 1 } as const;
const REPAIR = { by: 'test', threads: 1 } as const;

/** Bytes are exchanged under the same name, as a disk would. */
function damage(path: string, change: (bytes: Buffer) => Buffer): void {
  const bytes = readFileSync(path);
  rmSync(path);
  writeFileSync(path, change(bytes));
}

const flipAt =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    bytes[at < 0 ? bytes.length + at : at]! ^= 1;
    return bytes;
  };

function packsOf(directory: string, kind: 'data' | 'metadata'): string[] {
  return [...objectsIn(directory, 'packs/').keys()].filter(
    (key) => decodeTrailer(readFileSync(objectPath(directory, key)).subarray(-TRAILER_BYTES)).kind === kind,
  );
}

async function expectRestores({ directory, repository, tree }: Sample, session: string): Promise<void> {
  const target = join(directory, `out-${session}`);
  rmSync(target, { recursive: true, force: true });
  expect(await restoreTo(repository, session, target)).toEqual([]);
  expect(readTree(target)).toEqual(readTree(tree));
}

test('a sound repository is left as it is', async () => {
  const { directory, repository } = await sample();
  const before = [...objectsIn(directory, '').keys()];
  expect(await repair(repository, REPAIR)).toMatchObject({ outcome: 'clean', damaged: [], affected: [] });
  expect([...objectsIn(directory, '').keys()]).toEqual(before);
});

test('a rotation of the keys while a repair or a verification reads is no damage, and nothing is dropped for it', async () => {
  const all = await sample();
  const { directory, repository, second } = all;
  const other = await openRepository(directory);
  onTestFinished(() => other.close());
  await rotatePair(other, { passphrase: PASSPHRASE, label: 'new', now: new Date(), dropOtherOwners: false });
  const packs = [...objectsIn(directory, 'packs/').keys()];
  await expect(verify(repository, FULL)).rejects.toMatchObject({ code: 'KEY_SUPERSEDED' });
  await expect(repair(repository, REPAIR)).rejects.toMatchObject({ code: 'KEY_SUPERSEDED' });
  expect([...objectsIn(directory, 'packs/').keys()]).toEqual(packs);
  const now = await openRepository(directory);
  onTestFinished(() => now.close());
  expect(await verify(now, FULL)).toMatchObject({ outcome: 'clean' });
  await expectRestores({ ...all, repository: now }, second);
});

describe.each([
  ['a flipped bit in a block', flipAt(5000)],
  ['a flipped bit in the directory', flipAt(-TRAILER_BYTES - 20)],
  ['a flipped bit in the trailer', flipAt(-30)],
  ['the first half of it', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
  ['nothing', () => Buffer.alloc(0)],
] as const)('of a data pack there is %s:', (_, change) => {
  test('verify, repair and the next backup heal what is new; what is lost is named', async () => {
    const all = await sample();
    const { directory, repository, tree, second } = all;
    const key = packsOf(directory, 'data')
      .sort((a, b) => objectsIn(directory, a).get(a)! - objectsIn(directory, b).get(b)!)
      .at(-1)!;
    damage(objectPath(directory, key), change);
    const found = await verify(repository, FULL);
    expect(found.outcome).toBe('damaged');
    const plan = await repair(repository, { ...REPAIR, dryRun: true });
    expect(plan.damagedCount).toBe(found.damagedCount);
    expect(objectsIn(directory, key).size).toBe(1);
    const report = await repair(repository, REPAIR);
    const affected = report.affected.find(({ session }) => session === second)?.paths.map(({ path }) => path) ?? [];
    expect(affected).toEqual(found.affected.find(({ session }) => session === second)?.paths.map(({ path }) => path) ?? []);
    expect(report.outcome).toBe(affected.length > 0 ? 'lost' : 'mended');
    expect(objectsIn(directory, key).size).toBe(0);
    // The next backup stores it anew, although nothing in the source has changed.
    const third = await backUpTree(repository, tree);
    if (affected.length > 0) expect(third.statistics.bytesNew).toBeGreaterThan(0);
    await expectRestores(all, third.id);
    await forgetSnapshots(repository.heads, new Set(report.affected.map(({ session }) => session)));
    expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
    await prune(repository, { by: 'test', unusedShareMax: 0 });
    expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
    expect(objectsIn(directory, 'unsound/').size).toBe(0);
    await expectRestores(all, third.id);
  });
});

test('a pack of nodes that is gone takes its part of the tree with it, and the next backup does without', async () => {
  const all = await sample();
  const { directory, repository, tree } = all;
  for (const key of packsOf(directory, 'metadata')) rmSync(objectPath(directory, key));
  const found = await verify(repository, FULL);
  expect(found.affected.map(({ pathsCount }) => pathsCount > 40)).toEqual([true, true]);
  expect(await repair(repository, REPAIR)).toMatchObject({ outcome: 'lost', blocksSalvaged: 0 });
  const third = await backUpTree(repository, tree);
  await expectRestores(all, third.id);
});

describe.each([
  ['deleted', undefined],
  ['cut off', (bytes: Buffer) => bytes.subarray(0, 100)],
  ['changed', flipAt(60)],
] as const)('an index object that was %s', (_, change) => {
  test('is made anew from the packs, and nothing is lost', async () => {
    const all = await sample();
    const { directory, first, second } = all;
    for (const key of objectsIn(directory, 'index/').keys()) {
      if (change === undefined) rmSync(objectPath(directory, key));
      else damage(objectPath(directory, key), change);
    }
    rmSync(join(directory, 'cache'), { recursive: true });
    const fresh = await openRepository(directory);
    onTestFinished(() => fresh.close());
    const found = await verify(fresh, FULL);
    expect(found.damaged.filter(({ kind }) => kind === 'index')).toHaveLength(2);
    expect(found.affected.map(({ session }) => session).sort()).toEqual([first, second].sort());
    const report = await repair(fresh, REPAIR);
    expect(report).toMatchObject({ outcome: 'mended', affected: [], blocksLost: 0 });
    expect(report.indexesRebuilt).toBeGreaterThan(0);
    expect(await verify(fresh, FULL)).toMatchObject({ outcome: 'clean', snapshots: 2 });
    await expectRestores({ ...all, repository: fresh }, second);
  });
});

test('a damaged or missing pack comes back whole from another copy', async () => {
  const all = await sample();
  const { directory, repository, second } = all;
  cpSync(join(directory, 'repository'), join(directory, 'copy'), { recursive: true });
  const packs = [...objectsIn(directory, 'packs/').keys()];
  rmSync(objectPath(directory, packs[0]!));
  for (const key of packs.slice(1)) damage(objectPath(directory, key), flipAt(100));
  const from = await openFsStore(join(directory, 'copy'));
  const report = await repair(repository, { ...REPAIR, from });
  expect(report).toMatchObject({ outcome: 'mended', packsFetched: packs.length, blocksLost: 0, affected: [] });
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
  await expectRestores(all, second);
});

test('a key of a session that is lost comes back from another copy', async () => {
  const all = await sample();
  const { directory, second } = all;
  cpSync(join(directory, 'repository'), join(directory, 'copy'), { recursive: true });
  for (const key of objectsIn(directory, 'session-keys/').keys()) rmSync(objectPath(directory, key));
  const fresh = await openRepository(directory);
  onTestFinished(() => fresh.close());
  const found = await verify(fresh, FULL);
  expect(found.damaged.filter(({ kind }) => kind === 'session-key')).toHaveLength(2);
  const from = await openFsStore(join(directory, 'copy'));
  expect(await repair(fresh, { ...REPAIR, from })).toMatchObject({ outcome: 'mended', blocksLost: 0 });
  await expectRestores({ ...all, repository: fresh }, second);
});

test('a head that is gone is made anew only when asked for, from what the sessions have left', async () => {
  const all = await sample();
  const { directory, first, second } = all;
  rmSync(join(directory, 'repository', 'head~'), { recursive: true });
  const fresh = await openRepository(directory);
  onTestFinished(() => fresh.close());
  await expect(repair(fresh, REPAIR)).rejects.toMatchObject({ code: 'HEAD_MISSING' });
  expect(await rebuildHead(fresh, { dryRun: true })).toMatchObject({ snapshots: 2 });
  await expect(fresh.heads.read()).rejects.toMatchObject({ code: 'HEAD_MISSING' });
  expect(await rebuildHead(fresh, {})).toMatchObject({ snapshots: 2 });
  await expect(rebuildHead(fresh, {})).rejects.toMatchObject({ code: 'USAGE' });
  expect((await fresh.heads.read()).snapshots.map(({ session }) => session)).toEqual([first, second]);
  expect(await verify(fresh, FULL)).toMatchObject({ outcome: 'clean', snapshots: 2 });
  await expectRestores({ ...all, repository: fresh }, second);
});

test('a pack that has grown beyond all bounds loses nothing: its blocks lie where they did, and no verb reads all of it', async () => {
  const { directory, tree, repository, second } = await sample();
  const grown = [...objectsIn(directory, 'packs/').keys()];
  for (const key of grown) truncateSync(objectPath(directory, key), 2 ** 40);
  const scrubbed = await scrub(repository.store, { threads: 1 });
  expect(scrubbed.damaged.map(({ key }) => key).sort()).toEqual(grown.sort());
  expect(await repair(repository, REPAIR)).toMatchObject({ outcome: 'mended', blocksLost: 0 });
  expect(await verify(repository, FULL)).toMatchObject({ outcome: 'clean' });
  const target = join(directory, 'out');
  expect(await restoreTo(repository, second, target)).toEqual([]);
  expect(readTree(target)).toEqual(readTree(tree));
});

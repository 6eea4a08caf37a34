// Damage at one of two places is found out, is not carried over, and is mended from the other place.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repair } from '../../src/engine/repair.ts';
import { verify } from '../../src/engine/verify.ts';
import { decodeTrailer, TRAILER_BYTES } from '../../src/format/pack.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { expectRestores, replicaSample as sample, withReplica } from '../support/replica-sample.ts';
import { prove, replicaOf, replicate } from '../support/replicating.ts';
import { backUpTree, objectPath, objectsIn, writeSampleTree } from '../support/repository.ts';

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  rmSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

const dataPack = (directory: string): string =>
  [...objectsIn(directory, 'packs/').keys()].find(
    (key) => decodeTrailer(readFileSync(objectPath(directory, key)).subarray(-TRAILER_BYTES)).kind === 'data',
  )!;

describe('damage at the source', () => {
  it('carries no damage over, tells it, and the source is mended from the replica', async () => {
    const { directory, tree, repository } = await sample();
    await backUpTree(repository, tree);
    await replicate(directory);
    writeSampleTree(join(tree, 'more'), 2, 3);
    const known = new Set(objectsIn(directory, 'packs/').keys());
    const second = await backUpTree(repository, tree);
    const fresh = [...objectsIn(directory, 'packs/').keys()].find((key) => !known.has(key))!;
    const kept = readFileSync(objectPath(directory, fresh));
    flip(objectPath(directory, fresh), 100);
    expect([...(await replicate(directory)).missing.keys()]).toEqual([fresh]);
    expect(existsSync(objectPath(replicaOf(directory), fresh))).toBe(false);
    expect(await prove(directory, { isFull: false })).toMatchObject({
      problems: [{ key: fresh, why: 'missing', isMended: false }],
    });
    // Good again at the source: the next round takes it.
    writeFileSync(objectPath(directory, fresh), kept);
    expect((await replicate(directory)).missing.size).toBe(0);
    await expectRestores(directory, second.id, tree);
    flip(objectPath(directory, fresh), 100);
    const from = await openFsStore(join(replicaOf(directory), 'repository'), { create: false });
    expect(await repair(repository, { by: 'test', threads: 1, from })).toMatchObject({ outcome: 'mended' });
    expect(await verify(repository, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
  });
});

describe('a damaged replica', () => {
  it('is found out and mended from its source: a flipped bit, a lost pack, a lost key, a lost register', async () => {
    const { directory, tree, repository } = await sample();
    const { id } = await backUpTree(repository, tree);
    await replicate(directory);
    const pack = dataPack(replicaOf(directory));
    flip(objectPath(replicaOf(directory), pack), 100);
    expect(await prove(directory, { isFull: false })).toMatchObject({ problems: [] });
    expect(await prove(directory)).toMatchObject({ problems: [{ key: pack, why: 'damaged', isMended: false }] });
    const others = [...objectsIn(replicaOf(directory), '').keys()].filter(
      (key) => /^(packs|session-keys|index)\//.test(key) && key !== pack,
    );
    for (const key of others) rmSync(objectPath(replicaOf(directory), key));
    rmSync(objectPath(replicaOf(directory), `snapshots/${id}~`), { recursive: true });
    // With the index, packs cannot be named: what it finds, it mends, and then the rest.
    await prove(directory, { mend: true });
    await prove(directory, { mend: true });
    expect(await prove(directory)).toMatchObject({ problems: [] });
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    await withReplica(directory, async (replica) => {
      expect(await verify(replica, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
    });
    await expectRestores(directory, id, tree);
  });

  it('loses nothing more while an index object is missing: what it names is not taken for waste', async () => {
    const { directory, tree, repository } = await sample();
    await backUpTree(repository, tree);
    await replicate(directory);
    const [index] = [...objectsIn(directory, 'index/').keys()];
    const pack = dataPack(directory);
    const kept = readFileSync(objectPath(directory, index!));
    // At both places the index object, and at the source a pack, of which the replica has the last one now.
    for (const place of [directory, replicaOf(directory)]) rmSync(objectPath(place, index!));
    rmSync(objectPath(directory, pack));
    expect([...(await replicate(directory)).missing.keys()]).toEqual([index]);
    expect(existsSync(objectPath(replicaOf(directory), pack))).toBe(true);
    writeFileSync(objectPath(directory, index!), kept);
    expect((await replicate(directory)).missing.size).toBe(0);
    expect(existsSync(objectPath(replicaOf(directory), pack))).toBe(true);
    expect(await prove(directory, { withSource: false })).toMatchObject({ problems: [] });
  });
});

// Nothing of a repository stays in its store, and nothing else goes: objects, registers, what a reader and a repair have left. In a directory, and
// in a bucket of a real S3 server.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { prune } from '../../src/repository/prune.ts';
import { pinSnapshot } from '../../src/repository/registry.ts';
import { Repository } from '../../src/repository/repository.ts';
import { markUnsound } from '../../src/repository/unsound.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openStore } from '../../src/store/open.ts';
import { deleteContent, deleteKeys, factsOf } from '../../src/tenants/erase-repository.ts';
import { lockedForMs } from '../../src/tenants/look-at-copy.ts';
import { startS3 } from '../support/ceph.ts';
import { LockedBucket } from '../support/locked-bucket.ts';
import { newLogWriter, RECORD, writeLog } from '../support/log-asset.ts';
import { backUpTree, PASSPHRASE, processFacts, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

type Place = {
  readonly open: (name: string) => Promise<ObjectStore>;
  /** All names below the repository's, as the file system or the bucket has them: registers too. */
  readonly namesOf: (name: string) => Promise<readonly string[]>;
};

function directoryPlace(): Place {
  const directory = scratchDirectory();
  return {
    open: (name) => openStore(join(directory, name), { create: true }),
    namesOf: async (name) =>
      readdirSync(join(directory, name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
  };
}

const s3 = await startS3();

function bucketPlace(): Place {
  const { endpoint, bucket, credentials, region } = s3!;
  const prefix = `erase-${process.pid}`;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  onTestFinished(() => client.destroy());
  return {
    open: (name) => openStore(`s3+${endpoint}/${bucket}/${prefix}/${name}`, { create: true, credentials, region }),
    namesOf: async (name) => {
      const { Contents = [], IsTruncated } = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/${name}/` }),
      );
      expect(IsTruncated).toBe(false);
      return Contents.map(({ Key }) => Key!);
    },
  };
}

/** One of everything that a repository has. */
async function fill(store: ObjectStore, name: string): Promise<void> {
  const directory = scratchDirectory();
  const options = { store, passphrase: PASSPHRASE, cacheDirectory: join(directory, 'cache'), process: processFacts() };
  const repository = await Repository.init({ ...options, label: name });
  writeSampleTree(join(directory, 'tree'), 1);
  const first = await backUpTree(repository, join(directory, 'tree'));
  writeSampleTree(join(directory, 'tree'), 2);
  const second = await backUpTree(repository, join(directory, 'tree'));
  const log = newLogWriter(repository);
  await writeLog(log, 3 * RECORD);
  await pinSnapshot(repository.heads, first.id, repository.process);
  await markUnsound(store, [second.id]);
  await prune(repository, { by: 'test' });
}

/** Lets so many deletes through, then the host dies. */
function dyingAfter(store: ObjectStore, deletes: number): ObjectStore {
  let left = deletes;
  return new Proxy(store, {
    get(target, name) {
      const value = target[name as keyof ObjectStore] as unknown;
      if (typeof value !== 'function') return value;
      if (name !== 'delete') return value.bind(target);
      return async (...args: Parameters<ObjectStore['delete']>) => {
        if (left-- <= 0) throw new Error('died');
        return target.delete(...args);
      };
    },
  });
}

describe.each([
  ['a directory', directoryPlace, true],
  ['a bucket', bucketPlace, s3 !== undefined],
] as const)('in %s', (_, placeOf, isThere) => {
  it.runIf(isThere)('all of a repository goes, however often it was interrupted, and nothing of one beside it', async () => {
    const place = placeOf();
    const [gone, stays] = [await place.open('bureau'), await place.open('bureau-2')];
    await fill(gone, 'gone');
    await fill(stays, 'stays');
    const before = await place.namesOf('bureau-2');
    for (const kind of ['head~', 'snapshots/', 'logs/', 'log/', 'packs/', 'index/', 'keys/', 'session-keys/', 'unsound/'])
      expect(
        before.some((name) => name.includes(kind)),
        kind,
      ).toBe(true);
    const facts = await factsOf(gone);
    expect(facts).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{32}$/), keys: [expect.any(String)], hasObjectLock: false });
    expect(await deleteKeys(gone)).toEqual(facts.keys);
    const deleted = { objects: 0, bytes: 0 };
    for (const deletes of [1, 4, 9])
      await expect(deleteContent(dyingAfter(gone, deletes), deleted), `after ${deletes}`).rejects.toThrow('died');
    await deleteContent(gone, deleted);
    expect(await place.namesOf('bureau')).toEqual([]);
    expect(deleted.objects).toBeGreaterThan(5);
    expect(await factsOf(gone)).toMatchObject({ id: undefined, keys: [] });
    await deleteContent(gone, deleted);

    expect(await place.namesOf('bureau-2')).toEqual(before);
    const options = { store: stays, passphrase: PASSPHRASE, cacheDirectory: scratchDirectory(), process: processFacts() };
    const repository = await Repository.open(options);
    expect((await repository.heads.read()).snapshots).toHaveLength(2);
    await repository.close();
    await gone.close();
  });
});

it.runIf(s3 !== undefined)('names the day on which the last lock ends, and the store keeps it', async () => {
  const { endpoint, credentials, region } = s3!;
  const bucket = await LockedBucket.create(s3!, 'erase-locked', 2);
  onTestFinished(() => bucket.close());
  const store = await openStore(`s3+${endpoint}/${bucket.name}/bureau`, { credentials, region });
  const before = Date.now();
  const options = { store, passphrase: PASSPHRASE, cacheDirectory: scratchDirectory(), process: processFacts() };
  const repository = await Repository.init({ ...options, label: 'bureau' });
  const signal = new AbortController().signal;
  const day = 86_400_000;
  // As long as the bucket locks what arrives, less what has passed since the object was put: never more.
  expect(await lockedForMs(store, new Date(before + day / 2), signal)).toBeLessThan(2 * day);
  expect(await lockedForMs(store, new Date(before + 3 * day), signal)).toBe(0);
  await store.vault!.lock('repository', 'object', before + 5 * day, { signal });
  expect(await lockedForMs(store, new Date(before), signal)).toBe(2 * day);
  const { lockedUntil } = await factsOf(store);
  expect(Math.abs(Date.parse(lockedUntil!) - (before + 5 * day))).toBeLessThan(1000);
  await deleteKeys(store);
  await deleteContent(store, { objects: 0, bytes: 0 });
  expect((await factsOf(store)).id).toBeUndefined();
  const kept = await bucket.versions('bureau/');
  expect(kept.some(({ key }) => key.startsWith('bureau/keys/'))).toBe(true);
  for (const { key, versionId } of kept) expect(await bucket.delete(key, versionId), key).toBe(false);
  expect((await factsOf(store)).lockedUntil, 'also of what is deleted').toBe(lockedUntil);
  await repository.close();
});

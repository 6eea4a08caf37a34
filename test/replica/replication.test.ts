// A replica in another directory, made by the real replication of a repository that the real engine writes.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verify } from '../../src/engine/verify.ts';
import { releaseReplica, replicaStatus } from '../../src/replica/replica-status.ts';
import { addOwnerKey, rotatePair } from '../../src/repository/keys.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots, pinSnapshot } from '../../src/repository/registry.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { expectRestores, replicaSample as sample, withReplica } from '../support/replica-sample.ts';
import { openReplication, prove, replicaOf, replicate } from '../support/replicating.ts';
import {
  backUpTree,
  objectPath,
  objectsIn,
  openRepository,
  PASSPHRASE,
  processFacts,
  writeSampleTree,
} from '../support/repository.ts';

const SIGNAL = new AbortController().signal;

describe('a replica', () => {
  it('has the same objects as its source, opens with the same passphrase and restores without it', async () => {
    const { directory, tree, repository } = await sample();
    const first = await backUpTree(repository, tree);
    const progress = await replicate(directory);
    expect(progress.missing.size).toBe(0);
    expect(progress.lagSeconds(performance.now())).toBeLessThan(3600);
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    expect(await prove(directory)).toMatchObject({ problems: [] });
    await expectRestores(directory, first.id, tree);
    // Only what is new goes over.
    writeSampleTree(join(tree, 'more'), 2, 3);
    const second = await backUpTree(repository, tree);
    const packs = new Set(objectsIn(replicaOf(directory), 'packs/').keys());
    const again = await replicate(directory);
    expect(again.packs).toBe(objectsIn(directory, 'packs/').size - packs.size);
    await expectRestores(directory, second.id, tree);
    expect((await replicate(directory)).bytesCopied).toBe(0);
  });

  it('loses what its source has forgotten and pruned, unless it is told to keep all', async () => {
    const { directory, tree, repository } = await sample();
    const first = await backUpTree(repository, tree);
    rmSync(tree, { recursive: true });
    writeSampleTree(tree, 7, 12);
    const second = await backUpTree(repository, tree);
    await replicate(directory);
    await forgetSnapshots(repository.heads, new Set([first.id]));
    await prune(repository, { by: 'test', unusedShareMax: 0 });
    await prune(repository, { by: 'test', unusedShareMax: 0 });
    const before = objectsIn(replicaOf(directory), 'packs/').size;
    expect((await replicate(directory, { keepAll: true })).removed).toBe(0);
    expect(objectsIn(replicaOf(directory), 'packs/').size).toBeGreaterThanOrEqual(before);
    await replicate(directory);
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    await withReplica(directory, async (replica) => {
      expect(await replica.heads.registers.readSnapshot(first.id)).toBeUndefined();
    });
    await expectRestores(directory, second.id, tree);
  });

  it('follows a rotation of keys', async () => {
    const { directory, tree, repository } = await sample();
    const snapshot = await backUpTree(repository, tree);
    await replicate(directory);
    await rotatePair(repository, { passphrase: PASSPHRASE, label: 'new', now: new Date(), dropOtherOwners: false });
    await replicate(directory);
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    await expectRestores(directory, snapshot.id, tree);
  });

  it('is whole at every moment, wherever its replication is cut off, and goes on from there', async () => {
    const { directory, tree, repository } = await sample();
    const first = await backUpTree(repository, tree);
    const cut = async (changes: number): Promise<boolean> => {
      let done = 0;
      try {
        await replicate(directory, {
          wrap: (store) =>
            new Proxy(store, {
              get(target, name) {
                const value: unknown = Reflect.get(target, name);
                if (typeof value !== 'function') return value;
                if (!['put', 'swap', 'delete'].includes(String(name))) return value.bind(target);
                return async (...args: unknown[]) => {
                  if (done >= changes) throw new Error('cut off');
                  done++;
                  return value.apply(target, args);
                };
              },
            }),
        });
        return true;
      } catch (error) {
        expect(error).toMatchObject({ message: 'cut off' });
        return false;
      }
    };
    const check = async (): Promise<void> => {
      if (!existsSync(objectPath(replicaOf(directory), 'repository'))) return;
      expect(await prove(directory, { withSource: false })).toMatchObject({ problems: [] });
      await withReplica(directory, async (replica) => {
        expect(await verify(replica, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
      });
    };
    // Two changes more with every attempt, and each time the last attempt's are there already.
    for (let changes = 2; !(await cut(changes)); changes += 2) await check();
    await expectRestores(directory, first.id, tree);
    rmSync(join(tree, 'd0'), { recursive: true });
    writeSampleTree(join(tree, 'more'), 3, 4);
    const second = await backUpTree(repository, tree);
    await forgetSnapshots(repository.heads, new Set([first.id]));
    await prune(repository, { by: 'test', unusedShareMax: 0 });
    for (let changes = 1; !(await cut(changes)); changes++) await check();
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    await expectRestores(directory, second.id, tree);
  });

  it('is whole after kill -9 in the middle', async () => {
    const { directory, tree, repository } = await sample();
    const snapshot = await backUpTree(repository, tree);
    const run = (changes: number) =>
      spawnSync(join(CHECKOUT, 'bin/node'), [join(CHECKOUT, 'test/support/replicate-child.ts'), directory, String(changes)], {
        encoding: 'utf8',
      });
    expect(run(3).signal).toBe('SIGKILL');
    expect(existsSync(objectPath(replicaOf(directory), 'repository'))).toBe(false);
    expect(run(5).signal).toBe('SIGKILL');
    expect(run(1000).stdout).toMatch(/^done \d+\n$/);
    expect(await prove(directory)).toMatchObject({ problems: [] });
    await expectRestores(directory, snapshot.id, tree);
  });

  it('takes no writes, and is read without a pin', async () => {
    const { directory, tree, repository } = await sample();
    const { id } = await backUpTree(repository, tree);
    await replicate(directory);
    await withReplica(directory, async (replica) => {
      const refused = { code: 'REPLICA_READ_ONLY' };
      await expect(backUpTree(replica, tree)).rejects.toMatchObject(refused);
      await expect(prune(replica, { by: 'test' })).rejects.toMatchObject(refused);
      await expect(forgetSnapshots(replica.heads, new Set([id]))).rejects.toMatchObject(refused);
      const key = { passphrase: Buffer.from('other'), label: 'other', now: new Date() };
      await expect(addOwnerKey(replica, key)).rejects.toMatchObject(refused);
      expect((await pinSnapshot(replica.heads, id, processFacts())).holder).toBeUndefined();
    });
    expect((await replicate(directory)).bytesCopied).toBe(0);
  });
});

describe('a replication', () => {
  it('ends when another one takes its place', async () => {
    const { directory, tree, repository } = await sample();
    await backUpTree(repository, tree);
    const old = await openReplication(directory);
    await replicate(directory);
    writeSampleTree(tree, 5, 2);
    await backUpTree(repository, tree);
    await expect(old.once()).rejects.toMatchObject({ code: 'REPLICA_TAKEN_OVER' });
    await replicate(directory);
    expect(await prove(directory)).toMatchObject({ problems: [] });
  });

  it('changes nothing once the replica was released, which is a repository of its own then', async () => {
    const { directory, tree, repository } = await sample();
    const first = await backUpTree(repository, tree);
    const running = await openReplication(directory);
    await running.once();
    const mark = await withReplica(directory, async (replica) => {
      const released = await releaseReplica(replica.store, replica.keyring, { by: 'me', reason: 'A is gone', signal: SIGNAL });
      expect(released).toMatchObject({ state: 'released', releasedBy: 'me' });
      await backUpTree(replica, tree);
      return replicaStatus(replica.store, undefined, { keyring: replica.keyring, now: new Date(), signal: SIGNAL });
    });
    expect(mark?.mark.state).toBe('released');
    await backUpTree(repository, tree);
    await expect(running.once()).rejects.toMatchObject({ code: 'REPLICA_TAKEN_OVER' });
    await expect(replicate(directory)).rejects.toMatchObject({ code: 'REPLICA_FOREIGN' });
    await withReplica(directory, async (replica) => {
      expect((await replica.heads.read()).snapshots).toHaveLength(2);
      expect(await verify(replica, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
    });
    await expectRestores(directory, first.id, tree);
  });

  it('stops when an older state of the source was put in place, and keeps what the replica has', async () => {
    const { directory, tree, repository } = await sample();
    await backUpTree(repository, tree);
    cpSync(join(directory, 'repository'), join(directory, 'old'), { recursive: true });
    writeSampleTree(join(tree, 'more'), 2, 3);
    const { id } = await backUpTree(repository, tree);
    await replicate(directory);
    rmSync(join(directory, 'repository'), { recursive: true });
    cpSync(join(directory, 'old'), join(directory, 'repository'), { recursive: true });
    await expect(replicate(directory)).rejects.toMatchObject({ code: 'REPLICA_DIVERGED' });
    await expectRestores(directory, id, tree);
  });

  it('writes into no place that holds something else', async () => {
    const { directory } = await sample();
    await (await openRepository(replicaOf(directory), { init: true })).close();
    await expect(replicate(directory)).rejects.toMatchObject({ code: 'REPLICA_FOREIGN' });
  });
});

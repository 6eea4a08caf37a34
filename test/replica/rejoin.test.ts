// The way back after a failover: the old site's repository becomes a replica of the new one, and keeps what only it has.

import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogView } from '../../src/engine/log-view.ts';
import { verify } from '../../src/engine/verify.ts';
import { LeftStore } from '../../src/replica/left-store.ts';
import { discardLeftState } from '../../src/replica/rejoin.ts';
import { releaseReplica } from '../../src/replica/replica-status.ts';
import { readLeftStates } from '../../src/repository/left-states.ts';
import { prune } from '../../src/repository/prune.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { ASSET, newLogWriter, RECORD, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { rejoin, replicaOf, replicate } from '../support/replicating.ts';
import { backUpTree, objectsIn, openRepository, readTree, restoreTo, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

const SIGNAL = new AbortController().signal;

async function at<T>(directory: string, work: (repository: Repository) => Promise<T>, left?: string): Promise<T> {
  const repository = await openRepository(
    directory,
    left === undefined ? {} : { wrap: (store) => new LeftStore(store, left), cache: 'cache-of-left' },
  );
  try {
    return await work(repository);
  } finally {
    await repository.close();
  }
}

const sessionsAt = (directory: string, left?: string): Promise<string[]> =>
  at(
    directory,
    async (repository) => (await listSnapshots(repository, await repository.heads.read())).map(({ id }) => id).sort(),
    left,
  );

async function expectRestores(directory: string, session: string, tree: string, left?: string): Promise<void> {
  const target = join(tree, `../out-${session}`);
  rmSync(target, { recursive: true, force: true });
  await at(directory, async (repository) => expect(await restoreTo(repository, session, target)).toEqual([]), left);
  expect(readTree(target)).toEqual(readTree(tree));
}

type Scene = {
  readonly a: string;
  readonly b: string;
  readonly tree: string;
  readonly shared: string;
  readonly onlyA: string;
  readonly onlyB: string;
};

/** Both had one snapshot and some log; then A has made a snapshot and log that B never got, and B went on after its release. */
async function failedOver(): Promise<Scene> {
  const a = scratchDirectory();
  const b = replicaOf(a);
  const repository = await newRepository(a);
  const tree = join(a, 'tree');
  writeSampleTree(tree, 1, 8);
  const { id: shared } = await backUpTree(repository, tree, { asset: ASSET });
  const writer = newLogWriter(repository);
  await writeLog(writer, 2 * RECORD);
  await replicate(a);
  writeSampleTree(join(tree, 'a'), 2, 8);
  cpSync(tree, join(a, 'tree-a'), { recursive: true });
  const { id: onlyA } = await backUpTree(repository, tree, { asset: ASSET });
  await writeLog(writer, 3 * RECORD);
  await repository.close();
  rmSync(join(tree, 'a'), { recursive: true });
  const onlyB = await at(b, async (replica) => {
    await releaseReplica(replica.store, replica.keyring, { by: 'me', reason: 'A is cut off', signal: SIGNAL });
    writeSampleTree(join(tree, 'b'), 3, 8);
    return (await backUpTree(replica, tree, { asset: ASSET })).id;
  });
  return { a, b, tree, shared, onlyA, onlyB };
}

describe('a repository that becomes the replica of its replica', () => {
  it('has what that has, and keeps what only itself has until people let it go', async () => {
    const { a, b, tree, shared, onlyA, onlyB } = await failedOver();
    const before = [...objectsIn(a, '').keys()];
    const rejoined = await rejoin(a);
    expect(rejoined).toMatchObject({ kind: 'joined', left: { source: expect.stringContaining('replica') } });
    const { id } = (rejoined as { left: { id: string } }).left;
    expect(await sessionsAt(a)).toEqual([shared, onlyB].sort());
    await expectRestores(a, onlyB, tree);
    // Nothing that was there is gone, and what only A had can be restored as it was.
    const after = objectsIn(a, '');
    expect(before.filter((key) => !after.has(key) && !key.includes('~'))).toEqual([]);
    expect(await sessionsAt(a, id)).toEqual([shared, onlyA].sort());
    await expectRestores(a, onlyA, join(a, 'tree-a'), id);
    await at(a, async (left) => expect((await LogView.open(left, left.keyring.assetId(ASSET)))!.epochs).toHaveLength(1), id);
    // It is a replica as any other: it follows, and nobody else may change it.
    await at(b, (repository) => backUpTree(repository, tree, { asset: ASSET }));
    expect(await rejoin(a)).toEqual({ kind: 'nothing' });
    expect(await sessionsAt(a)).toHaveLength(3);
    await at(a, (replica) => expect(backUpTree(replica, tree)).rejects.toMatchObject({ code: 'REPLICA_READ_ONLY' }));
    // What B forgets and prunes takes nothing away here yet.
    await at(b, async (repository) => {
      await forgetSnapshots(repository.heads, new Set([shared]));
      await prune(repository, { by: 'test', unusedShareMax: 0 });
    });
    await rejoin(a);
    await expectRestores(a, onlyA, join(a, 'tree-a'), id);
    await at(a, async ({ store, heads }) => {
      expect((await readLeftStates(store, heads.ports.codec))!.value).toMatchObject([{ id }]);
      expect(await discardLeftState(store, heads.ports.codec, id, { signal: SIGNAL })).toBe(true);
      expect(await discardLeftState(store, heads.ports.codec, id, { signal: SIGNAL })).toBe(false);
    });
    await rejoin(a);
    const packs = (place: string): string[] => [...objectsIn(place, 'packs/').keys()].sort();
    expect(packs(a)).toEqual(packs(b));
    expect(objectsIn(a, 'left/').size).toBe(0);
    await at(a, async (replica) =>
      expect(await verify(replica, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' }),
    );
  });

  it('may take the lead again, and prunes nothing while something is left', async () => {
    const { a, tree } = await failedOver();
    const { left } = (await rejoin(a)) as { left: { id: string } };
    await at(a, async (replica) => {
      await releaseReplica(replica.store, replica.keyring, { by: 'me', reason: 'back', signal: SIGNAL });
      await backUpTree(replica, tree, { asset: ASSET });
      await expect(prune(replica, { by: 'test' })).rejects.toMatchObject({ code: 'REPLICA_LEFT_STATE' });
      await discardLeftState(replica.store, replica.heads.ports.codec, left.id, { signal: SIGNAL });
      await prune(replica, { by: 'test' });
      expect(await verify(replica, { depth: { kind: 'full' }, threads: 1 })).toMatchObject({ outcome: 'clean' });
    });
    // What it left behind now cannot be its source any more.
    await expect(rejoin(a)).rejects.toMatchObject({ code: 'REPLICA_DIVERGED' });
  });

  it('is refused while the other one was not released, and finds out who writes although it is a replica', async () => {
    const { a, tree } = await failedOver();
    const fresh = scratchDirectory();
    cpSync(a, fresh, { recursive: true });
    await rejoin(a);
    // A writer that had it open does not know: the next replication finds a head that nobody announced, and overwrites nothing.
    rmSync(join(a, 'repository', 'replica~'), { recursive: true });
    const { id } = await at(a, (repository) => backUpTree(repository, tree, { asset: ASSET }));
    const again = await rejoin(a).catch((error: unknown) => error as { code?: string });
    expect(again).toMatchObject({ code: 'REPLICA_DIVERGED' });
    expect(await sessionsAt(a)).toContain(id);
    rmSync(join(replicaOf(fresh), 'repository', 'replica~'), { recursive: true });
    await expect(rejoin(fresh)).rejects.toMatchObject({ code: 'REPLICA_FOREIGN' });
  });

  it('comes to the same when it is killed after each of its changes, and can be restored from at every moment', async () => {
    const scene = await failedOver();
    const directory = join(scene.a, 'trial');
    const origin = scratchDirectory();
    cpSync(scene.a, origin, { recursive: true });
    let done = false;
    for (let changes = 1; !done; changes += changes < 9 ? 1 : 13) {
      rmSync(directory, { recursive: true, force: true });
      cpSync(origin, directory, { recursive: true });
      const child = spawnSync(
        join(CHECKOUT, 'bin/node'),
        [join(CHECKOUT, 'test/support/rejoin-child.ts'), directory, String(changes)],
        {
          encoding: 'utf8',
        },
      );
      expect(child.signal === 'SIGKILL' || child.status === 0, child.stderr).toBe(true);
      done = child.stdout.includes('done');
      // As A left it, or as B has it: never less.
      const seen = await sessionsAt(directory);
      expect([[scene.shared, scene.onlyA].sort(), [scene.shared, scene.onlyB].sort()]).toContainEqual(seen);
      await rejoin(directory);
      expect(await sessionsAt(directory)).toEqual([scene.shared, scene.onlyB].sort());
      const states = await at(directory, async ({ store, heads }) => (await readLeftStates(store, heads.ports.codec))!.value);
      expect(states).toHaveLength(1);
      expect(await sessionsAt(directory, states[0]!.id)).toEqual([scene.shared, scene.onlyA].sort());
    }
    await expectRestores(
      directory,
      scene.onlyA,
      join(scene.a, 'tree-a'),
      (await at(directory, async ({ store, heads }) => readLeftStates(store, heads.ports.codec)))!.value[0]!.id,
    );
  });
});

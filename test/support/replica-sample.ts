// A repository with a tree beside it, and what its replica must be good for.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Repository } from '../../src/repository/repository.ts';
import { newRepository } from './new-repository.ts';
import { replicaOf } from './replicating.ts';
import { openRepository, readTree, restoreTo, writeSampleTree } from './repository.ts';
import { scratchDirectory } from './scratch.ts';

export type ReplicaSample = { readonly directory: string; readonly tree: string; readonly repository: Repository };

export async function replicaSample(): Promise<ReplicaSample> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const tree = join(directory, 'tree');
  writeSampleTree(tree, 1, 12);
  return { directory, tree, repository };
}

/** Opened as anybody would who has nothing but the replica. */
export async function withReplica<T>(directory: string, work: (replica: Repository) => Promise<T>): Promise<T> {
  const replica = await openRepository(replicaOf(directory));
  try {
    return await work(replica);
  } finally {
    await replica.close();
  }
}

export async function expectRestores(directory: string, session: string, tree: string): Promise<void> {
  const target = join(directory, `out-${session}`);
  rmSync(target, { recursive: true, force: true });
  await withReplica(directory, async (replica) => {
    expect(await restoreTo(replica, session, target)).toEqual([]);
    expect(readTree(target)).toEqual(readTree(tree));
  });
}

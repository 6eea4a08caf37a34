// A replica of the repository in `<directory>/repository`, in `<directory>/replica/repository`. Without vitest: child processes use it too.

import { join } from 'node:path';
import { type Rejoined, rejoinAsReplica } from '../../src/replica/rejoin.ts';
import { ReplicaProgress } from '../../src/replica/replica-progress.ts';
import { Replication } from '../../src/replica/replication.ts';
import { type VerifiedReplica, verifyReplica } from '../../src/replica/verify-replica.ts';
import { openRepository as openKeys } from '../../src/repository/open.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openRepository, PASSPHRASE } from './repository.ts';

export const replicaOf = (directory: string): string => join(directory, 'replica');

export type ReplicateOptions = {
  /** Wraps the replica's store. */
  readonly wrap?: (store: ObjectStore) => ObjectStore;
  readonly wrapSource?: (store: ObjectStore) => ObjectStore;
  readonly keepAll?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: ReplicaProgress;
  readonly parallel?: number;
};

export async function openReplication(directory: string, options: ReplicateOptions = {}): Promise<Replication> {
  const { wrap = (store) => store, wrapSource = (store) => store, keepAll = false, progress = new ReplicaProgress() } = options;
  const place = wrapSource(await openFsStore(join(directory, 'repository'), { create: false }));
  return Replication.open({
    source: await openKeys(place, PASSPHRASE),
    replica: wrap(await openFsStore(join(replicaOf(directory), 'repository'), { create: true })),
    progress,
    parallel: options.parallel ?? 2,
    intervalMs: 10,
    keepAll,
    signal: options.signal ?? new AbortController().signal,
    onTrouble: () => {},
    nowMs: () => performance.now(),
    now: () => new Date(),
  });
}

export async function replicate(directory: string, options: ReplicateOptions = {}): Promise<ReplicaProgress> {
  const progress = options.progress ?? new ReplicaProgress();
  await (await openReplication(directory, { ...options, progress })).once();
  return progress;
}

/** The other way round: what is in `<directory>/repository` becomes a replica of what is in `<directory>/replica`, and is brought up to date. */
export async function rejoin(directory: string, wrap: (store: ObjectStore) => ObjectStore = (store) => store): Promise<Rejoined> {
  const signal = new AbortController().signal;
  const replica = wrap(await openFsStore(join(directory, 'repository'), { create: false }));
  const source = await openKeys(await openFsStore(join(replicaOf(directory), 'repository'), { create: false }), PASSPHRASE);
  const rejoined = await rejoinAsReplica({ source, replica, now: () => new Date(), signal });
  const replication = await Replication.open({
    source,
    replica,
    progress: new ReplicaProgress(),
    parallel: 2,
    intervalMs: 10,
    keepAll: false,
    signal,
    onTrouble: () => {},
    nowMs: () => performance.now(),
    now: () => new Date(),
  });
  await replication.once();
  return rejoined;
}

export async function prove(directory: string, { withSource = true, isFull = true, mend = false } = {}): Promise<VerifiedReplica> {
  const replica = await openRepository(replicaOf(directory));
  const source = await openFsStore(join(directory, 'repository'), { create: false });
  try {
    return await verifyReplica({
      source: withSource ? source : undefined,
      replica: replica.store,
      keyring: replica.keyring,
      isFull,
      mend,
      parallel: 2,
      signal: new AbortController().signal,
      onObject: () => {},
    });
  } finally {
    await replica.close();
  }
}

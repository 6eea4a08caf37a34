// Leaves one snapshot of the service's secrets, the newest: a passphrase that was destroyed must not come back out of an older one.
//
// Forgotten is not gone. So everything that no snapshot needs leaves the repository, down to the last block, and that is proved by a second
// look. A backup that runs meanwhile may hold the older secrets, and so may a reader's pin: then it is said, and tried again later.

import { Fault } from '../base/faults.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { rootsOf } from '../repository/head-changes.ts';
import { prune } from '../repository/prune.ts';
import { forgetSnapshots } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { SECRETS_ASSET } from './service-backup.ts';

export type DropOptions = {
  /** For people: who does it. */
  readonly by: string;
  readonly signal: AbortSignal;
};

/** Answers how many snapshots it forgot. ERASURE_WAITS while something may still hold older secrets; what was forgotten stays forgotten. */
export async function dropOlderSecrets(repository: Repository, newest: Snapshot, { by, signal }: DropOptions): Promise<number> {
  const { heads } = repository;
  const snapshots = await listSnapshots(repository, await heads.read({ signal }), { signal });
  const older = new Set(snapshots.filter(({ asset, id }) => asset === SECRETS_ASSET && id !== newest.id).map(({ id }) => id));
  if (older.size > 0) await forgetSnapshots(heads, older, { signal });
  const options = { by, unusedShareMax: 0, isThorough: true, signal };
  const { damagedPacks } = await prune(repository, options);
  if (damagedPacks.length > 0)
    throw new Fault('REPOSITORY_DAMAGED', `${damagedPacks.length} packs at ${repository.store.location} are damaged and were left`);
  const left = await prune(repository, { ...options, dryRun: true });
  const head = await heads.read({ signal });
  const registered = new Set(head.snapshots.map(({ session }) => session));
  const reasons = [
    ...(head.writers.some(({ kind }) => kind === 'backup') ? ['another backup of the service runs'] : []),
    ...([...rootsOf(head)].some((root) => !registered.has(root)) ? ['a forgotten snapshot is being read'] : []),
    ...(head.condemned.length > 0 ? ['packs wait for writers to end'] : []),
    ...(left.packsDropped + left.packsMoved + left.packsOrphaned > 0 ? ['packs with what nobody needs are there'] : []),
  ];
  if (reasons.length > 0)
    throw new Fault('ERASURE_WAITS', `Older secrets may still be in ${repository.store.location}: ${reasons.join('; ')}`);
  return older.size;
}

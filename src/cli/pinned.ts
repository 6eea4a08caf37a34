// Holding on to a snapshot while it is read: nothing that it needs is taken away meanwhile, even when somebody forgets it.

import { isFault } from '../base/faults.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { pinSnapshot, unpinSnapshot } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import type { Invocation } from './verb.ts';

/** Who may only read goes on without. */
export async function pinned<T>(
  { signal, output }: Invocation,
  repository: Repository,
  snapshot: Snapshot,
  work: () => Promise<T>,
): Promise<T> {
  let holder: string | undefined;
  try {
    ({ holder } = await pinSnapshot(repository.heads, snapshot.id, repository.process, { signal }));
  } catch (error) {
    if (!isFault(error, 'STORE_DENIED', 'STORE_FULL')) throw error;
    output.detail(`The snapshot is not held on to while it is read: ${error.message}`);
  }
  try {
    return await work();
  } finally {
    // Without it a prune waits until this process is known to be dead.
    if (holder !== undefined) await unpinSnapshot(repository.heads, holder).catch(() => {});
  }
}

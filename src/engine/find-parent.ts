// The snapshot that a backup compares with: the newest one of its asset whose map may be shared.

import { isFault } from '../base/faults.ts';
import type { CommittedRegister } from '../format/snapshot-register.ts';
import type { Snapshot, SourceType } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import { readRegistered } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import type { SessionView } from '../repository/sessions.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import { isUnsound } from '../repository/unsound.ts';

export type Parent = { readonly register: CommittedRegister; readonly snapshot: Snapshot };

export async function findParent(
  repository: Repository,
  view: SessionView,
  assetId: Uint8Array,
  type: SourceType,
): Promise<Parent | undefined> {
  const name = hex(assetId);
  let parent: Parent | undefined;
  // Registered in the order of their commits: the last few are enough to find the newest start.
  const candidates = view.parents.filter((one) => one.assetId === name).slice(-3);
  const looks = candidates.map(async ({ session }) =>
    // What it has lost must be read again.
    (await isUnsound(repository.store, session)) ? undefined : readIfThere(repository, session),
  );
  for (const found of await Promise.all(looks)) {
    if (found === undefined) continue;
    const { snapshot } = found;
    if (snapshot.type === type && (parent === undefined || snapshot.startedAt > parent.snapshot.startedAt)) parent = found;
  }
  return parent;
}

async function readIfThere(repository: Repository, session: string): Promise<Parent | undefined> {
  try {
    const register = await readRegistered(repository.heads, session);
    return { register, snapshot: openSnapshot(repository, register) };
  } catch (error) {
    // A damaged one is left to verify: everything is read again.
    if (isFault(error, 'SNAPSHOT_NOT_FOUND', 'FORMAT_DAMAGED')) return undefined;
    throw error;
  }
}

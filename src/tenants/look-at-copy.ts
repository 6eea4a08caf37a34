// A look at the copy of a tenant's repository at another site. What it holds is what its own head names, and no word of the replication
// that keeps it.
//
// A copy lies below the place of its site under the name that the repository has below the place of the service, as
// ops/runbooks/lost-site.md says. It is only read.

import { isFault } from '../base/faults.ts';
import { instantOf } from '../model/instant.ts';
import type { CopySite, Replica } from '../model/replica.ts';
import { REPOSITORY_OBJECT } from '../repository/layout.ts';
import { registerCodec } from '../repository/register-codec.ts';
import { Registers } from '../repository/registers.ts';
import { readReplicaMark } from '../repository/replica-mark.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { TenantRepositories } from './tenant-repositories.ts';

export type CopyStores = { readonly openStore: (location: string) => Promise<ObjectStore> };

export type CopyLookPorts = CopyStores & {
  readonly tenants: Pick<TenantRepositories, 'use' | 'place'>;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
};

export type SeenCopy = {
  readonly replica: Replica;
  readonly snapshots: ReadonlySet<string>;
  /** Of the repository, and not there. */
  readonly lacking: readonly string[];
};

/** Throws what kept it from looking. */
export async function lookAtCopy(
  { tenants, openStore, now, random }: CopyLookPorts,
  tenantId: string,
  { site, location }: CopySite,
  signal: AbortSignal,
): Promise<SeenCopy> {
  const name = (await tenants.place(tenantId)).location.split('/').at(-1)!;
  const seenAt = instantOf(now());
  // Before the copy: what is lacking is never more than was copied until then.
  const { keyring, source } = await tenants.use(tenantId, async (repository) => ({
    keyring: repository.keyring,
    source: (await repository.heads.read()).snapshots.map(({ session }) => session),
  }));
  const none: SeenCopy = { replica: { site, state: 'missing', seenAt }, snapshots: new Set(), lacking: source };
  let store: ObjectStore;
  try {
    store = await openStore(`${location.replace(/\/+$/, '')}/${name}`);
  } catch (error) {
    if (isFault(error, 'STORE_BUCKET_MISSING')) return none;
    throw error;
  }
  try {
    const codec = registerCodec(keyring, random);
    const mark = (await readReplicaMark(store, codec, { signal }))?.value;
    if (mark === undefined) return none;
    const head = await new Registers(store, codec, random).readHead({ signal });
    const snapshots = head?.value.snapshots ?? [];
    const lockedMs = await lockedForMs(store, now(), signal);
    const replica: Replica = {
      site,
      state: mark.state,
      ...(mark.state === 'seeding' ? {} : { asOf: mark.asOf }),
      snapshots: snapshots.length,
      ...(lockedMs === 0 ? {} : { lockedForSeconds: lockedMs / 1000 }),
      seenAt,
    };
    const there = new Set(snapshots.map(({ session }) => session));
    return { replica, snapshots: there, lacking: source.filter((session) => !there.has(session)) };
  } finally {
    await store.close();
  }
}

/** What arrives is locked by the bucket, what is there by "holdfast lock", which locks the object `repository` last: the shorter of both. */
export async function lockedForMs(store: ObjectStore, now: Date, signal: AbortSignal): Promise<number> {
  const arrivingMs = (await store.lockedForMs?.({ signal })) ?? 0;
  if (arrivingMs === 0 || store.vault === undefined) return arrivingMs;
  const untilMs = (await store.vault.lockedUntilMs(REPOSITORY_OBJECT, 'object', { signal })) ?? 0;
  return Math.floor(Math.max(0, Math.min(arrivingMs, untilMs - now.getTime())) / 1000) * 1000;
}

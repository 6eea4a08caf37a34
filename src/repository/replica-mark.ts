// The mark of a replica in the store, and the guard in front of everything that changes a repository: a replica is changed by its
// replication only, until it is released. Objects that were written beside it would be lost with the next head that is copied.

import { Fault } from '../base/faults.ts';
import { NONCE_DIGITS } from '../format/head.ts';
import { decodeReplicaMark, encodeReplicaMark, type ReplicaMark } from '../format/replica-mark.ts';
import type { CallOptions, ObjectStore, SwapResult } from '../store/object-store.ts';
import type { Random } from './keyring.ts';
import { hex } from './layout.ts';
import type { RegisterCodec } from './register-codec.ts';
import type { Versioned } from './registers.ts';

export const REPLICA_REGISTER = 'replica';

export async function readReplicaMark(
  store: ObjectStore,
  codec: RegisterCodec,
  options?: CallOptions,
): Promise<Versioned<ReplicaMark> | undefined> {
  const register = await store.read(REPLICA_REGISTER, options);
  if (register === undefined) return undefined;
  return { value: decodeReplicaMark(codec.decode(REPLICA_REGISTER, register.bytes)), version: register.version };
}

export function swapReplicaMark(
  store: ObjectStore,
  { codec, random }: { readonly codec: RegisterCodec; readonly random: Random },
  mark: ReplicaMark,
  version: string | undefined,
  options?: CallOptions,
): Promise<SwapResult> {
  const bytes = codec.encode(REPLICA_REGISTER, encodeReplicaMark(mark, hex(random(NONCE_DIGITS / 2))));
  return store.swap(REPLICA_REGISTER, bytes, version, options);
}

/** REPLICA_READ_ONLY when a replication keeps this place. */
export async function mustNotBeReplica(store: ObjectStore, codec: RegisterCodec, options?: CallOptions): Promise<void> {
  const mark = await readReplicaMark(store, codec, options);
  if (mark !== undefined && mark.value.state !== 'released')
    throw new Fault('REPLICA_READ_ONLY', `The repository at ${store.location} is a replica of ${mark.value.source}`);
}

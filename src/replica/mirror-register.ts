// Copying a register's value as it is. The replica's value is only ever one that the source had.

import { Fault } from '../base/faults.ts';
import { bytesEqual } from '../model/reference.ts';
import type { CallOptions, ObjectStore, RegisterValue } from '../store/object-store.ts';

/** Answers whether anything had to be done. REPLICA_DIVERGED when somebody else changes it at the same time. */
export async function putRegister(
  replica: ObjectStore,
  key: string,
  bytes: Uint8Array,
  before: RegisterValue | undefined,
  options: CallOptions,
): Promise<boolean> {
  if (before !== undefined && bytesEqual(before.bytes, bytes)) return false;
  if ((await replica.swap(key, bytes, before?.version, options)) !== 'conflict') return true;
  const now = await replica.read(key, options);
  if (now !== undefined && bytesEqual(now.bytes, bytes)) return true;
  throw new Fault('REPLICA_DIVERGED', `Somebody else changed the register "${key}" of the replica at ${replica.location}`);
}

// Copying one write-once object as it is. Where the name or the object itself tells what its bytes must be, they are compared before
// anything is stored: damage at the source is not carried over.

import { Fault, isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { bytesEqual } from '../model/reference.ts';
import { hex } from '../repository/layout.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { ReplicaProgress } from './replica-progress.ts';

const DIGEST_BYTES = 32;

/** named: the last part of the key is the digest. sealed: the digest follows the bytes. any: nothing tells. */
export type ObjectProof = 'named' | 'sealed' | 'any';

export type Mirror = {
  readonly source: ObjectStore;
  readonly replica: ObjectStore;
  readonly progress: ReplicaProgress;
  readonly signal: AbortSignal;
};

export function isProven(key: string, bytes: Uint8Array, proof: ObjectProof): boolean {
  if (proof === 'any') return true;
  if (proof === 'named') return hex(objectId(bytes)) === key.slice(key.lastIndexOf('/') + 1);
  const body = bytes.subarray(0, Math.max(0, bytes.length - DIGEST_BYTES));
  return bytes.length > DIGEST_BYTES && bytesEqual(objectId(body), bytes.subarray(body.length));
}

/** The bytes, proven; undefined when the store definitely has none. FORMAT_DAMAGED when they are wrong twice. */
export async function readProven(
  store: ObjectStore,
  key: string,
  proof: ObjectProof,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  for (const attempt of ['first', 'again'] as const) {
    try {
      const bytes = await store.get(key, undefined, { signal });
      if (isProven(key, bytes, proof)) return bytes;
    } catch (error) {
      if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
      // Read again, it may be whole: then it was the way.
      if (attempt === 'again' || !isFault(error, 'STORE_CORRUPT_ANSWER')) throw error;
    }
  }
  throw new Fault('FORMAT_DAMAGED', `The object ${key} at ${store.location} is damaged: its bytes are not those that were written`);
}

/** Answers its length in bytes; undefined when the source definitely has none. */
export async function copyObject(
  { source, replica, progress, signal }: Mirror,
  key: string,
  proof: ObjectProof,
): Promise<number | undefined> {
  const bytes = await readProven(source, key, proof, signal);
  if (bytes === undefined) return undefined;
  await replica.put(key, bytes, { signal, isNamed: proof === 'named' });
  progress.bytesCopied += bytes.length;
  return bytes.length;
}

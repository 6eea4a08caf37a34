// Checkpoints of the audit as objects of a store: create-only there, and immutable where the bucket has Object Lock.

import type { ObjectStore } from '../store/object-store.ts';
import { CHECKPOINT_PREFIX, type CheckpointStore } from '../trust/audit-checkpoint.ts';

export function checkpointStore(store: ObjectStore): CheckpointStore {
  return {
    put: async (name, bytes) => void (await store.put(name, bytes)),
    list: async function* () {
      for await (const page of store.list(CHECKPOINT_PREFIX)) for (const { key } of page) yield key;
    },
    get: (name) => store.get(name),
  };
}

// A store that can be read and nothing else, whatever its credentials allow: for who must not be able to change it, a drill for one.

import { Fault } from '../base/faults.ts';
import type { ObjectStore } from './object-store.ts';

/** Every change ends in STORE_DENIED, before anything is sent. */
export function readOnly(inner: ObjectStore): ObjectStore {
  const refuse = async (): Promise<never> => {
    throw new Fault('STORE_DENIED', `${inner.location} was opened for reading only`);
  };
  return {
    location: inner.location,
    get: (key, range, options) => inner.get(key, range, options),
    size: (key, options) => inner.size(key, options),
    list: (prefix, options) => inner.list(prefix, options),
    read: (key, options) => inner.read(key, options),
    close: () => inner.close(),
    ...(inner.lockedForMs && { lockedForMs: inner.lockedForMs.bind(inner) }),
    ...(inner.localPath === undefined ? {} : { localPath: (key: string) => inner.localPath!(key) }),
    put: refuse,
    delete: refuse,
    swap: refuse,
    probe: refuse,
  };
}

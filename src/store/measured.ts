// Reports every attempt on a store: verb, key, time, bytes, and the fault if it ended in one.

import { isFault } from '../base/faults.ts';
import type { ObjectStore, StoreEvent, StoreKey, StoreVerb } from './object-store.ts';
import type { Timing } from './timing.ts';
import { wrapVault } from './wrap-vault.ts';

/** `report` must not throw. An attempt that the caller's signal ended is reported without a fault. */
export function withMeasure(inner: ObjectStore, report: (event: StoreEvent) => void, timing: Timing): ObjectStore {
  const attempt = async <T>(verb: StoreVerb, key: StoreKey, work: () => Promise<T>, size: (result: T) => number): Promise<T> => {
    const startMs = timing.nowMs();
    const end = (bytes: number, error?: unknown) =>
      report({ kind: 'attempt', verb, key, durationMs: timing.nowMs() - startMs, bytes, ...(isFault(error) && { fault: error }) });
    let result: T;
    try {
      result = await work();
    } catch (error) {
      end(0, error);
      throw error;
    }
    end(size(result));
    return result;
  };
  const none = () => 0;
  return {
    location: inner.location,
    put: (key, bytes, o) =>
      attempt(
        'put',
        key,
        () => inner.put(key, bytes, o),
        () => bytes.length,
      ),
    get: (key, range, o) =>
      attempt(
        'get',
        key,
        () => inner.get(key, range, o),
        (result) => result.length,
      ),
    size: (key, o) => attempt('size', key, () => inner.size(key, o), none),
    delete: (key, o) => attempt('delete', key, () => inner.delete(key, o), none),
    read: (key, o) =>
      attempt(
        'read',
        key,
        () => inner.read(key, o),
        (value) => value?.bytes.length ?? 0,
      ),
    swap: (key, bytes, version, o) =>
      attempt(
        'swap',
        key,
        () => inner.swap(key, bytes, version, o),
        () => bytes.length,
      ),
    probe: (o) => attempt('probe', '', () => inner.probe(o), none),
    list: (prefix, o) => ({
      [Symbol.asyncIterator]: () => {
        const pages = inner.list(prefix, o)[Symbol.asyncIterator]();
        return { next: () => attempt('list', prefix, () => pages.next(), none) };
      },
    }),
    ...wrapVault(inner.vault, (key, _, work) => attempt('probe', key, work, none)),
    ...(inner.lockedForMs && { lockedForMs: (o) => attempt('probe', '', () => inner.lockedForMs!(o), none) }),
    ...(inner.localPath && { localPath: inner.localPath.bind(inner) }),
    close: () => inner.close(),
  };
}

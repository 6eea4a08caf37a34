// A store that kills its own process with SIGKILL after so many changes: puts, swaps, deletes, counted as they are answered.

import type { ObjectStore } from '../../src/store/object-store.ts';

const CHANGES = new Set(['put', 'swap', 'delete']);

export type KilledStore = { readonly store: ObjectStore; readonly changes: () => number };

export function killedAfter(inner: ObjectStore, changesMax: number): KilledStore {
  let changes = 0;
  const store = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (!CHANGES.has(String(name))) return value.bind(target);
      return async (...args: unknown[]) => {
        const result: unknown = await value.apply(target, args);
        if (++changes === changesMax) process.kill(process.pid, 'SIGKILL');
        return result;
      };
    },
  });
  return { store, changes: () => changes };
}

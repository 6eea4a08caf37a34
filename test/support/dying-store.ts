// A store that refuses everything that would change it after so many changes, as if its writer had died there.

import { Fault } from '../../src/base/faults.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';

export type Dying = { readonly wrap: (store: ObjectStore) => ObjectStore; left: number };

/** Only the methods of these names count. It lives until `left` is set. */
export function dyingStore(...changes: readonly (keyof ObjectStore)[]): Dying {
  const dying: Dying = {
    left: Number.POSITIVE_INFINITY,
    wrap: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          const value = Reflect.get(target, name, target) as unknown;
          if (typeof value !== 'function') return value;
          const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
          if (!changes.includes(name as keyof ObjectStore)) return method;
          return async (...args: unknown[]) => {
            if (--dying.left < 0) throw new Fault('STORE_DENIED', 'dead');
            return method(...args);
          };
        },
      }),
  };
  return dying;
}

import type { ObjectStore } from '../../src/store/object-store.ts';

type Method = (...args: unknown[]) => Promise<unknown>;

/** A store of which one method is another, made of the one that it has. */
export function replacedMethod(
  name: 'get' | 'put' | 'read',
  other: (method: Method) => Method,
): (store: ObjectStore) => ObjectStore {
  return (store) =>
    new Proxy(store, {
      get: (target, asked) => {
        const value = Reflect.get(target, asked, target) as unknown;
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as Method;
        return asked === name ? other(method) : method;
      },
    });
}

// The vault of a store behind a wrapper, which decides how each call passes.

import type { CallOptions, StoreKey, StoreVault } from './object-store.ts';

export function wrapVault(
  vault: StoreVault | undefined,
  pass: <T>(key: StoreKey, options: CallOptions | undefined, work: () => Promise<T>) => Promise<T>,
): { readonly vault?: StoreVault } {
  if (vault === undefined) return {};
  return {
    vault: {
      // Not repeated: who walks over it begins again.
      versions: (prefix, o) => vault.versions(prefix, o),
      versionsOf: (key, kind, o) => pass(key, o, () => vault.versionsOf(key, kind, o)),
      getVersion: (version, o) => pass(version.key, o, () => vault.getVersion(version, o)),
      lock: (key, kind, untilMs, o) => pass(key, o, () => vault.lock(key, kind, untilMs, o)),
      lockOf: (version, o) => pass(version.key, o, () => vault.lockOf(version, o)),
      lockedUntilMs: (key, kind, o) => pass(key, o, () => vault.lockedUntilMs(key, kind, o)),
    },
  };
}

// The Registry port: small values that a quorum agrees on, each changed only by compare-and-swap.
//
// `read` is linearizable: it answers the newest value at some moment between the call and its answer. `swap` replaces the value if, and only
// if, the key still has that revision; 0 means "must not exist yet". Of any number of swaps from one revision at most one takes place. A value
// that was ever acknowledged is never lost while a majority of the registry's disks lives.
//
// **A swap that throws may have taken place, or may still, later.** Nobody counts on it. Whoever read a newer revision knows that swaps from
// older ones never take place any more.
//
// There are no leases here: a lease is a value that its holder swaps again and again (src/dr/writer-record.ts). Those of etcd are renewed
// without a majority.
//
// Every call ends within its time-out with an answer, REGISTRY_UNREACHABLE (try again), REGISTRY_DENIED or REGISTRY_DAMAGED.

/** Segments of a-z, 0-9, ".", "_" and "-", joined by "/". */
export type RegistryKey = string;

export const REGISTRY_KEY = /^[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/;
export const REGISTRY_KEY_CHARS_MAX = 200;
export const REGISTRY_VALUE_BYTES_MAX = 256 * 1024;

export type RegistryValue = {
  readonly value: string;
  /** Grows with each change of the key, and is never used again for it. */
  readonly revision: number;
};

export type RegistryOptions = { readonly signal?: AbortSignal };

export interface Registry {
  /** For messages. */
  readonly location: string;
  read(key: RegistryKey, options?: RegistryOptions): Promise<RegistryValue | undefined>;
  /** Answers the new revision, or 'conflict'. */
  swap(key: RegistryKey, value: string, revision: number, options?: RegistryOptions): Promise<number | 'conflict'>;
  close(): Promise<void>;
}

// The ObjectStore port: the only way in which Holdfast touches a place where backups lie.
//
// Two kinds of things are stored. They never share a key.
//
// **Objects** are write-once. `put` creates an object whole or not at all; a reader sees all its bytes or none. Once `put` has
// returned, the object is durable (fsynced, or acknowledged by the store) and every later `get` sees it. A `put` on a key that is
// there already changes nothing and answers 'exists'. There is no overwrite.
//
// **Registers** are small (at most REGISTER_BYTES_MAX) and change only by compare-and-swap. `swap` replaces the value if, and only if,
// the register still has the version that the caller read; `undefined` as version means "must not exist yet". Of any number of
// concurrent swaps from one version exactly one wins. The answer is never wrong: when the outcome of a request was lost on the way,
// the driver reads the register back until it knows (values must therefore be unique for each attempt; callers put a nonce in them).
//
// `list` may be stale and may miss what is there: it finds garbage, it never proves absence. `get` and `read` of a key never written
// or deleted throw STORE_NOT_FOUND, and only a definite answer of the store may become that fault.
//
// Every call takes an AbortSignal, has a time-out, and throws only faults with a STORE_ code (or the signal's reason).

import type { Fault } from '../base/faults.ts';

export const REGISTER_BYTES_MAX = 8 * 1024 * 1024;

/** One path segment or several joined by "/": [a-z0-9._-] only, no empty, "." or ".." segment, at most 200 bytes. */
export type StoreKey = string;

export type CallOptions = { readonly signal?: AbortSignal };

export type RegisterValue = {
  readonly bytes: Uint8Array;
  /** Opaque; valid only for `swap` on the same key. */
  readonly version: string;
};

export type ListedObject = { readonly key: StoreKey; readonly sizeBytes: number };

export interface ObjectStore {
  /** For messages: a path or URL, never with credentials. */
  readonly location: string;

  /** Creates a write-once object. */
  put(key: StoreKey, bytes: Uint8Array, options?: CallOptions): Promise<'created' | 'exists'>;

  /** Reads `length` bytes from `offset` (a negative offset counts from the end; the whole object when no range is given).
   *  Fewer bytes than asked for are a STORE_CORRUPT_ANSWER, except when a range reaches past the end of the object. */
  get(key: StoreKey, range?: { readonly offset: number; readonly length: number }, options?: CallOptions): Promise<Uint8Array>;

  /** Size of an object in bytes, or undefined when the store definitely has none of that key. */
  size(key: StoreKey, options?: CallOptions): Promise<number | undefined>;

  /** Deletes an object or a register. Deleting what is not there succeeds. */
  delete(key: StoreKey, options?: CallOptions): Promise<void>;

  /** Objects (not registers) whose key starts with `prefix`, in no promised order, a page at a time. */
  list(prefix: StoreKey, options?: CallOptions): AsyncIterable<readonly ListedObject[]>;

  /** The value of a register, or undefined when it definitely does not exist. */
  read(key: StoreKey, options?: CallOptions): Promise<RegisterValue | undefined>;

  /** Compare-and-swap; see above. Answers the new version, or 'conflict' when another value is there. */
  swap(
    key: StoreKey,
    bytes: Uint8Array,
    version: string | undefined,
    options?: CallOptions,
  ): Promise<{ readonly version: string } | 'conflict'>;

  /** Finds out by trying whether the conditions of this contract hold here (two swaps from one version: one must lose).
   *  Throws STORE_NO_CONDITIONAL_WRITES, STORE_DENIED, STORE_BUCKET_MISSING, ... before anything else is written. */
  probe(options?: CallOptions): Promise<StoreFacts>;

  /** Where the object lies in the local file system, when it does: lets workers read it without a copy through this port. */
  localPath?(key: StoreKey): string;

  close(): Promise<void>;
}

export type StoreFacts = {
  readonly conditionalWrites: true;
  /** Object Lock: what the bucket can do, or why not. */
  readonly objectLock: 'available' | 'unavailable';
};

/** What a driver reports of each attempt, for retries and metrics. */
export type StoreEvent = {
  readonly kind: 'attempt';
  readonly verb: 'put' | 'get' | 'size' | 'delete' | 'list' | 'read' | 'swap' | 'probe';
  readonly key: StoreKey;
  readonly durationMs: number;
  readonly bytes: number;
  readonly fault?: Fault;
};

// The ObjectStore port: the only way in which Holdfast touches a place where backups lie.
//
// Two kinds of things are stored. Each kind has names of its own: a `get` never sees a register, a `read` never sees an object. A
// key is never used for both kinds, and never is a key a path prefix of another one ("a" and "a/b"): a directory cannot hold
// them.
//
// **Objects** are write-once. `put` creates an object whole or not at all; a reader sees all its bytes or none. Once `put` has
// answered, the object is durable (fsynced, or acknowledged by the store) and every later `get` sees it. A `put` on a key that is
// there already changes nothing and answers 'exists'; that object is durable then too. 'exists' also comes when an earlier attempt
// of the same call made the object and its answer was lost: callers use keys that stand for the content, or that nobody else uses.
// There is no overwrite.
//
// **Registers** are small (at most REGISTER_BYTES_MAX) and change only by compare-and-swap. `swap` replaces the value if, and
// only if, the register still has the version that the caller read; `undefined` as version means "must not exist yet". Of any
// number of concurrent swaps from one version exactly one wins. No two values that are ever offered to one register may be equal
// (callers put a nonce in them), for a swap is known by its bytes:
//
// - A `swap` that answers is right, even if its first request was lost on the way: a version means that the value was there, and
//   'conflict' that it never was. (The one exception: the register was deleted meanwhile; then the answer is 'conflict'.)
// - A `swap` that throws may have taken place, or may still. The same call again (same key, bytes and version) answers truthfully.
//   Both drivers keep the ids of the last REGISTER_HISTORY values beside the value for this; a writer that slept through more swaps
//   than that gets STORE_OUTCOME_UNKNOWN, never a wrong answer.
//
// What `read` and `size` answer is durable: callers may build on it. What `get` returns is authentic only as far as the caller
// checks.
//
// A `put` or `delete` that throws may have taken place, or may still take place later. A `delete` may be undone by a power cut.
//
// `list` may be stale and may miss what is there: it finds garbage, it never proves absence. `get` and `read` of a key never
// written or deleted end in STORE_NOT_FOUND and undefined, and only a definite answer of the store may become that: not a
// vanished mount, not a missing bucket, not somebody's 404 page. When `next()` of a listing throws a fault with the verdict
// 'later', it may be called again and goes on where it was.
//
// Every call takes an AbortSignal, has a time-out, and throws only faults with a STORE_ code (or the signal's reason).

import type { Fault } from '../base/faults.ts';

/** Every driver creates an object in one request. No multipart: Ceph RGW 16 ignores If-None-Match when it completes one, and
 *  overwrites what is there. */
export const OBJECT_BYTES_MAX = 1024 * 1024 * 1024;

export const REGISTER_BYTES_MAX = 8 * 1024 * 1024;

/** So many swaps may happen between a lost answer and the question what became of it. */
export const REGISTER_HISTORY = 64;

/** One path segment or several joined by "/": [a-z0-9._-] only, no empty, "." or ".." segment, at most 200 bytes. */
export type StoreKey = string;

export type CallOptions = { readonly signal?: AbortSignal };

export type DeleteOptions = CallOptions & {
  /** What it is, where the caller knows: saves the S3 driver a request. */
  readonly kind?: KeyKind;
};

export type PutOptions = CallOptions & {
  /** SHA-256 of the bytes (32 bytes), when the caller has it already: saves the S3 driver 0.5 CPU seconds a GiB. */
  readonly sha256?: Uint8Array;
  /** The key stands for the bytes: whoever puts it puts the same. Saves a request in a bucket with versions, where 'created' may then be
   *  said of what was there. */
  readonly isNamed?: boolean;
};

/** A slice of an object. `offset` below zero counts from the end, and from the start when the object is shorter than that. */
export type ByteRange = { readonly offset: number; readonly length: number };

export type RegisterValue = {
  readonly bytes: Uint8Array;
  /** Opaque; valid only for `swap` on the same key. */
  readonly version: string;
};

export type SwapResult = { readonly version: string } | 'conflict';

export type ListedObject = { readonly key: StoreKey; readonly sizeBytes: number };

export interface ObjectStore {
  /** For messages: a path or URL, never with credentials. */
  readonly location: string;

  /** Creates a write-once object. The bytes may lie in shared memory and must not change until the promise settles. */
  put(key: StoreKey, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'>;

  /** Reads a range, or the whole object. A range is cut at the end of the object (so it may be empty); otherwise fewer bytes than
   *  asked for are a STORE_CORRUPT_ANSWER. */
  get(key: StoreKey, range?: ByteRange, options?: CallOptions): Promise<Uint8Array>;

  /** Size of an object in bytes, or undefined when the store definitely has none of that key. */
  size(key: StoreKey, options?: CallOptions): Promise<number | undefined>;

  /** Deletes an object or a register. Deleting what is not there succeeds. */
  delete(key: StoreKey, options?: DeleteOptions): Promise<void>;

  /** Objects (not registers) whose key starts with `prefix`, in no promised order, a page (at most 1,000) at a time. */
  list(prefix: StoreKey, options?: CallOptions): AsyncIterable<readonly ListedObject[]>;

  /** The value of a register, or undefined when it definitely does not exist. */
  read(key: StoreKey, options?: CallOptions): Promise<RegisterValue | undefined>;

  /** Compare-and-swap; see above. Answers the new version, or 'conflict' when another value is there. */
  swap(key: StoreKey, bytes: Uint8Array, version: string | undefined, options?: CallOptions): Promise<SwapResult>;

  /** Finds out by trying whether the conditions of this contract hold here (two swaps from one version: one must lose).
   *  Throws STORE_NO_CONDITIONAL_WRITES, STORE_DENIED, STORE_BUCKET_MISSING, ... before anything else is written.
   *  Also clears away what writers that died have left behind outside the keys. */
  probe(options?: CallOptions): Promise<StoreFacts>;

  /** For how long nobody at all can delete what is put here now: Object Lock by default, in the mode that knows no exception. 0, or no such verb:
   *  whoever may delete can. */
  lockedForMs?(options?: CallOptions): Promise<number>;

  /** Only where what is overwritten or deleted can be kept. */
  readonly vault?: StoreVault;

  /** Where the object lies in the local file system, when it does: lets workers read it without a copy through this port. */
  localPath?(key: StoreKey): string;

  /** Waits until calls that were given up (aborted, timed out) are really over, and frees sockets. */
  close(): Promise<void>;
}

export type KeyKind = 'object' | 'register';

/** `isMarker`: no version, but the word that what is older was deleted. */
export type KeptVersion = {
  readonly key: StoreKey;
  readonly kind: KeyKind;
  readonly versionId: string;
  readonly isMarker: boolean;
  readonly sizeBytes: number;
};

/** What a bucket with versions can do besides, and one with Object Lock. */
export type StoreVault = {
  /** All that is kept below a prefix, key by key, the newest first. */
  versions(prefix: StoreKey, options?: CallOptions): AsyncIterable<KeptVersion>;
  /** Of one key, the newest first. Empty: the store keeps no versions, or never had it. */
  versionsOf(key: StoreKey, kind: KeyKind, options?: CallOptions): Promise<readonly KeptVersion[]>;
  /** Undefined when the store definitely does not have it any more. */
  getVersion(version: KeptVersion, options?: CallOptions): Promise<Uint8Array | undefined>;
  /** Nobody at all can delete the bytes of an object or the value of a register before that moment, in milliseconds; a lock that is longer
   *  stays. 'missing': there is none. STORE_NO_OBJECT_LOCK. */
  lock(key: StoreKey, kind: KeyKind, untilMs: number, options?: CallOptions): Promise<'locked' | 'missing'>;
  /** Until when nobody can delete this version, in milliseconds; undefined when somebody can. */
  lockOf(version: KeptVersion, options?: CallOptions): Promise<number | undefined>;
  /** The latest end of the locks of its versions; undefined when somebody can delete all of them. */
  lockedUntilMs(key: StoreKey, kind: KeyKind, options?: CallOptions): Promise<number | undefined>;
};

export type StoreFacts = {
  readonly conditionalWrites: true;
  /** Object Lock: what the bucket can do, or why not. */
  readonly objectLock: 'available' | 'unavailable';
};

export type StoreVerb = 'put' | 'get' | 'size' | 'delete' | 'list' | 'read' | 'swap' | 'probe';

/** What a driver reports of each attempt, for retries and metrics. */
export type StoreEvent = {
  readonly kind: 'attempt';
  readonly verb: StoreVerb;
  readonly key: StoreKey;
  readonly durationMs: number;
  readonly bytes: number;
  readonly fault?: Fault;
};

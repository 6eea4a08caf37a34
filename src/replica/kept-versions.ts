// Bringing one object or register back from the versions that a bucket has kept under a deletion or an overwriting.
//
// Which version is the right one is never believed: the caller proves it by its bytes. Where nothing can (a key object before it is opened),
// it is the oldest, since objects are written once. What is brought back is written anew, on top; nothing is taken away.

import { isFault } from '../base/faults.ts';
import type { CallOptions, KeptVersion, KeyKind, ObjectStore, StoreVault } from '../store/object-store.ts';
import { readOnly } from '../store/read-only.ts';

export type Proof = (bytes: Uint8Array) => boolean;

/** untouched: there is nothing but the one version. whole: the newest is right. lost: no version is. */
export type Returned = 'untouched' | 'whole' | 'returned' | 'lost';

export class KeptVersions {
  readonly #store: ObjectStore;
  readonly #vault: StoreVault;
  readonly #dryRun: boolean;
  readonly #options: CallOptions;
  /** The last object that would have been brought back. */
  #seen: { readonly key: string; readonly bytes: Uint8Array } | undefined;

  constructor(
    store: ObjectStore,
    vault: StoreVault,
    { dryRun, signal }: { readonly dryRun: boolean; readonly signal: AbortSignal },
  ) {
    this.#store = store;
    this.#vault = vault;
    this.#dryRun = dryRun;
    this.#options = { signal };
  }

  async object(key: string, isRight: Proof): Promise<Returned> {
    const versions = await this.#vault.versionsOf(key, 'object', this.#options);
    if (versions.length === 0) return 'lost';
    if (versions.length === 1 && !versions[0]!.isMarker) return 'untouched';
    for (const version of oldestFirst(versions)) {
      const bytes = await this.#vault.getVersion(version, this.#options);
      if (bytes === undefined || !isRight(bytes)) continue;
      if (await this.#isThere(key, bytes)) return 'whole';
      await this.putObject(key, bytes);
      if (this.#dryRun) this.#seen = { key, bytes };
      return 'returned';
    }
    return 'lost';
  }

  /** The value that `isBetter` prefers to all newer ones. `decode` throws a fault, or answers undefined, for what is none. */
  async register<T>(
    key: string,
    decode: (bytes: Uint8Array) => T | undefined,
    isBetter: (one: T, other: T) => boolean,
  ): Promise<{ readonly outcome: Returned; readonly value: T | undefined }> {
    let newest: Uint8Array | undefined;
    let isFirst = true;
    let best: { readonly bytes: Uint8Array; readonly value: T } | undefined;
    for (const version of await this.#vault.versionsOf(key, 'register', this.#options)) {
      const bytes = version.isMarker ? undefined : await this.#vault.getVersion(version, this.#options);
      if (isFirst) newest = bytes;
      isFirst = false;
      const value = bytes && attempt(() => decode(bytes));
      if (bytes !== undefined && value !== undefined && (best === undefined || isBetter(value, best.value)))
        best = { bytes, value };
    }
    if (best === undefined) return { outcome: 'lost', value: undefined };
    // What is damaged is read many times over before that is believed, so it is read only when it may be right.
    if (newest !== undefined && Buffer.compare(newest, best.bytes) === 0) {
      const current = await attemptAsync(() => this.#store.read(key, this.#options));
      if (current !== undefined && Buffer.compare(current.bytes, best.bytes) === 0) return { outcome: 'whole', value: best.value };
    }
    if (!this.#dryRun) {
      await this.#store.delete(key, this.#options);
      await this.#store.swap(key, best.bytes, undefined, this.#options);
    }
    return { outcome: 'returned', value: best.value };
  }

  /** The store, with the object in it that was brought back last, also where that was not really done. */
  get afterwards(): ObjectStore {
    const get: ObjectStore['get'] = async (key, range, options) =>
      this.#seen?.key === key && range === undefined ? this.#seen.bytes : this.#store.get(key, range, options);
    return { ...readOnly(this.#store), get };
  }

  /** The bytes of each version of an object, the oldest first. */
  async *candidates(key: string): AsyncGenerator<Uint8Array> {
    for (const version of oldestFirst(await this.#vault.versionsOf(key, 'object', this.#options))) {
      const bytes = await this.#vault.getVersion(version, this.#options);
      if (bytes !== undefined) yield bytes;
    }
  }

  /** Also of what is under a deletion, the keys of one kind below a prefix. */
  async *keys(prefix: string, kind: KeyKind): AsyncGenerator<string> {
    let last: string | undefined;
    for await (const version of this.#vault.versions(prefix, this.#options)) {
      if (version.kind !== kind || version.key === last) continue;
      last = version.key;
      yield version.key;
    }
  }

  /** Whatever lies there now goes under these bytes. */
  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    if (this.#dryRun || (await this.#isThere(key, bytes))) return;
    await this.#store.delete(key, this.#options);
    await this.#store.put(key, bytes, this.#options);
  }

  async #isThere(key: string, bytes: Uint8Array): Promise<boolean> {
    const current = await attemptAsync(() => this.#store.get(key, undefined, this.#options));
    return current !== undefined && Buffer.compare(current, bytes) === 0;
  }
}

function oldestFirst(versions: readonly KeptVersion[]): KeptVersion[] {
  return versions.filter(({ isMarker }) => !isMarker).reverse();
}

function attempt<T>(work: () => T | undefined): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!isFault(error)) throw error;
    return undefined;
  }
}

async function attemptAsync<T>(work: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isFault(error, 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER')) throw error;
    return undefined;
  }
}

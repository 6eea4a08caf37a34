// The ObjectStore on an S3 bucket. Object K is `prefix/K`, register K is `prefix/K~` (no StoreKey can hold a "~").
//
// Import this module lazily: the SDK behind it takes 70 ms to load.
//
// Object sizes are asked by a ranged GET and not by HEAD, because the answer to a HEAD has no body and cannot tell a missing
// object from a missing bucket.

import { randomBytes } from 'node:crypto';
import { Fault, isFault } from '../base/faults.ts';
import { formatLocation, type StoreLocation } from './location.ts';
import {
  type ByteRange,
  type CallOptions,
  type DeleteOptions,
  type ListedObject,
  OBJECT_BYTES_MAX,
  type ObjectStore,
  type PutOptions,
  REGISTER_BYTES_MAX,
  type RegisterValue,
  type StoreFacts,
  type StoreKey,
  type StoreVault,
  type SwapResult,
} from './object-store.ts';
import { S3Bucket, type S3Credentials } from './s3-bucket.ts';
import { probeConditions } from './s3-probe.ts';
import { S3Registers } from './s3-register.ts';
import { S3_TIMEOUTS, type S3Timeouts } from './s3-timeouts.ts';
import { S3Vault } from './s3-vault.ts';
import { objectLockOf, type S3Version, versionsOf } from './s3-versions.ts';
import { checkKey, isStoreKey, splitPrefix } from './store-key.ts';

export type S3StoreOptions = {
  readonly location: Extract<StoreLocation, { readonly kind: 's3' }>;
  readonly credentials: S3Credentials;
  readonly region?: string;
  readonly timeouts?: Partial<S3Timeouts>;
  /** Requests at a time. */
  readonly concurrency?: number;
};

const DAY_MS = 86_400_000;
const CONCURRENCY = 16;
const REGION = 'us-east-1';

export function openS3Store(options: S3StoreOptions): ObjectStore {
  return new S3Store(options);
}

class S3Store implements ObjectStore {
  readonly location: string;
  readonly vault: StoreVault;
  readonly #bucket: S3Bucket;
  readonly #registers: S3Registers;
  readonly #prefix: string;

  constructor(options: S3StoreOptions) {
    const { endpoint, bucket, prefix } = options.location;
    this.location = formatLocation(options.location);
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.#bucket = new S3Bucket({
      endpoint,
      bucket,
      region: options.region ?? REGION,
      credentials: options.credentials,
      timeouts: { ...S3_TIMEOUTS, ...options.timeouts },
      concurrency: options.concurrency ?? CONCURRENCY,
    });
    this.#registers = new S3Registers(this.#bucket);
    this.vault = new S3Vault(this.#bucket, this.#registers, this.#prefix);
  }

  async put(key: StoreKey, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'> {
    const name = this.#object(key);
    if (bytes.length > OBJECT_BYTES_MAX) throw new Fault('STORE_TOO_LARGE', `an object of ${bytes.length} bytes as ${key}`);
    const result = await this.#bucket.put(name, bytes, { absent: true }, { sha256: options?.sha256 }, options?.signal);
    if (result === 'refused') return 'exists';
    if (result.versionId === undefined || options?.isNamed === true) return 'created';
    return this.#first(name, { versionId: result.versionId, etag: result.etag }, options?.signal);
  }

  /** In a bucket with versions a condition that held proves nothing (register-order.ts): the object is the oldest version. */
  async #first(
    name: string,
    mine: { readonly versionId: string; readonly etag: string },
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    let first: S3Version | undefined;
    for await (const version of versionsOf(this.#bucket, name, signal)) {
      if (version.isMarker) break;
      first = version;
    }
    if (first === undefined || first.versionId === mine.versionId) return 'created';
    if (first.etag === mine.etag) return 'exists';
    try {
      await this.#bucket.delete(name, signal, mine.versionId);
    } catch (error) {
      if (!isFault(error, 'STORE_DENIED')) throw error;
      // Locked: what was there is said once more, on top of it.
      const object = await this.#bucket.get(name, undefined, signal, first.versionId);
      if (object !== undefined) await this.#bucket.put(name, object.bytes, undefined, {}, signal);
    }
    return 'exists';
  }

  async get(key: StoreKey, range?: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    const name = this.#object(key);
    const object = await this.#bucket.get(name, range && httpRange(range), options?.signal);
    if (object === undefined) throw new Fault('STORE_NOT_FOUND', `there is no ${this.location}/${key}`);
    if (range === undefined) return object.bytes;
    const start = range.offset < 0 ? Math.max(0, object.sizeBytes + range.offset) : range.offset;
    const length = Math.max(0, Math.min(object.sizeBytes - start, range.length));
    // An empty object, or a range past the end: the store has no bytes to give and does not say where.
    if (object.sizeBytes > 0 && (object.start !== start || object.bytes.length < length)) {
      throw new Fault(
        'STORE_CORRUPT_ANSWER',
        `get ${name}: got ${object.bytes.length} bytes from ${object.start}, not ${length} from ${start}`,
      );
    }
    return object.bytes.subarray(0, length);
  }

  async size(key: StoreKey, options?: CallOptions): Promise<number | undefined> {
    return (await this.#bucket.get(this.#object(key), '0-0', options?.signal))?.sizeBytes;
  }

  async delete(key: StoreKey, options?: DeleteOptions): Promise<void> {
    const register = this.#register(key);
    // Asked first, because deleting both would leave a delete marker for what never was in a bucket with versions.
    const kind = options?.kind ?? ((await this.#registers.exists(register, options?.signal)) ? 'register' : 'object');
    await this.#bucket.delete(kind === 'register' ? register : this.#object(key), options?.signal);
  }

  list(prefix: StoreKey, options?: CallOptions): AsyncIterable<readonly ListedObject[]> {
    return { [Symbol.asyncIterator]: () => this.#pages(prefix, options?.signal) };
  }

  async read(key: StoreKey, options?: CallOptions): Promise<RegisterValue | undefined> {
    return this.#registers.read(this.#register(key), options?.signal);
  }

  async swap(key: StoreKey, bytes: Uint8Array, version: string | undefined, options?: CallOptions): Promise<SwapResult> {
    const name = this.#register(key);
    if (bytes.length > REGISTER_BYTES_MAX)
      throw new Fault('STORE_TOO_LARGE', `a value of ${bytes.length} bytes for the register ${key}`);
    return this.#registers.swap(name, bytes, version, options?.signal);
  }

  async probe(options?: CallOptions): Promise<StoreFacts> {
    const signal = options?.signal;
    const name = `${this.#prefix}probe-${randomBytes(8).toString('hex')}~`;
    const objectLock = (await objectLockOf(this.#bucket, signal)) === undefined ? 'unavailable' : 'available';
    await probeConditions({ bucket: this.#bucket, registers: this.#registers, location: this.location }, name, signal);
    return { conditionalWrites: true, objectLock };
  }

  async lockedForMs(options?: CallOptions): Promise<number> {
    return ((await objectLockOf(this.#bucket, options?.signal))?.days ?? 0) * DAY_MS;
  }

  async close(): Promise<void> {
    this.#bucket.destroy();
  }

  #object(key: StoreKey): string {
    checkKey(key);
    return this.#prefix + key;
  }

  #register(key: StoreKey): string {
    return `${this.#object(key)}~`;
  }

  #pages(prefix: string, signal: AbortSignal | undefined): AsyncIterator<readonly ListedObject[]> {
    splitPrefix(prefix);
    let token: string | undefined;
    let ended = false;
    return {
      next: async () => {
        while (!ended) {
          const page = await this.#bucket.page(this.#prefix + prefix, token, signal);
          token = page.next;
          ended = token === undefined;
          const objects = page.objects
            .map(({ name, sizeBytes }) => ({ key: name.slice(this.#prefix.length), sizeBytes }))
            .filter(({ key }) => isStoreKey(key));
          if (objects.length > 0) return { done: false, value: objects };
        }
        return { done: true, value: undefined };
      },
    };
  }
}

/** A range in HTTP's words. HTTP has no empty range; one byte is asked for then, so that a missing object is noticed. */
function httpRange(range: ByteRange): string {
  const length = Math.max(1, range.length);
  // From the end to at least where the range ends: nearly always it ends at the end.
  if (range.offset < 0) return String(range.offset);
  return `${range.offset}-${range.offset + length - 1}`;
}

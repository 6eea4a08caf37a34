// The ObjectStore port in memory: every call takes effect at once, in one go. For tests that decide themselves what happens between calls.

import { Fault } from '../../src/base/faults.ts';
import { invariant } from '../../src/base/invariant.ts';
import {
  type ByteRange,
  type CallOptions,
  type ListedObject,
  OBJECT_BYTES_MAX,
  type ObjectStore,
  REGISTER_BYTES_MAX,
  type RegisterValue,
  type StoreFacts,
  type StoreKey,
  type SwapResult,
} from '../../src/store/object-store.ts';

const PAGE_KEYS = 3;

export class MemoryStore implements ObjectStore {
  readonly location = 'memory';
  readonly objects = new Map<StoreKey, Uint8Array>();
  readonly registers = new Map<StoreKey, RegisterValue>();
  #versions = 0;

  async put(key: StoreKey, bytes: Uint8Array, options?: CallOptions): Promise<'created' | 'exists'> {
    options?.signal?.throwIfAborted();
    invariant(!this.registers.has(key) && bytes.length <= OBJECT_BYTES_MAX, `${key} is no register, and not too large`);
    if (this.objects.has(key)) return 'exists';
    this.objects.set(key, bytes.slice());
    return 'created';
  }

  async get(key: StoreKey, range?: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    options?.signal?.throwIfAborted();
    const bytes = this.objects.get(key);
    if (bytes === undefined) throw new Fault('STORE_NOT_FOUND', `There is no object ${key}`);
    if (range === undefined) return bytes.slice();
    const from = range.offset < 0 ? Math.max(0, bytes.length + range.offset) : range.offset;
    return bytes.slice(from, from + range.length);
  }

  async size(key: StoreKey, options?: CallOptions): Promise<number | undefined> {
    options?.signal?.throwIfAborted();
    return this.objects.get(key)?.length;
  }

  async delete(key: StoreKey, options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    this.objects.delete(key);
    this.registers.delete(key);
  }

  async *list(prefix: StoreKey, options?: CallOptions): AsyncIterable<readonly ListedObject[]> {
    const found = [...this.objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, bytes]) => ({ key, sizeBytes: bytes.length }));
    for (let at = 0; at < found.length; at += PAGE_KEYS) {
      options?.signal?.throwIfAborted();
      yield found.slice(at, at + PAGE_KEYS);
    }
  }

  async read(key: StoreKey, options?: CallOptions): Promise<RegisterValue | undefined> {
    options?.signal?.throwIfAborted();
    return this.registers.get(key);
  }

  async swap(key: StoreKey, bytes: Uint8Array, version: string | undefined, options?: CallOptions): Promise<SwapResult> {
    options?.signal?.throwIfAborted();
    invariant(!this.objects.has(key) && bytes.length <= REGISTER_BYTES_MAX, `${key} is no object, and small`);
    if (this.registers.get(key)?.version !== version) return 'conflict';
    const value = { bytes: bytes.slice(), version: `v${++this.#versions}` };
    this.registers.set(key, value);
    return { version: value.version };
  }

  async probe(): Promise<StoreFacts> {
    return { conditionalWrites: true, objectLock: 'unavailable' };
  }

  async close(): Promise<void> {}
}

// A place as it was before it became a replica: its registers are those that it left, its objects are all there. For reading only: whoever
// opens a repository on it, with a cache of its own since its head is an older one, can restore from it.

import { Fault, isFault } from '../base/faults.ts';
import { leftKey } from '../repository/left-states.ts';
import { REPLICA_REGISTER } from '../repository/replica-mark.ts';
import type {
  ByteRange,
  CallOptions,
  ListedObject,
  ObjectStore,
  RegisterValue,
  StoreFacts,
  SwapResult,
} from '../store/object-store.ts';

export class LeftStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #id: string;
  readonly localPath?: (key: string) => string;

  constructor(store: ObjectStore, id: string) {
    this.#store = store;
    this.#id = id;
    if (store.localPath !== undefined) this.localPath = (key) => store.localPath!(key);
  }

  get location(): string {
    return this.#store.location;
  }

  get(key: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#store.get(key, range, options);
  }

  size(key: string, options?: CallOptions): Promise<number | undefined> {
    return this.#store.size(key, options);
  }

  list(prefix: string, options?: CallOptions): AsyncIterable<readonly ListedObject[]> {
    return this.#store.list(prefix, options);
  }

  async read(key: string, options?: CallOptions): Promise<RegisterValue | undefined> {
    if (key === REPLICA_REGISTER) return undefined;
    try {
      return { bytes: await this.#store.get(leftKey(this.#id, key), undefined, options), version: this.#id };
    } catch (error) {
      if (isFault(error, 'STORE_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async put(): Promise<'created' | 'exists'> {
    throw this.#refusal();
  }

  async delete(): Promise<void> {
    throw this.#refusal();
  }

  async swap(): Promise<SwapResult> {
    throw this.#refusal();
  }

  probe(options?: CallOptions): Promise<StoreFacts> {
    return this.#store.probe(options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #refusal(): Fault {
    return new Fault('REPLICA_READ_ONLY', `What ${this.location} left is kept as it was`);
  }
}

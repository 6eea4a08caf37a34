// The ObjectStore on a directory. Object K is the file `K`, register K the directory `K~/` (fs-register.ts), temporary files lie in
// `tmp~/`; no StoreKey can hold a "~".
//
// put: write `tmp~/x`, fsync it, link(2) it to its name (create-only, atomic: EEXIST when the name is taken), unlink `tmp~/x`,
// fsync the directory, and before that make every new parent durable. So a name either leads to all the bytes or is not there,
// whoever dies when; and "it is there already" is answered only once the name is durable. What a dead writer leaves in `tmp~/` is
// removed by `probe` when it is a day old, by the clock of the file system itself.

import { open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../base/faults.ts';
import { READ_AT_ONCE } from '../base/read-at-once.ts';
import { withDeadline } from './deadline.ts';
import { fsFault, isErrno, NO_FILE } from './fs-faults.ts';
import { FsListing } from './fs-list.ts';
import { FsRegisters } from './fs-register.ts';
import { FsRoot, TEMPORARY } from './fs-root.ts';
import {
  type ByteRange,
  type CallOptions,
  type ListedObject,
  OBJECT_BYTES_MAX,
  type ObjectStore,
  type PutOptions,
  REGISTER_BYTES_MAX,
  type RegisterValue,
  type StoreFacts,
  type StoreKey,
  type StoreVerb,
  type SwapResult,
} from './object-store.ts';
import { checkKey } from './store-key.ts';

const TIMEOUT_MS = 5 * 60_000;
/** For what was given up and is still under way. */
const CLOSE_TIMEOUT_MS = 10_000;
const LEFTOVER_AGE_MS = 24 * 3_600_000;

export type FsStoreOptions = {
  /** Make the directory when it is not there. */
  readonly create?: boolean;
  /** Limit for one call. A local disk never needs it; a network file system that hangs does. */
  readonly timeoutMs?: number;
};

/** Opens a directory as a store. Throws STORE_BUCKET_MISSING, STORE_BAD_LOCATION, STORE_DENIED. */
export async function openFsStore(path: string, options: FsStoreOptions = {}): Promise<ObjectStore> {
  return new FsStore(await FsRoot.open(path, options.create ?? false), options.timeoutMs ?? TIMEOUT_MS);
}

class FsStore implements ObjectStore {
  readonly location: string;
  readonly #root: FsRoot;
  readonly #registers: FsRegisters;
  readonly #timeoutMs: number;
  readonly #running = new Set<Promise<unknown>>();

  constructor(root: FsRoot, timeoutMs: number) {
    this.location = root.path;
    this.#root = root;
    this.#registers = new FsRegisters(root);
    this.#timeoutMs = timeoutMs;
  }

  put(key: StoreKey, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'> {
    return this.#call('put', key, options, (signal) => this.#put(key, bytes, signal));
  }

  get(key: StoreKey, range?: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#call('get', key, options, () => this.#get(key, range));
  }

  size(key: StoreKey, options?: CallOptions): Promise<number | undefined> {
    return this.#call('size', key, options, async () => {
      const sizeBytes = await this.#sizeOf(key);
      if (sizeBytes === undefined) await this.#root.assertThere();
      else await this.#makeDurable(key);
      return sizeBytes;
    });
  }

  delete(key: StoreKey, options?: CallOptions): Promise<void> {
    return this.#call('delete', key, options, async () => {
      try {
        return await unlink(this.#root.at(key));
      } catch (error) {
        // A directory: of keys that start with this one, or none of ours.
        if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'EPERM') || (await this.#sizeOf(key)) !== undefined) throw error;
      }
      if (!(await this.#registers.delete(key))) await this.#root.assertThere();
    });
  }

  list(prefix: StoreKey, options?: CallOptions): AsyncIterable<readonly ListedObject[]> {
    const call = <T>(work: () => Promise<T>) => this.#call('list', undefined, options, work);
    return {
      [Symbol.asyncIterator]: () => {
        const listing = new FsListing(this.#root, prefix);
        return {
          next: async () => {
            const page = await call(() => listing.next());
            return page === undefined ? { done: true, value: undefined } : { done: false, value: page };
          },
        };
      },
    };
  }

  read(key: StoreKey, options?: CallOptions): Promise<RegisterValue | undefined> {
    return this.#call('read', key, options, () => this.#registers.read(key));
  }

  swap(key: StoreKey, bytes: Uint8Array, version: string | undefined, options?: CallOptions): Promise<SwapResult> {
    return this.#call('swap', key, options, async (signal) => {
      if (bytes.length > REGISTER_BYTES_MAX)
        throw new Fault('STORE_TOO_LARGE', `a value of ${bytes.length} bytes for the register ${key}`);
      return this.#registers.swap(key, bytes, version, signal);
    });
  }

  probe(options?: CallOptions): Promise<StoreFacts> {
    return this.#call('probe', undefined, options, async (signal) => {
      await this.#root.assertThere();
      await this.#probeLinks();
      await this.#probeSwaps(signal);
      await this.#removeLeftovers();
      return { conditionalWrites: true, objectLock: 'unavailable' };
    });
  }

  localPath(key: StoreKey): string {
    checkKey(key);
    return this.#root.at(key);
  }

  async close(): Promise<void> {
    // Not for what has outlived its deadline already: in a file system that hangs it never ends.
    const patience = new AbortController();
    const ended = Promise.allSettled(this.#running).finally(() => patience.abort());
    await Promise.race([ended, sleep(CLOSE_TIMEOUT_MS, undefined, { signal: patience.signal }).catch(() => {})]);
  }

  async #call<T>(
    verb: StoreVerb,
    key: StoreKey | undefined,
    options: CallOptions | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (key !== undefined) checkKey(key);
    const what = `${verb} ${key === undefined ? this.location : this.#root.at(key)}`;
    const tracked = (signal: AbortSignal) => {
      const running = work(signal);
      const entry = running.catch(() => {}).finally(() => this.#running.delete(entry));
      this.#running.add(entry);
      return running;
    };
    try {
      return await withDeadline({ what, timeoutMs: this.#timeoutMs, signal: options?.signal }, tracked);
    } catch (error) {
      throw fsFault(error, what);
    }
  }

  async #put(key: StoreKey, bytes: Uint8Array, signal: AbortSignal): Promise<'created' | 'exists'> {
    if (bytes.length > OBJECT_BYTES_MAX) throw new Fault('STORE_TOO_LARGE', `an object of ${bytes.length} bytes as ${key}`);
    if ((await this.#sizeOf(key)) === undefined && (await this.#create(key, bytes, signal))) return 'created';
    await this.#makeDurable(key);
    return 'exists';
  }

  async #create(key: StoreKey, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const temporary = await this.#root.writeTemporary([bytes]);
    let linked = false;
    let removing: Promise<void> | undefined;
    try {
      signal.throwIfAborted();
      await this.#root.ensure(dirname(key));
      linked = await this.#root.link(temporary, key);
      if (!linked && (await this.#sizeOf(key)) === undefined) throw this.#notAFile(key);
    } catch (error) {
      throw isErrno(error, 'ENOTDIR') ? this.#notAFile(key) : error;
    } finally {
      removing = this.#root.remove(temporary);
      if (!linked) await removing;
    }
    if (linked) await Promise.all([this.#root.sync(dirname(key)), removing]);
    return linked;
  }

  #notAFile(key: StoreKey): Fault {
    return new Fault(
      'STORE_BAD_KEY',
      `${this.#root.at(key)} cannot be a file: its name is the start of another one, or the other way round`,
    );
  }

  async #makeDurable(key: StoreKey): Promise<void> {
    await this.#root.ensure(dirname(key));
    await this.#root.sync(dirname(key));
  }

  async #sizeOf(key: StoreKey): Promise<number | undefined> {
    try {
      const facts = await stat(this.#root.at(key));
      return facts.isFile() ? facts.size : undefined;
    } catch (error) {
      if (isErrno(error, ...NO_FILE)) return undefined;
      throw error;
    }
  }

  async #get(key: StoreKey, range: ByteRange | undefined): Promise<Uint8Array> {
    const handle = await open(this.#root.at(key), READ_AT_ONCE).catch((error) => {
      if (isErrno(error, ...NO_FILE)) return undefined;
      throw error;
    });
    if (handle === undefined) throw await this.#absent(key);
    try {
      const facts = await handle.stat();
      if (!facts.isFile()) throw await this.#absent(key);
      const start = range === undefined ? 0 : range.offset < 0 ? Math.max(0, facts.size + range.offset) : range.offset;
      const length = Math.max(0, Math.min(facts.size - start, range?.length ?? facts.size));
      if (length > OBJECT_BYTES_MAX) throw new Fault('FORMAT_DAMAGED', `${this.#root.at(key)} is larger than any object`);
      const buffer = Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(buffer, done, length - done, start + done);
        if (bytesRead === 0)
          throw new Fault('STORE_CORRUPT_ANSWER', `${this.#root.at(key)} ended after ${start + done} of ${facts.size} bytes`);
        done += bytesRead;
      }
      return buffer;
    } finally {
      await handle.close();
    }
  }

  async #absent(key: StoreKey): Promise<Fault> {
    await this.#root.assertThere();
    return new Fault('STORE_NOT_FOUND', `there is no ${this.#root.at(key)}`);
  }

  /** Some file systems (FAT, several FUSE ones) have no hard links; some lie. */
  async #probeLinks(): Promise<void> {
    const root = this.#root;
    const first = await root.writeTemporary([]);
    const second = root.temporaryName();
    try {
      if (!(await root.link(first, second)) || (await root.link(first, second))) {
        throw new Fault('STORE_NO_CONDITIONAL_WRITES', `link(2) in ${this.location} overwrites what is there`);
      }
    } catch (error) {
      if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error;
      throw new Fault('STORE_NO_CONDITIONAL_WRITES', `the file system of ${this.location} has no hard links`, { cause: error });
    } finally {
      await root.remove(first);
      await root.remove(second);
    }
  }

  async #probeSwaps(signal: AbortSignal): Promise<void> {
    const registers = this.#registers;
    const key = this.#root.temporaryName();
    const value = (n: number) => Buffer.from(`${key} ${n}`);
    try {
      const created = await registers.swap(key, value(0), undefined, signal);
      if (created === 'conflict') throw new Fault('STORE_NO_CONDITIONAL_WRITES', `a new register was refused in ${this.location}`);
      const results = await Promise.all([1, 2, 3].map((n) => registers.swap(key, value(n), created.version, signal)));
      const winner = results.findIndex((result) => result !== 'conflict');
      const now = await registers.read(key);
      const good =
        results.filter((result) => result !== 'conflict').length === 1 && value(winner + 1).equals(now?.bytes ?? value(0));
      if (!good) throw new Fault('STORE_NO_CONDITIONAL_WRITES', `several swaps from one version succeeded in ${this.location}`);
    } finally {
      await registers.delete(key);
    }
  }

  async #removeLeftovers(): Promise<void> {
    const root = this.#root;
    const mark = await root.writeTemporary([]);
    try {
      const nowMs = (await stat(root.at(mark))).mtimeMs;
      for (const name of await readdir(root.at(TEMPORARY))) {
        const facts = await stat(root.at(TEMPORARY, name)).catch(() => undefined);
        if (facts !== undefined && nowMs - facts.mtimeMs > LEFTOVER_AGE_MS) await root.removeTree(join(TEMPORARY, name));
      }
    } finally {
      await root.remove(mark);
    }
  }
}

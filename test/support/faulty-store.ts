// A store that misbehaves as real ones do, by a seed. Every fault it throws names the seed and the number of the call, so that a
// failed test can be repeated.
//
// It never breaks the contract of the port for good: what it spoils is an answer (a fault before or after the effect, a repeated
// request, a stale or short listing), or bytes on the way to the reader (cut off with a fault, or flipped without one, as only a
// checksum of the caller can notice).

import { Fault } from '../../src/base/faults.ts';
import type { ListedObject, ObjectStore, StoreVerb } from '../../src/store/object-store.ts';
import { seededRandom } from './seeded-random.ts';

/** Chances from 0 to 1, each for one call. */
export type Chances = {
  /** A time-out; the request never reached the store. */
  readonly lostRequest: number;
  /** A time-out; the request took place. */
  readonly lostAnswer: number;
  /** The request takes place twice (somebody on the way repeats it), and the second answer is given. Puts, swaps and deletes. */
  readonly repeated: number;
  /** The start of a storm of 503. */
  readonly storm: number;
  /** A body that is cut off on the way. Reads. */
  readonly truncated: number;
  /** A bit that is flipped on the way, unnoticed. Reads of objects. */
  readonly flipped: number;
  /** An object is missing from a listing. For each object. */
  readonly missed: number;
  /** A listing is as it was when this one was asked before. For each listing. */
  readonly stale: number;
};

export type FaultyOptions = Partial<Chances> & {
  readonly seed: number;
  /** Calls that a storm of 503 lasts. Default 5. */
  readonly stormCalls?: number;
  /** After so many bytes written the disk is full. */
  readonly diskBytes?: number;
  /** Called in place of the n-th effect (put, swap, delete; counted from 1): to die there, or to throw. */
  readonly onWrite?: (write: {
    readonly number: number;
    readonly verb: StoreVerb;
    readonly key: string;
    readonly when: 'before' | 'after';
  }) => void;
};

export type FaultyStore = ObjectStore & {
  /** Effects so far. */
  readonly writes: number;
  /** Faults injected so far, by kind. */
  readonly injected: Readonly<Partial<Record<keyof Chances | 'full', number>>>;
};

export function faultyStore(inner: ObjectStore, options: FaultyOptions): FaultyStore {
  return new Faulty(inner, options);
}

class Faulty implements FaultyStore {
  readonly location: string;
  readonly injected: Partial<Record<keyof Chances | 'full', number>> = {};
  writes = 0;
  readonly #inner: ObjectStore;
  readonly #options: FaultyOptions;
  readonly #random: () => number;
  readonly #listings = new Map<string, readonly ListedObject[]>();
  #calls = 0;
  #stormLeft = 0;
  #bytesWritten = 0;

  constructor(inner: ObjectStore, options: FaultyOptions) {
    this.location = inner.location;
    this.#inner = inner;
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  put: ObjectStore['put'] = (key, bytes, o) => this.#write('put', key, bytes.length, () => this.#inner.put(key, bytes, o));

  swap: ObjectStore['swap'] = (key, bytes, version, o) =>
    this.#write('swap', key, bytes.length, () => this.#inner.swap(key, bytes, version, o));

  delete: ObjectStore['delete'] = (key, o) => this.#write('delete', key, 0, () => this.#inner.delete(key, o));

  get: ObjectStore['get'] = async (key, range, o) => {
    this.#before('get', key);
    const bytes = await this.#inner.get(key, range, o);
    this.#after('get', key);
    if (bytes.length > 0 && this.#happens('flipped')) {
      const copy = Uint8Array.from(bytes);
      copy[Math.floor(this.#random() * copy.length)] ^= 1 << Math.floor(this.#random() * 8);
      return copy;
    }
    return bytes;
  };

  read: ObjectStore['read'] = async (key, o) => {
    this.#before('read', key);
    const value = await this.#inner.read(key, o);
    this.#after('read', key);
    return value;
  };

  size: ObjectStore['size'] = async (key, o) => {
    this.#before('size', key);
    const size = await this.#inner.size(key, o);
    this.#after('size', key);
    return size;
  };

  probe: ObjectStore['probe'] = async (o) => {
    this.#before('probe', '');
    return this.#inner.probe(o);
  };

  list: ObjectStore['list'] = (prefix, o) => {
    const stale = this.#happens('stale') ? this.#listings.get(prefix) : undefined;
    const pages = stale === undefined ? this.#inner.list(prefix, o)[Symbol.asyncIterator]() : [stale][Symbol.iterator]();
    const seen: ListedObject[] = [];
    const next = async (): Promise<IteratorResult<readonly ListedObject[]>> => {
      this.#before('list', prefix);
      const { value: page, done } = await pages.next();
      if (done) {
        this.#listings.set(prefix, seen);
        return { done: true, value: undefined };
      }
      const shown = (page as readonly ListedObject[]).filter(() => !this.#happens('missed'));
      seen.push(...shown);
      return { done: false, value: shown };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  };

  close = (): Promise<void> => this.#inner.close();

  async #write<T>(verb: StoreVerb, key: string, bytes: number, work: () => Promise<T>): Promise<T> {
    this.#before(verb, key);
    const number = ++this.writes;
    this.#options.onWrite?.({ number, verb, key, when: 'before' });
    if (this.#bytesWritten + bytes > (this.#options.diskBytes ?? Number.POSITIVE_INFINITY)) {
      this.#count('full');
      throw this.#fault('STORE_FULL', verb, key, 'the disk is full');
    }
    let result = await work();
    this.#bytesWritten += bytes;
    this.#options.onWrite?.({ number, verb, key, when: 'after' });
    if (this.#happens('repeated')) result = await work();
    this.#after(verb, key);
    return result;
  }

  #before(verb: StoreVerb, key: string): void {
    this.#calls++;
    if (this.#stormLeft === 0 && this.#happens('storm')) this.#stormLeft = this.#options.stormCalls ?? 5;
    if (this.#stormLeft > 0) {
      this.#stormLeft--;
      throw this.#fault('STORE_THROTTLED', verb, key, '503 SlowDown');
    }
    if (this.#happens('lostRequest')) throw this.#fault('STORE_TIMEOUT', verb, key, 'the request was lost');
  }

  #after(verb: StoreVerb, key: string): void {
    if (this.#happens('lostAnswer')) throw this.#fault('STORE_TIMEOUT', verb, key, 'the answer was lost');
    const reads = verb === 'get' || verb === 'read';
    if (reads && this.#happens('truncated')) throw this.#fault('STORE_CORRUPT_ANSWER', verb, key, 'the answer was cut off');
  }

  #happens(kind: keyof Chances): boolean {
    // Drawn always, so that one chance changed does not shift all others.
    const drawn = this.#random();
    if (drawn >= (this.#options[kind] ?? 0)) return false;
    this.#count(kind);
    return true;
  }

  #count(kind: keyof Chances | 'full'): void {
    this.injected[kind] = (this.injected[kind] ?? 0) + 1;
  }

  #fault(
    code: 'STORE_TIMEOUT' | 'STORE_THROTTLED' | 'STORE_CORRUPT_ANSWER' | 'STORE_FULL',
    verb: StoreVerb,
    key: string,
    why: string,
  ): Fault {
    return new Fault(code, `injected (seed ${this.#options.seed}, call ${this.#calls}): ${why}: ${verb} ${key}`);
  }
}

// Keeps a store from taking more than its share: so many calls at a time, so many bytes a second up and down.
//
// Rates are kept by a bucket of tokens that may go into debt: an object is let through whole as soon as the bucket is not empty,
// and those after it wait until its bytes are paid for. So the rate holds on average over objects, not within one.

import { Gate } from './gate.ts';
import type { ObjectStore } from './object-store.ts';
import type { Timing } from './timing.ts';
import { wrapVault } from './wrap-vault.ts';

export type LimitOptions = {
  /** Calls at a time (a listing is not counted). */
  readonly concurrency?: number;
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
};

/** Bytes that were not used are saved up for so long. */
const SAVED_MS = 100;

export function withLimit(inner: ObjectStore, options: LimitOptions, timing: Timing): ObjectStore {
  const gate = new Gate(options.concurrency ?? Number.POSITIVE_INFINITY);
  const up = new TokenBucket(options.uploadBytesPerSecond, timing);
  const down = new TokenBucket(options.downloadBytesPerSecond, timing);
  const pass = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) => gate.pass(signal, work);
  return {
    location: inner.location,
    put: (key, bytes, o) =>
      pass(o?.signal, async () => {
        await up.take(bytes.length, o?.signal);
        return inner.put(key, bytes, o);
      }),
    get: (key, range, o) =>
      pass(o?.signal, async () => {
        await down.take(0, o?.signal);
        const bytes = await inner.get(key, range, o);
        down.owe(bytes.length);
        return bytes;
      }),
    swap: (key, bytes, version, o) =>
      pass(o?.signal, async () => {
        await up.take(bytes.length, o?.signal);
        return inner.swap(key, bytes, version, o);
      }),
    read: (key, o) =>
      pass(o?.signal, async () => {
        await down.take(0, o?.signal);
        const value = await inner.read(key, o);
        down.owe(value?.bytes.length ?? 0);
        return value;
      }),
    size: (key, o) => pass(o?.signal, () => inner.size(key, o)),
    delete: (key, o) => pass(o?.signal, () => inner.delete(key, o)),
    probe: (o) => pass(o?.signal, () => inner.probe(o)),
    list: (prefix, o) => inner.list(prefix, o),
    ...wrapVault(inner.vault, (_, o, work) => pass(o?.signal, work)),
    ...(inner.lockedForMs && { lockedForMs: (o) => pass(o?.signal, () => inner.lockedForMs!(o)) }),
    // Who reads an object's file by itself passes by this limit.
    ...(inner.localPath && options.downloadBytesPerSecond === undefined && { localPath: inner.localPath.bind(inner) }),
    close: () => inner.close(),
  };
}

class TokenBucket {
  readonly #bytesPerMs: number;
  readonly #timing: Timing;
  /** When everything that was taken is paid for. */
  #paidAtMs = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number | undefined, timing: Timing) {
    this.#bytesPerMs = (bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000;
    this.#timing = timing;
  }

  /** Waits until the bucket is out of debt, then takes. In the order of the calls. */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const startMs = this.#paidAtMs;
    this.owe(bytes);
    const waitMs = startMs - this.#timing.nowMs();
    if (waitMs > 0) await this.#timing.sleep(waitMs, signal);
  }

  owe(bytes: number): void {
    this.#paidAtMs = Math.max(this.#paidAtMs, this.#timing.nowMs() - SAVED_MS) + bytes / this.#bytesPerMs;
  }
}

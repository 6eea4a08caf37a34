import { describe, expect, it } from 'vitest';
import { Fault, type FaultCode } from '../../src/base/faults.ts';
import type { ListedObject, ObjectStore } from '../../src/store/object-store.ts';
import { type RetryOptions, withRetry } from '../../src/store/retry.ts';
import { instantTiming } from '../support/instant-timing.ts';

const OPTIONS: RetryOptions = { attemptsMax: 5, baseMs: 100, capMs: 500, totalMs: 10_000 };

/** A peer whose `size` and pages throw what is in the list, and then answer. */
function troubled(troubles: readonly (FaultCode | Error)[]) {
  const left = [...troubles];
  let calls = 0;
  const attempt = <T>(result: T) => {
    calls++;
    const trouble = left.shift();
    if (trouble !== undefined) throw trouble instanceof Error ? trouble : new Fault(trouble, 'injected');
    return result;
  };
  const pages: (readonly ListedObject[])[] = [[{ key: 'a', sizeBytes: 1 }], [{ key: 'b', sizeBytes: 2 }]];
  const store = {
    location: 'nowhere',
    size: async () => attempt(42),
    list: () => {
      const rest = [...pages];
      const next = async () => {
        attempt(undefined);
        const value = rest.shift();
        return value === undefined ? { done: true, value: undefined } : { done: false, value };
      };
      return { [Symbol.asyncIterator]: () => ({ next }) };
    },
    localPath: (key: string) => `/there/${key}`,
  } as unknown as ObjectStore;
  return { store, calls: () => calls };
}

describe('the retry wrapper', () => {
  it('repeats what may work later', async () => {
    const { store, calls } = troubled(['STORE_TIMEOUT', 'STORE_THROTTLED', 'STORE_UNREACHABLE', 'STORE_CORRUPT_ANSWER']);
    expect(await withRetry(store, OPTIONS, instantTiming()).size('k')).toBe(42);
    expect(calls()).toBe(5);
  });

  it('waits a random time below a bound that doubles up to the cap', async () => {
    const troubles = Array.from({ length: 200 }, () => 'STORE_TIMEOUT' as const);
    const timing = instantTiming(3);
    const { store } = troubled(troubles);
    await withRetry(store, { attemptsMax: 201, baseMs: 100, capMs: 500, totalMs: 1e9 }, timing).size('k');
    expect(timing.sleepsMs.length).toBe(200);
    expect(timing.sleepsMs[0]).toBeLessThan(200);
    expect(timing.sleepsMs[1]).toBeLessThan(400);
    for (const ms of timing.sleepsMs) expect(ms).toBeLessThan(500);
    expect(Math.max(...timing.sleepsMs)).toBeGreaterThan(400);
    expect(Math.min(...timing.sleepsMs)).toBeLessThan(50);
  });

  it('gives up after so many attempts, with the last fault', async () => {
    const { store, calls } = troubled([
      'STORE_TIMEOUT',
      'STORE_TIMEOUT',
      'STORE_TIMEOUT',
      'STORE_TIMEOUT',
      'STORE_THROTTLED',
      'STORE_TIMEOUT',
    ]);
    await expect(withRetry(store, OPTIONS, instantTiming()).size('k')).rejects.toMatchObject({ code: 'STORE_THROTTLED' });
    expect(calls()).toBe(5);
  });

  it('gives up when the time for the call would be over', async () => {
    const troubles = Array.from({ length: 1_000 }, () => 'STORE_TIMEOUT' as const);
    const timing = instantTiming();
    const { store } = troubled(troubles);
    const retried = withRetry(store, { attemptsMax: 1_000, baseMs: 100, capMs: 500, totalMs: 3_000 }, timing);
    await expect(retried.size('k')).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
    expect(timing.nowMs()).toBeLessThanOrEqual(3_000);
    expect(timing.nowMs()).toBeGreaterThan(2_000);
  });

  it('does not repeat what will not work later, nor a bug', async () => {
    for (const trouble of ['STORE_DENIED', 'STORE_FULL', 'STORE_NOT_FOUND', new Error('a bug')] as const) {
      const { store, calls } = troubled([trouble]);
      await expect(withRetry(store, OPTIONS, instantTiming()).size('k')).rejects.toMatchObject(
        trouble instanceof Error ? trouble : { code: trouble },
      );
      expect(calls()).toBe(1);
    }
  });

  it('goes on with a listing where it was', async () => {
    const { store } = troubled(['STORE_TIMEOUT', 'STORE_TIMEOUT']);
    const keys: string[] = [];
    for await (const page of withRetry(store, OPTIONS, instantTiming()).list('')) keys.push(...page.map(({ key }) => key));
    expect(keys).toEqual(['a', 'b']);
  });

  it('ends its wait with the reason of the signal', async () => {
    const controller = new AbortController();
    const timing = instantTiming();
    const { store, calls } = troubled(['STORE_TIMEOUT', 'STORE_TIMEOUT']);
    const sleep: typeof timing.sleep = async (ms, signal) => {
      controller.abort(new Error('enough'));
      await timing.sleep(ms, signal);
    };
    const retried = withRetry(store, OPTIONS, { ...timing, sleep });
    await expect(retried.size('k', { signal: controller.signal })).rejects.toThrow('enough');
    expect(calls()).toBe(1);
  });

  it('says where an object lies if the store does', () => {
    const { store } = troubled([]);
    expect(withRetry(store, OPTIONS, instantTiming()).localPath?.('k')).toBe('/there/k');
    const { localPath: _, ...remote } = store;
    expect(withRetry(remote as ObjectStore, OPTIONS, instantTiming()).localPath).toBeUndefined();
  });
});

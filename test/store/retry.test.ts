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

  describe('with patience', () => {
    const LONG: RetryOptions = { attemptsMax: 8, baseMs: 200, capMs: 20_000, totalMs: 300_000 };

    /** A store that has the key "a" for `size` and is away between two moments; the key "b" never answers. */
    function away(fromMs: number, toMs: number, code: FaultCode = 'STORE_UNREACHABLE') {
      const timing = instantTiming(5);
      const told: string[] = [];
      const interrupted = new AbortController();
      const inner = {
        size: async (key: string) => {
          const now = timing.nowMs();
          if (key === 'b' || (now >= fromMs && now < toMs)) throw new Fault(code, 'injected');
          return 1;
        },
      } as unknown as ObjectStore;
      const store = withRetry(inner, LONG, timing, {
        signal: interrupted.signal,
        onOutage: ({ code }, waitMs) => told.push(`${code} ${waitMs}`),
        onAnswer: () => told.push('answers'),
      });
      return { store, timing, told, interrupted };
    }

    it('waits for a store that has answered and is away for minutes, and says so', async () => {
      const { store, timing, told } = away(1, 200_000);
      expect(await store.size('a')).toBe(1);
      await timing.sleep(1);
      expect(await Promise.all([store.size('a'), store.size('a')])).toEqual([1, 1]);
      expect(timing.nowMs()).toBeGreaterThan(200_000);
      expect(told).toEqual(['STORE_UNREACHABLE 300000', 'answers']);
    });

    it('gives up a store that has never answered as soon as without', async () => {
      const { store, timing, told } = away(0, 200_000);
      await expect(store.size('a')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
      expect(timing.sleepsMs).toHaveLength(7);
      expect(told).toEqual([]);
    });

    it('gives up an outage after its time, and what is called then as soon as without', async () => {
      const { store, timing } = away(1, Number.POSITIVE_INFINITY, 'STORE_TIMEOUT');
      await store.size('a');
      await timing.sleep(1);
      await expect(store.size('a')).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
      expect(timing.nowMs()).toBeGreaterThan(250_000);
      expect(timing.nowMs()).toBeLessThan(300_002);
      const before = timing.nowMs();
      for (let n = 0; n < 5; n++) await expect(store.size('a')).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
      expect(timing.nowMs() - before).toBeLessThan(5 * 45_000 + 50_000);
    });

    it('does not wait for one object while others are answered', async () => {
      const { store, timing, told } = away(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
      await store.size('a');
      let isOver = false;
      const failing = store.size('b').catch((error: Fault) => {
        isOver = true;
        return error.code;
      });
      while (!isOver) await store.size('a');
      expect(await failing).toBe('STORE_UNREACHABLE');
      expect(timing.sleepsMs.length).toBeLessThan(12);
      expect(told).toEqual([]);
    });

    it('ends with the run: what cleans up after an interrupt does not wait', async () => {
      const { store, timing, interrupted } = away(1, Number.POSITIVE_INFINITY);
      await store.size('a');
      await timing.sleep(1);
      interrupted.abort();
      await expect(store.size('a')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
      expect(timing.sleepsMs).toHaveLength(1 + 7);
    });

    it('does not wait for answers that are wrong', async () => {
      const { store, timing } = away(1, Number.POSITIVE_INFINITY, 'STORE_CORRUPT_ANSWER');
      await store.size('a');
      await timing.sleep(1);
      await expect(store.size('a')).rejects.toMatchObject({ code: 'STORE_CORRUPT_ANSWER' });
      expect(timing.sleepsMs).toHaveLength(1 + 7);
    });
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

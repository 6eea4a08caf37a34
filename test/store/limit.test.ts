import { describe, expect, it } from 'vitest';
import { openFsStore } from '../../src/store/fs-store.ts';
import { withLimit } from '../../src/store/limit.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { instantTiming } from '../support/instant-timing.ts';
import { scratchDirectory } from '../support/scratch.ts';

describe('the limit wrapper', () => {
  it('lets uploads through at the rate, on average', async () => {
    const timing = instantTiming();
    const store = withLimit(await openFsStore(scratchDirectory()), { uploadBytesPerSecond: 1_000_000 }, timing);
    for (let i = 0; i < 11; i++) await store.put(`k${i}`, new Uint8Array(500_000));
    // The first one goes at once, each other one after the one before it is paid for; a tenth of a second is saved up at the start.
    expect(timing.nowMs()).toBeCloseTo(4_900, 0);
    expect(timing.sleepsMs.length).toBe(10);
  });

  it('lets downloads through at the rate, and does not hold up what is not data', async () => {
    const timing = instantTiming();
    const inner = await openFsStore(scratchDirectory());
    await inner.put('k', new Uint8Array(1_000_000));
    const store = withLimit(inner, { downloadBytesPerSecond: 1_000_000 }, timing);
    for (let i = 0; i < 4; i++) await store.get('k');
    expect(timing.nowMs()).toBeCloseTo(2_900, 0);
    for (let i = 0; i < 4; i++) await store.size('k');
    await store.put('other', new Uint8Array(1_000_000));
    expect(timing.nowMs()).toBeCloseTo(2_900, 0);
    await store.get('k', { offset: 0, length: 10 });
    expect(timing.nowMs()).toBeCloseTo(3_900, 0);
  });

  it('counts registers too', async () => {
    const timing = instantTiming();
    const store = withLimit(
      await openFsStore(scratchDirectory()),
      { uploadBytesPerSecond: 1_000, downloadBytesPerSecond: 1_000 },
      timing,
    );
    await store.swap('r', new Uint8Array(1_000), undefined);
    await store.read('r');
    expect(timing.nowMs()).toBe(0);
    await store.read('r');
    expect(timing.nowMs()).toBeCloseTo(900, 0);
  });

  it('lets only so many calls through at a time, and the next one in when one ends, well or badly', async () => {
    const running = new Set<PromiseWithResolvers<number>>();
    let most = 0;
    const inner = {
      location: 'nowhere',
      size: () => {
        const call = Promise.withResolvers<number>();
        running.add(call);
        most = Math.max(most, running.size);
        return call.promise.finally(() => running.delete(call));
      },
    } as unknown as ObjectStore;
    const store = withLimit(inner, { concurrency: 3 }, instantTiming());
    const calls = Array.from({ length: 10 }, (_, i) => store.size(`k${i}`).catch(() => -1));
    for (let i = 0; i < 10; i++) {
      while (running.size < Math.min(3, 10 - i)) await new Promise(setImmediate);
      const [first] = running;
      if (i % 2) first.reject(new Error('bad'));
      else first.resolve(i);
      while (running.has(first)) await new Promise(setImmediate);
    }
    expect((await Promise.all(calls)).length).toBe(10);
    expect(most).toBe(3);
  });

  it('ends a wait with the reason of the signal, and the place of who left is free', async () => {
    const first = Promise.withResolvers<number>();
    let calls = 0;
    const inner = {
      location: 'nowhere',
      size: () => (calls++ === 0 ? first.promise : Promise.resolve(calls)),
    } as unknown as ObjectStore;
    const store = withLimit(inner, { concurrency: 1 }, instantTiming());
    const running = store.size('first');
    const controller = new AbortController();
    const leaving = store.size('leaving', { signal: controller.signal });
    const staying = store.size('staying');
    controller.abort(new Error('enough'));
    await expect(leaving).rejects.toThrow('enough');
    first.resolve(1);
    expect(await running).toBe(1);
    expect(await staying).toBe(2);
    expect(await store.size('one more')).toBe(3);
  });
});

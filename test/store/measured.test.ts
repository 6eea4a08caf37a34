import { expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { withMeasure } from '../../src/store/measured.ts';
import type { StoreEvent } from '../../src/store/object-store.ts';
import { systemTiming } from '../../src/store/timing.ts';
import { scratchDirectory } from '../support/scratch.ts';

it('the measuring wrapper reports every attempt with verb, key, bytes and fault', async () => {
  const events: StoreEvent[] = [];
  const store = withMeasure(await openFsStore(scratchDirectory()), (event) => events.push(event), systemTiming);
  await store.probe();
  await store.put('a', new Uint8Array(100));
  await store.get('a', { offset: 10, length: 20 });
  await store.size('a');
  await store.swap('r', new Uint8Array(7), undefined);
  await store.read('r');
  await store.get('none').catch(() => {});
  await store.put('b', new Uint8Array(1), { signal: AbortSignal.abort(new Error('enough')) }).catch(() => {});
  for await (const _ of store.list('a')) expect(_).toEqual([{ key: 'a', sizeBytes: 100 }]);
  await store.delete('a');
  expect(events.map(({ verb, key, bytes, fault }) => `${verb} ${key} ${bytes} ${fault?.code ?? ''}`.trim())).toEqual([
    'probe  0',
    'put a 100',
    'get a 20',
    'size a 0',
    'swap r 7',
    'read r 7',
    'get none 0 STORE_NOT_FOUND',
    'put b 0',
    'list a 0',
    'list a 0',
    'delete a 0',
  ]);
  for (const { kind, durationMs, fault } of events) {
    expect(kind).toBe('attempt');
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(fault === undefined || isFault(fault)).toBe(true);
  }
});

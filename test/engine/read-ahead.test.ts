import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ReadAhead } from '../../src/engine/read-ahead.ts';

function* counted(to: number, seen: { given: number; isClosed: boolean }): Generator<number> {
  try {
    for (let n = 0; n < to; n++) {
      seen.given++;
      yield n;
    }
  } finally {
    seen.isClosed = true;
  }
}

const newSeen = () => ({ given: 0, isClosed: false });
const upTo = (to: number) => Array.from({ length: to }, (_, n) => n);

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

describe('reading ahead', () => {
  it('hands on every item, in order, whenever the consumer comes', async () => {
    for (const wait of [0, 1, 250, 1000]) {
      const seen = newSeen();
      const ahead = new ReadAhead(counted(1000, seen), 2000);
      await until(() => seen.given >= wait);
      expect([...ahead.items()]).toEqual(upTo(1000));
      expect(seen.isClosed).toBe(true);
    }
  });

  it('takes no more than it may while nobody comes', async () => {
    const seen = newSeen();
    const ahead = new ReadAhead(counted(10_000, seen), 500);
    await until(() => seen.given >= 500);
    for (let n = 0; n < 20; n++) await turn();
    expect(seen.given).toBe(500);
    expect([...ahead.items()]).toEqual(upTo(10_000));
  });

  it('throws what the source has thrown where it was thrown', async () => {
    const broken = function* (): Generator<number> {
      yield 0;
      throw new Error('broken');
    };
    const ahead = new ReadAhead(broken(), 10);
    await turn();
    await turn();
    const items = ahead.items();
    expect(items.next().value).toBe(0);
    expect(() => items.next()).toThrow('broken');
  });

  it('lets the source go when the consumer stops, or never comes', async () => {
    const [stopped, unused] = [newSeen(), newSeen()];
    for (const item of new ReadAhead(counted(1000, stopped), 100).items()) if (item === 5) break;
    const ahead = new ReadAhead(counted(1000, unused), 100);
    await until(() => unused.given > 0);
    ahead.close();
    expect([stopped.isClosed, unused.isClosed]).toEqual([true, true]);
  });
});

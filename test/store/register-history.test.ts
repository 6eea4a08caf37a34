import { describe, expect, it } from 'vitest';
import { REGISTER_HISTORY } from '../../src/store/object-store.ts';
import { extendHistory, type RegisterHistory, swapOutcome, valueId } from '../../src/store/register-history.ts';

const id = (n: number) => valueId(Buffer.from(`value ${n}`));

/** The history after values 1 to n. */
function history(n: number): RegisterHistory | undefined {
  let all: RegisterHistory | undefined;
  for (let i = 1; i <= n; i++) all = extendHistory(all, id(i));
  return all;
}

describe('the history of a register', () => {
  it('keeps the newest ids, newest first', () => {
    expect(history(3)).toEqual({ sequence: 3, ids: [id(3), id(2), id(1)] });
    expect(history(500)?.ids.length).toBe(REGISTER_HISTORY);
    expect(history(500)?.ids[0]).toBe(id(500));
  });

  it('tells of every swap, as long as its place is in the window, who won it', () => {
    for (const now of [1, 2, 5, REGISTER_HISTORY, REGISTER_HISTORY + 1, 3 * REGISTER_HISTORY]) {
      for (let base = 0; base < now + 3; base++) {
        const known = base + 1 > now - REGISTER_HISTORY;
        const expected = base > now ? 'lost' : base === now ? 'pending' : known ? 'won' : 'unknown';
        expect([now, base, swapOutcome(base, id(base + 1), history(now))]).toEqual([now, base, expected]);
        const other = base >= now || !known ? expected : 'lost';
        expect([now, base, swapOutcome(base, id(base + 1_000_000), history(now))]).toEqual([now, base, other]);
      }
    }
  });

  it('knows that a swap of what is gone is lost', () => {
    expect(swapOutcome(3, id(4), undefined)).toBe('lost');
    expect(swapOutcome(0, id(1), undefined)).toBe('pending');
  });
});

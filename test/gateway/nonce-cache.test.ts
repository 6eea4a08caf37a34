import { describe, expect, it } from 'vitest';
import { NonceCache } from '../../src/gateway/nonce-cache.ts';

describe('the nonces that were used', () => {
  it('are known for at least as long as a signature is good', () => {
    const cache = new NonceCache(1000, 0);
    for (let at = 0; at < 5000; at += 10) expect(cache.take(`${at}`, at)).toBe('fresh');
    for (let at = 4000; at < 5000; at += 10) expect(cache.take(`${at}`, 4999)).toBe('used');
  });

  it('are never forgotten for want of room: it refuses', () => {
    const cache = new NonceCache(1000, 0, 3);
    expect(['a', 'b', 'c', 'd', 'a'].map((nonce) => cache.take(nonce, 1))).toEqual(['fresh', 'fresh', 'fresh', 'full', 'used']);
    expect(cache.take('d', 2500)).toBe('fresh');
  });

  it('stay known when the clock is set back', () => {
    const cache = new NonceCache(1000, 5000);
    cache.take('a', 5500);
    expect(cache.take('a', 1000)).toBe('used');
    expect(cache.take('a', 6400)).toBe('used');
  });
});

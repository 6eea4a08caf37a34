import { expect, it } from 'vitest';
import {
  BLOCK_PLACE_BYTES,
  CHUNK_PLACE_BYTES,
  decodePlaces,
  decodePresence,
  encodePlaces,
  encodePresence,
  type WirePlace,
} from '../../src/protocol/presence-codec.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

it.each([1, 7, 8, 9, 255, 2048])('an answer about %i chunks comes back as it was said', (count) => {
  const random = seededRandom(count);
  const found = Uint8Array.from({ length: count }, () => (random() < 0.4 ? 1 : 0));
  const places = seededBytes(count * CHUNK_PLACE_BYTES, count);
  const back = decodePresence(encodePresence({ found, places }, count), count);
  expect(back.found).toEqual(found);
  for (let i = 0; i < count; i++) {
    const of = (bytes: Uint8Array): string =>
      Buffer.from(bytes.subarray(i * CHUNK_PLACE_BYTES, (i + 1) * CHUNK_PLACE_BYTES)).toString('hex');
    expect(of(back.places)).toBe(found[i] === 1 ? of(places) : '00'.repeat(CHUNK_PLACE_BYTES));
  }
});

it('an answer of another length is refused', () => {
  const answer = encodePresence({ found: Uint8Array.from([1, 1]), places: new Uint8Array(48) }, 2);
  for (const bytes of [answer.subarray(0, answer.length - 1), Buffer.concat([answer, Buffer.alloc(1)]), new Uint8Array(0)])
    expect(() => decodePresence(bytes, 2)).toThrow(/answer to 2 chunk ids/);
  expect(() => decodePlaces(new Uint8Array(BLOCK_PLACE_BYTES - 1), 1)).toThrow(/answer to 1 block ids/);
});

it('places come back as they were said, and none as none', () => {
  const place = (seed: number): WirePlace => ({
    pack: seededBytes(32, seed),
    session: seededBytes(10, seed + 1),
    assetId: seededBytes(16, seed + 2),
    sealingCounter: seededBytes(6, seed + 3),
    kind: seed % 2 === 0 ? 'data' : 'metadata',
    offset: 2 ** 32 - 1 - seed,
    storedLength: 1000 + seed,
    rawLength: 8 * 1024 * 1024,
    codec: seed % 2,
  });
  const places = [place(10), undefined, place(21)];
  expect(decodePlaces(encodePlaces(places), 3)).toEqual(places);
});

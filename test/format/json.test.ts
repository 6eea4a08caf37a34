import { expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { isWithin, parseJson } from '../../src/format/json.ts';

const LIMITS = { bytesMax: 10_000, itemsMax: 100 };
const parse = (text: string | Uint8Array): unknown => parseJson(Buffer.from(text as string), 'It', LIMITS);

function expectDamaged(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(isFault(error, 'FORMAT_DAMAGED'), String(error)).toBe(true);
    return;
  }
  expect.unreachable('it was taken');
}

test('JSON within the limits is what it is', () => {
  const value = { a: [1, 'two, [three]: {four}', null], b: { 'k"\\': '\\"\u{1f600},,,,' }, c: -1.5e3 };
  expect(parse(JSON.stringify(value))).toEqual(value);
  expect(parse(JSON.stringify(value, null, 2))).toEqual(value);
});

test('items in a string do not count, and its end is found behind any escapes', () => {
  expect(isWithin(Buffer.from(JSON.stringify(['[,'.repeat(2000), '\\', '"', '\\"', '\\\\'])), LIMITS)).toBe(true);
  expect(isWithin(Buffer.from(`["\\\\",${'0,'.repeat(100)}0]`), LIMITS)).toBe(false);
});

test('what is too long, too rich or too deep is refused before it is parsed', () => {
  expectDamaged(() => parse(`"${'a'.repeat(10_000)}"`));
  expectDamaged(() => parse(`[${'0,'.repeat(100)}0]`));
  expectDamaged(() => parse(`[${'{},'.repeat(50)}0]`));
  expectDamaged(() => parse(`${'['.repeat(17)}${']'.repeat(17)}`));
  expect(parse(`${'['.repeat(16)}${']'.repeat(16)}`)).toBeDefined();
  expect(parse(`[${'0,'.repeat(98)}0]`)).toHaveLength(99);
});

test('what is no JSON, or no UTF-8, is damage', () => {
  for (const text of ['', '{', '[1,]', 'nil', '"', '"\\', '{"a":1}x', '\ufeff{}', 'NaN']) expectDamaged(() => parse(text));
  for (const bytes of [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0]])
    expectDamaged(() => parse(Uint8Array.from(bytes)));
});

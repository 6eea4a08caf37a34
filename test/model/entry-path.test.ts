import { describe, expect, it } from 'vitest';
import {
  comparePaths,
  displayPath,
  faultOfPath,
  joinPaths,
  nameOfPath,
  parentOfPath,
  pathFromText,
} from '../../src/model/entry-path.ts';
import { random } from '../files/scratch.ts';

describe('comparePaths', () => {
  it('puts a directory right before its content, and that before any sibling with a longer name', () => {
    const ordered = ['', ' ', 'a', 'a/b', 'a/b/c', 'a/b-', 'a/c', 'a ', 'a-', 'a-/x', 'a.', 'a0', 'b', '\xff'];
    expect([...ordered].reverse().sort(comparePaths)).toEqual(ordered);
  });

  it('orders any paths as their lists of components compare, and never calls two different paths equal', () => {
    const next = random(7);
    const alphabet = ['a', 'b', '-', ' ', '.x', '\x01', '\xff', 'a\n'];
    const component = () =>
      Array.from({ length: 1 + Math.floor(next() * 2) }, () => alphabet[Math.floor(next() * alphabet.length)]).join('');
    const path = () => Array.from({ length: 1 + Math.floor(next() * 4) }, component);
    for (let i = 0; i < 20_000; i++) {
      const [a, b] = [path(), path()];
      const order = Math.sign(comparePaths(a.join('/'), b.join('/')));
      expect(order).toBe(compareComponents(a, b));
      expect(Math.sign(comparePaths(b.join('/'), a.join('/')))).toBe(0 - order);
    }
  });
});

function compareComponents(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = Buffer.compare(Buffer.from(a[i]!, 'latin1'), Buffer.from(b[i]!, 'latin1'));
    if (order !== 0) return order;
  }
  return Math.sign(a.length - b.length);
}

describe('faultOfPath', () => {
  it('accepts the root and odd but honest names', () => {
    for (const path of [
      '',
      'a',
      'a/b',
      '...',
      '.hidden',
      'a/..b',
      '-rf',
      ' ',
      '\n',
      '\xff\xfe',
      'x'.repeat(255),
      Array(4000).fill('d').join('/'),
    ])
      expect(faultOfPath(path)).toBeUndefined();
  });

  it('refuses whatever could lead out of a tree or name another file than it seems to', () => {
    for (const path of [
      '/',
      '/etc',
      '..',
      '../x',
      'a/../b',
      'a/..',
      '.',
      './a',
      'a/.',
      'a//b',
      'a/',
      'a\0b',
      'a/\0',
      '\u0100',
      'x'.repeat(256),
      Array(9000).fill('a').join('/'),
    ])
      expect(faultOfPath(path), JSON.stringify(path.slice(0, 20))).toBeTypeOf('string');
  });
});

describe('displayPath', () => {
  it('shows UTF-8 as text', () => {
    for (const text of ['plain.txt', 'größe', '日本/語', '😀.png']) expect(displayPath(pathFromText(text))).toBe(text);
  });

  it('escapes what is not UTF-8, what drives a terminal and what cannot be seen', () => {
    expect(displayPath('a\xffb')).toBe('a\\xffb');
    expect(displayPath('\xc3')).toBe('\\xc3');
    expect(displayPath('\xc0\xaf')).toBe('\\xc0\\xaf');
    expect(displayPath('\xed\xa0\x80')).toBe('\\xed\\xa0\\x80');
    expect(displayPath('\x1b[2J')).toBe('\\x1b[2J');
    expect(displayPath('a\nb\\n')).toBe('a\\nb\\\\n');
    expect(displayPath(pathFromText('\u202egnp.exe'))).toBe('\\u{202e}gnp.exe');
    expect(displayPath(pathFromText('\u0085'))).toBe('\\u{85}');
  });

  it('never shows two paths alike', () => {
    const next = random(11);
    const pool = [0x41, 0x5c, 0x78, 0x66, 0x0a, 0x6e, 0xc3, 0xa4, 0xff, 0x75, 0x7b, 0xe2, 0x80, 0xae, 0x32, 0x30];
    const seen = new Map<string, string>();
    for (let i = 0; i < 30_000; i++) {
      const path = String.fromCharCode(
        ...Array.from({ length: 1 + Math.floor(next() * 5) }, () => pool[Math.floor(next() * pool.length)]!),
      );
      const shown = displayPath(path);
      expect(seen.get(shown) ?? path).toBe(path);
      seen.set(shown, path);
    }
  });
});

it('takes paths apart and together', () => {
  expect([parentOfPath('a/b/c'), parentOfPath('a'), nameOfPath('a/b'), nameOfPath('a')]).toEqual(['a/b', '', 'b', 'a']);
  expect([joinPaths('', 'a'), joinPaths('a', ''), joinPaths('a', 'b'), joinPaths('/', 'b')]).toEqual(['a', 'a', 'a/b', '/b']);
});

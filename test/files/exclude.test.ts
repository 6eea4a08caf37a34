import { describe, expect, it } from 'vitest';
import { compileExclude, patternOfPath } from '../../src/files/exclude.ts';
import { pathFromText } from '../../src/model/entry-path.ts';
import { codeOf, random } from './scratch.ts';

/** Which of the paths (a "/" at the end marks a directory) the patterns exclude. */
function excluded(patterns: readonly string[], paths: readonly string[]): string[] {
  const exclude = compileExclude(patterns);
  return paths.filter((path) => exclude(pathFromText(path.replace(/\/$/, '')), path.endsWith('/')));
}

const CASES: readonly {
  readonly patterns: readonly string[];
  readonly out: readonly string[];
  readonly stay: readonly string[];
}[] = [
  { patterns: ['cache'], out: ['cache', 'cache/', 'a/cache', 'a/b/cache/'], stay: ['caches', 'a/cachex', 'mycache', 'cache.d'] },
  { patterns: ['cache/'], out: ['cache/', 'a/cache/'], stay: ['cache', 'a/cache'] },
  { patterns: ['/cache'], out: ['cache', 'cache/'], stay: ['a/cache'] },
  { patterns: ['a/cache'], out: ['a/cache'], stay: ['b/a/cache', 'cache', 'a/x/cache'] },
  { patterns: ['*.tmp'], out: ['x.tmp', '.tmp', 'a/b.tmp', 'a\nb.tmp'], stay: ['tmp', 'x.tmpl', 'x.tmp.gz'] },
  { patterns: ['/*.tmp'], out: ['x.tmp'], stay: ['a/x.tmp'] },
  { patterns: ['a/*/c'], out: ['a/b/c', 'a/\n/c'], stay: ['a/c', 'a/b/b/c'] },
  { patterns: ['a/**/c'], out: ['a/c', 'a/b/c', 'a/b/b/c'], stay: ['a/bc', 'ac', 'x/a/c'] },
  { patterns: ['**/c'], out: ['c', 'a/c', 'a/b/c'], stay: ['ac', 'a/bc'] },
  { patterns: ['**/b/c'], out: ['b/c', 'a/b/c'], stay: ['c', 'ab/c'] },
  { patterns: ['a/**'], out: ['a/b', 'a/b/c', 'a/\n'], stay: ['a', 'b/a/c'] },
  { patterns: ['a**b'], out: ['ab', 'axxb', 'x/ab'], stay: ['a/b'] },
  { patterns: ['fil?'], out: ['file', 'filé', 'fil日', 'fil😀'], stay: ['fil', 'filee', 'fil/'] },
  { patterns: ['[a-c]1', '[!0-9]x', '[]]'], out: ['a1', 'c1', 'ax', 'äx', ']'], stay: ['d1', '1x', 'x'] },
  { patterns: ['[äö-ü日].txt'], out: ['ä.txt', 'ö.txt', 'ú.txt', '日.txt'], stay: ['a.txt', 'ý.txt'] },
  { patterns: ['[^a]b'], out: ['bb', '\nb'], stay: ['ab', 'b'] },
  { patterns: ['[/]'], out: [], stay: ['a'] },
  { patterns: ['*.log', '!keep.log'], out: ['a.log', 'x/b.log'], stay: ['keep.log', 'x/keep.log'] },
  { patterns: ['!keep.log', '*.log'], out: ['keep.log'], stay: ['a'] },
  {
    patterns: ['\\!important', '\\#x', 'a\\*b', 'sp\\ '],
    out: ['!important', '#x', 'a*b', 'sp '],
    stay: ['important', 'axb', 'sp'],
  },
  { patterns: ['# comment', '', '   ', 'real   '], out: ['real'], stay: ['# comment', 'real   '] },
  {
    patterns: ['a.b', 'a+b', '(x)', '$', '^a', 'a|b', '{1}'],
    out: ['a.b', 'a+b', '(x)', '$', '^a', 'a|b', '{1}'],
    stay: ['axb', 'aab', 'x', 'a', 'b', '1'],
  },
  { patterns: ['größe'], out: ['größe', 'x/größe'], stay: ['große'] },
  { patterns: ['*'], out: ['a', 'a/b', '.x', '\n'], stay: [] },
];

describe('compileExclude', () => {
  it.each(CASES)('$patterns excludes $out and keeps $stay', ({ patterns, out, stay }) => {
    expect(excluded(patterns, [...out, ...stay])).toEqual(out);
  });

  it('matches names that are not UTF-8', () => {
    const exclude = compileExclude(['*.bak', 'x?y', '[!a]z']);
    expect(exclude('\xff\xfe.bak', false)).toBe(true);
    expect(exclude('x\xffy', false)).toBe(true);
    expect(exclude('\x80z', false)).toBe(true);
    expect(exclude('x\xff\xffy', false)).toBe(false);
  });

  it('excludes nothing without patterns', () => {
    expect(compileExclude([])('a', true)).toBe(false);
    expect(compileExclude(['#', ''])('a', true)).toBe(false);
  });

  it('refuses patterns that cannot mean anything', () => {
    for (const pattern of ['[a', 'a\\', '[z-a]', '/', '!', '!/', '[\u{0}-\u{10ffff}]'])
      expect(
        codeOf(() => compileExclude([pattern])),
        pattern,
      ).toBe('USAGE');
  });

  it('decides as if every rule were asked alone, from the last to the first', () => {
    const next = random(5);
    const pool = ['a', '*a', '/a', 'b/', '!a', '!b', 'a/b', '**/a', '!a/b', '?', 'a/**', '[ab]c'];
    const names = ['a', 'b', 'ac', 'bc', 'ba'];
    for (let i = 0; i < 3000; i++) {
      const rules = Array.from({ length: 1 + Math.floor(next() * 5) }, () => pool[Math.floor(next() * pool.length)]!);
      const path = Array.from({ length: 1 + Math.floor(next() * 3) }, () => names[Math.floor(next() * names.length)]).join('/');
      const isDirectory = next() < 0.5;
      const decisive = [...rules].reverse().find((rule) => compileExclude([rule.replace('!', '')])(path, isDirectory));
      expect(compileExclude(rules)(path, isDirectory), `${rules} on ${path}`).toBe(
        decisive !== undefined && !decisive.startsWith('!'),
      );
    }
  });
});

describe('patternOfPath', () => {
  it('excludes that path and no other', () => {
    for (const path of ['a', 'a/b', '*', '!x', '#y', 'a[b]', 'sp ', ' x', '\\', 'größe/?'].map(pathFromText)) {
      const exclude = compileExclude([patternOfPath(path)]);
      expect(exclude(path, false), path).toBe(true);
      expect(exclude(`x/${path}`, false)).toBe(false);
      expect(exclude(`${path}x`, false)).toBe(false);
      expect(exclude('zz', false)).toBe(false);
    }
  });

  it('refuses a path that text cannot name', () => {
    expect(codeOf(() => patternOfPath('\xff'))).toBe('USAGE');
  });
});

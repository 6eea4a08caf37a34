// What the user does not want in a backup: patterns as in .gitignore, one rule each, the last that matches decides.
//
//   name        anything of that name, at any depth          /name, a/b   from the root of the backed-up tree
//   name/       directories only                             !rule        not excluded after all
//   *  ?        any bytes but "/", one character but "/"     [a-z] [!a]   one character of, or not of, a set
//   **          "**/x" at any depth, "x/**" all below x, "a/**/b" with any directories between
//   \           takes the next character as it is            #...         a comment, as is an empty line
//
// An excluded directory is not entered, so nothing below it can be taken back in. Patterns are text, paths are bytes: a character of a
// pattern stands for its UTF-8 bytes, and "?" for one well-formed UTF-8 character or one other byte.

import { Fault } from '../base/faults.ts';
import { displayPath, nameOfPath, pathFromText } from '../model/entry-path.ts';

/** Says whether an entry is to be left out. `path` is relative to the root (one char per byte), never ''. */
export type Exclude = (path: string, isDirectory: boolean) => boolean;

type Rule = { readonly wanted: boolean; readonly directoriesOnly: boolean; readonly onName: boolean; readonly source: string };

const CHARACTER = '(?:[\\xc2-\\xf4][\\x80-\\xbf]{1,3}|[^/])';
const SET_MEMBERS_MAX = 4096;

/** Throws USAGE when a pattern makes no sense. */
export function compileExclude(patterns: readonly string[]): Exclude {
  const rules = patterns.map(parseRule).filter((rule) => rule !== undefined);
  if (rules.length === 0) return () => false;
  // Most entries match nothing: two expressions, of all rules together, say so at once.
  const anyName = anyOf(rules.filter((rule) => rule.onName));
  const anyPath = anyOf(rules.filter((rule) => !rule.onName));
  const exact = rules.map((rule) => ({ ...rule, expression: new RegExp(`^(?:${rule.source})$`) })).reverse();
  return (path, isDirectory) => {
    const name = nameOfPath(path);
    if (!(anyName?.test(name) || anyPath?.test(path))) return false;
    for (const rule of exact)
      if ((isDirectory || !rule.directoriesOnly) && rule.expression.test(rule.onName ? name : path)) return !rule.wanted;
    return false;
  };
}

/** The pattern that excludes exactly `path` (one char per byte, relative to the root) and what is below. */
export function patternOfPath(path: string): string {
  const text = Buffer.from(path, 'latin1').toString('utf8');
  if (pathFromText(text) !== path) throw new Fault('USAGE', `No pattern can name "${displayPath(path)}": it is not UTF-8`);
  return `/${text.replace(/[\\*?[\]!#\s]/g, '\\$&')}`;
}

function anyOf(rules: readonly Rule[]): RegExp | undefined {
  return rules.length === 0 ? undefined : new RegExp(`^(?:${rules.map((rule) => rule.source).join('|')})$`);
}

function parseRule(text: string): Rule | undefined {
  // Trailing blanks are almost never meant; "\ " keeps one.
  let pattern = text.replace(/(?<!\\)[ \t\r\n]+$/, '');
  if (pattern === '' || pattern.startsWith('#')) return undefined;
  const wanted = pattern.startsWith('!');
  if (wanted) pattern = pattern.slice(1);
  const directoriesOnly = pattern.endsWith('/');
  if (directoriesOnly) pattern = pattern.replace(/\/+$/, '');
  const onName = !pattern.includes('/');
  const source = translate(pattern.replace(/^\/+/, ''), text);
  if (source === '') throw new Fault('USAGE', `The exclude pattern "${text}" names nothing`);
  return { wanted, directoriesOnly, onName, source };
}

/** A glob as the source of a regular expression over bytes. */
function translate(glob: string, text: string): string {
  const characters = [...glob];
  let source = '';
  for (let i = 0; i < characters.length; i++) {
    const c = characters[i]!;
    const atStart = i === 0 || characters[i - 1] === '/';
    if (c === '*' && characters[i + 1] === '*' && atStart && (i + 2 === characters.length || characters[i + 2] === '/')) {
      const last = i + 2 === characters.length;
      source += last ? '[^]+' : '(?:[^]+/)?';
      i += last ? 1 : 2;
    } else if (c === '*') {
      while (characters[i + 1] === '*') i++;
      source += '[^/]*';
    } else if (c === '?') {
      source += CHARACTER;
    } else if (c === '[') {
      const set = translateSet(characters, i, text);
      source += set.source;
      i = set.end;
    } else if (c === '\\') {
      if (++i === characters.length) throw new Fault('USAGE', `The exclude pattern "${text}" ends with a lone "\\"`);
      source += literal(characters[i]!);
    } else source += literal(c);
  }
  return source;
}

function translateSet(
  characters: readonly string[],
  start: number,
  text: string,
): { readonly source: string; readonly end: number } {
  let i = start + 1;
  const negated = characters[i] === '!' || characters[i] === '^';
  if (negated) i++;
  const members = new Set<string>();
  const first = i;
  for (; i < characters.length && (characters[i] !== ']' || i === first); i++) {
    if (characters[i] === '\\' && i + 1 < characters.length) i++;
    const from = characters[i]!.codePointAt(0)!;
    let to = from;
    if (characters[i + 1] === '-' && i + 2 < characters.length && characters[i + 2] !== ']') {
      i += characters[i + 2] === '\\' ? 3 : 2;
      to = characters[i]?.codePointAt(0) ?? -1;
    }
    if (to < from || to - from >= SET_MEMBERS_MAX)
      throw new Fault('USAGE', `The exclude pattern "${text}" has an empty or endless range`);
    for (let code = from; code <= to; code++) members.add(literal(String.fromCodePoint(code)));
  }
  if (i >= characters.length) throw new Fault('USAGE', `The exclude pattern "${text}" has a "[" without "]"`);
  members.delete('/');
  const any = members.size === 0 ? '(?!)' : `(?:${[...members].join('|')})`;
  return { source: negated ? `(?!${any})${CHARACTER}` : any, end: i };
}

function literal(character: string): string {
  const bytes = pathFromText(character);
  return bytes.replace(/[\\^$.*+?()[\]{}|/]/g, (c) => (c === '/' ? '/' : `\\${c}`));
}

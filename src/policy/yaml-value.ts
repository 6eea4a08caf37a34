// YAML text -> a plain value and where each part of it stands, for texts that nobody vouches for.
//
// Policies need maps, lists and scalars. Anchors, aliases and tags are refused (an alias can make a gigabyte of a kilobyte), so are several
// documents, keys that are no texts, and whatever is nested deeper than a policy can be.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import type { Path } from './schema-problems.ts';

/** From 1. */
export type Position = { readonly line: number; readonly column: number };
export type YamlProblem = Position & { readonly path: Path; readonly message: string };

export type YamlValue = {
  readonly value: unknown;
  readonly problems: readonly YamlProblem[];
  /** Of the key or value at a path; of the nearest part around it when there is none. */
  readonly positionOf: (path: Path, at: 'key' | 'value') => Position;
};

const DEPTH_MAX = 20;
const DEEP = 'the text is nested too deeply';
/** The parser recurses, and reports what that ends with as an error of the text. */
const TOO_DEEP = /call stack/;

/** Never throws for what the text says. The caller limits its length. */
export function yamlValue(text: string): YamlValue {
  const reader = new YamlReader();
  try {
    return reader.read(text);
  } catch (error) {
    // Or throws it.
    if (!(error instanceof RangeError)) throw error;
    const start = { line: 1, column: 1 };
    return {
      value: undefined,
      problems: [{ ...start, path: [], message: DEEP }],
      positionOf: () => start,
    };
  }
}

class YamlReader {
  readonly #lines = new LineCounter();
  readonly #problems: YamlProblem[] = [];
  readonly #places = new Map<string, { readonly key: number; readonly value: number }>();

  read(text: string): YamlValue {
    const documents = parseAllDocuments(text, {
      lineCounter: this.#lines,
      version: '1.2',
      schema: 'core',
      prettyErrors: false,
      strict: true,
      uniqueKeys: true,
      logLevel: 'silent',
    });
    const list = Array.isArray(documents) ? documents : [];
    for (const { errors, warnings } of list)
      for (const { message, pos } of [...errors, ...warnings])
        this.#report([], pos[0], TOO_DEEP.test(message) ? DEEP : message.charAt(0).toLowerCase() + message.slice(1));
    if (list.length > 1) this.#report([], list[1]!.range[0], 'one policy is expected in a text, and here a second document begins');
    const contents = list[0]?.contents ?? null;
    this.#places.set('', { key: 0, value: contents?.range?.[0] ?? 0 });
    const value = contents === null || this.#problems.length > 0 ? null : this.#valueOf(contents, []);
    return { value, problems: this.#problems, positionOf: (path, at) => this.#positionOf(path, at) };
  }

  #valueOf(node: Node, path: Path): unknown {
    const at = node.range?.[0] ?? 0;
    if (isAlias(node))
      return this.#report(path, at, 'aliases (*name) are not allowed in a policy; "extends" takes over another one');
    if (node.anchor !== undefined) this.#report(path, at, 'anchors (&name) are not allowed in a policy');
    if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:'))
      this.#report(path, at, 'tags (!name) are not allowed in a policy');
    if (path.length > DEPTH_MAX) return this.#report(path, at, DEEP);
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item, i) => this.#childOf(item as Node | null, [...path, i]));
    if (!isMap(node)) return undefined;
    const entries = node.items.map(({ key, value }): readonly [string, unknown] => {
      const offset = (key as Node).range?.[0] ?? at;
      if (!isScalar(key) || typeof key.value !== 'string' || key.anchor !== undefined) {
        this.#report(path, offset, 'a key must be a plain text');
        return ['', undefined];
      }
      return [key.value, this.#childOf(value as Node | null, [...path, key.value], offset)];
    });
    // Defines own properties whatever they are called, "__proto__" too.
    return Object.fromEntries(entries);
  }

  #childOf(node: Node | null, path: Path, keyOffset?: number): unknown {
    const value = node?.range?.[0] ?? keyOffset ?? 0;
    this.#places.set(textOf(path), { key: keyOffset ?? value, value });
    return node === null ? null : this.#valueOf(node, path);
  }

  #report(path: Path, offset: number, message: string): undefined {
    this.#problems.push({ ...this.#lineAt(offset), path, message });
  }

  #positionOf(path: Path, at: 'key' | 'value'): Position {
    for (let length = path.length; ; length--) {
      const place = this.#places.get(textOf(path.slice(0, length)));
      if (place !== undefined) return this.#lineAt(length === path.length ? place[at] : place.key);
      if (length === 0) return { line: 1, column: 1 };
    }
  }

  #lineAt(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return line === 0 ? { line: 1, column: 1 } : { line, column: col };
  }
}

function textOf(path: Path): string {
  return path.map((part) => `${typeof part === 'number' ? '#' : '.'}${part}`).join('\0');
}

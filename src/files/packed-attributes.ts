// Attributes of many entries, as columns. As objects they would cost more than the system calls that they are for: to hand over to a
// worker, and, while they wait for their turn, to the garbage collector.

import type { EntryKind, Xattr } from '../model/entry.ts';
import { type Attributes, NO_XATTRS } from './attributes.ts';

/** In a form that a worker gets in a message. */
export type PackedAttributes = {
  readonly paths: readonly string[];
  /** Positions in KINDS. */
  readonly kinds: Uint8Array;
  /** FIELDS for each: mode, uid, gid, mtime seconds, nanoseconds. */
  readonly numbers: Float64Array;
  /** Of those that have any. */
  readonly xattrs: readonly { readonly entry: number; readonly xattrs: readonly Xattr[] }[];
};

const KINDS: readonly EntryKind[] = ['directory', 'file', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
const FIELDS = 5;
const ENTRIES_MIN = 256;

/** The entry at `position`. */
export function attributesAt({ paths, kinds, numbers, xattrs }: PackedAttributes, position: number): Attributes {
  const at = position * FIELDS;
  return {
    path: paths[position]!,
    kind: KINDS[kinds[position]!]!,
    mode: numbers[at]!,
    uid: numbers[at + 1]!,
    gid: numbers[at + 2]!,
    mtimeSec: numbers[at + 3]!,
    mtimeNsec: numbers[at + 4]!,
    xattrs: xattrs.length === 0 ? NO_XATTRS : (xattrs.find(({ entry }) => entry === position)?.xattrs ?? NO_XATTRS),
  };
}

/** A growing list. */
export class AttributeList {
  readonly #paths: string[] = [];
  #kinds = new Uint8Array(ENTRIES_MIN);
  #numbers = new Float64Array(ENTRIES_MIN * FIELDS);
  readonly #xattrs = new Map<number, readonly Xattr[]>();

  get length(): number {
    return this.#paths.length;
  }

  /** Answers its position. `path` takes the place of the entry's own. */
  add({ kind, mode, uid, gid, mtimeSec, mtimeNsec, xattrs }: Omit<Attributes, 'path'>, path: string): number {
    const n = this.#paths.push(path) - 1;
    if (n === this.#kinds.length) this.#grow();
    this.#kinds[n] = KINDS.indexOf(kind);
    const numbers = this.#numbers;
    numbers[n * FIELDS] = mode;
    numbers[n * FIELDS + 1] = uid;
    numbers[n * FIELDS + 2] = gid;
    numbers[n * FIELDS + 3] = mtimeSec;
    numbers[n * FIELDS + 4] = mtimeNsec;
    if (xattrs.length > 0) this.#xattrs.set(n, xattrs);
    return n;
  }

  path(position: number): string {
    return this.#paths[position]!;
  }

  mode(position: number): number {
    return this.#numbers[position * FIELDS]!;
  }

  uid(position: number): number {
    return this.#numbers[position * FIELDS + 1]!;
  }

  /** The entries at these positions, in this order. */
  pack(positions: readonly number[]): PackedAttributes {
    const n = positions.length;
    const [paths, kinds, numbers]: [string[], Uint8Array, Float64Array] = [[], new Uint8Array(n), new Float64Array(n * FIELDS)];
    const xattrs: { entry: number; xattrs: readonly Xattr[] }[] = [];
    for (let i = 0; i < n; i++) {
      const from = positions[i]!;
      paths.push(this.#paths[from]!);
      kinds[i] = this.#kinds[from]!;
      for (let field = 0; field < FIELDS; field++) numbers[i * FIELDS + field] = this.#numbers[from * FIELDS + field]!;
      const found = this.#xattrs.size === 0 ? undefined : this.#xattrs.get(from);
      // Copies: with a view, all the bytes around it would travel as well.
      if (found !== undefined) xattrs.push({ entry: i, xattrs: found.map(({ name, value }) => ({ name, value: value.slice() })) });
    }
    return { paths, kinds, numbers, xattrs };
  }

  #grow(): void {
    const kinds = new Uint8Array(this.#kinds.length * 2);
    kinds.set(this.#kinds);
    const numbers = new Float64Array(this.#numbers.length * 2);
    numbers.set(this.#numbers);
    this.#kinds = kinds;
    this.#numbers = numbers;
  }
}

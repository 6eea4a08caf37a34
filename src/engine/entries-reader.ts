// Reading an entries map in order, a leaf at a time. What a branch says of its children (where they begin, how many entries they have) is
// checked as they are read: an entry that is missing in a map must not be missing in silence.

import { Fault } from '../base/faults.ts';
import { decodeEntriesBranch, decodeEntriesLeaf, type EntriesBranchChild, isEntriesLeaf } from '../format/entries-node.ts';
import { comparePaths, isWithinPath } from '../model/entry-path.ts';
import type { References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { ReadNode } from './content-map.ts';

/** A leaf as it is stored, and what the branch above it says of it. */
export type EntriesLeafNode = {
  readonly reference: References;
  readonly bytes: Uint8Array;
  readonly expected: EntriesBranchChild | undefined;
};

export type EntriesLeaf = { readonly reference: References; readonly entries: readonly StoredEntry[] };

/** All leaves from the one on that may hold `from`. `onNode` sees every branch's reference. */
export async function* entriesLeaves(
  root: References,
  readNode: ReadNode,
  from = '',
  onBranch?: (reference: References) => void,
): AsyncGenerator<EntriesLeaf> {
  for await (const { reference, bytes, expected } of entriesLeafNodes(root, readNode, from, onBranch)) {
    const entries = decodeEntriesLeaf(bytes);
    checkNode(expected, entries[0]!.path, entries.length);
    yield { reference, entries };
  }
}

/** As `entriesLeaves`, for who decodes and checks (`checkNode`) them by himself. */
export async function* entriesLeafNodes(
  root: References,
  readNode: ReadNode,
  from = '',
  onBranch?: (reference: References) => void,
): AsyncGenerator<EntriesLeafNode> {
  if (root.length > 0) yield* leavesBelow(root, undefined, readNode, from, onBranch);
}

async function* leavesBelow(
  reference: References,
  expected: EntriesBranchChild | undefined,
  readNode: ReadNode,
  from: string,
  onBranch: ((reference: References) => void) | undefined,
): AsyncGenerator<EntriesLeafNode> {
  const node = await readNode(reference);
  if (isEntriesLeaf(node)) {
    yield { reference, bytes: node, expected };
    return;
  }
  onBranch?.(reference);
  const children = decodeEntriesBranch(node);
  checkNode(
    expected,
    children[0]!.firstPath,
    children.reduce((sum, child) => sum + child.entries, 0),
  );
  for (let i = 0; i < children.length; i++) {
    const next = children[i + 1];
    if (next !== undefined && comparePaths(next.firstPath, from) <= 0) continue;
    yield* leavesBelow(children[i]!.reference, children[i], readNode, from, onBranch);
  }
}

/** FORMAT_DAMAGED when a node is not what the branch above it says. */
export function checkNode(expected: EntriesBranchChild | undefined, firstPath: string, entries: number): void {
  if (expected === undefined || (expected.firstPath === firstPath && expected.entries === entries)) return;
  throw new Fault('FORMAT_DAMAGED', 'An entries map is damaged: a branch leads to other entries than it says');
}

/** All entries, or those at and below `below`. */
export async function* entriesOf(root: References, readNode: ReadNode, below = ''): AsyncGenerator<StoredEntry> {
  for await (const { entries } of entriesLeaves(root, readNode, below)) {
    for (const entry of entries) {
      if (isWithinPath(entry.path, below)) yield entry;
      else if (comparePaths(entry.path, below) > 0) return;
    }
  }
}

/** One entry, or undefined. */
export async function findEntry(root: References, readNode: ReadNode, path: string): Promise<StoredEntry | undefined> {
  for await (const { entries } of entriesLeaves(root, readNode, path)) {
    const found = entries.find((entry) => entry.path === path);
    if (found !== undefined) return found;
    const last = entries.at(-1);
    if (last !== undefined && comparePaths(last.path, path) > 0) return undefined;
  }
  return undefined;
}

/** Walks along a map in step with another stream in the same order. */
export class EntriesCursor {
  readonly #leaves: AsyncGenerator<EntriesLeaf>;
  /** Branch nodes on the way, for a writer that may find them again. */
  readonly branches: References[] = [];
  #leaf: EntriesLeaf | undefined;
  #position = 0;
  #ended = false;

  constructor(root: References, readNode: ReadNode) {
    this.#leaves = entriesLeaves(root, readNode, '', (reference) => this.branches.push(reference));
    if (root.length === 0) this.#ended = true;
  }

  /** The leaf that the last answer came from. */
  get leaf(): EntriesLeaf | undefined {
    return this.#leaf;
  }

  /** The entry at `path` when the leaf at hand can tell, without waiting: undefined means "ask `advance`". */
  peek(path: string): StoredEntry | 'none' | undefined {
    const entries = this.#leaf?.entries;
    if (entries === undefined) return this.#ended ? 'none' : undefined;
    for (; this.#position < entries.length; this.#position++) {
      const entry = entries[this.#position]!;
      if (entry.path === path) return entry;
      if (comparePaths(entry.path, path) > 0) return 'none';
    }
    return this.#ended ? 'none' : undefined;
  }

  /** Goes on to the next leaf. */
  async advance(): Promise<void> {
    const next = await this.#leaves.next();
    if (next.done === true) {
      this.#ended = true;
      this.#leaf = undefined;
    } else this.#leaf = next.value;
    this.#position = 0;
  }

  async find(path: string): Promise<StoredEntry | undefined> {
    for (;;) {
      const found = this.peek(path);
      if (found !== undefined) return found === 'none' ? undefined : found;
      await this.advance();
    }
  }
}

// Walking along the parent snapshot's entries in step with the source: the merge of a backup with its parent. Most entries are as they
// were, so none is made before somebody asks for it: they are compared where they stand in their leaf, and kept by their place there.

import { EntriesLeafCursor } from '../format/entries-leaf-cursor.ts';
import { entryAt } from '../format/entries-node.ts';
import { NO_REFERENCES, type References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { ReadNode } from './content-map.ts';
import { checkNode, type EntriesLeafNode, entriesLeafNodes } from './entries-reader.ts';

/** A leaf of the parent's map. */
export type ParentLeaf = {
  readonly reference: References;
  readonly bytes: Uint8Array;
  readonly firstPath: string;
  readonly count: number;
  /** Of its entries so far; of all when the cursor has left it. */
  contentBytes: number;
  /** There is one behind it: it ended because it was full, not because the tree ended. */
  isFollowed: boolean;
};

export class ParentCursor {
  readonly #nodes: AsyncGenerator<EntriesLeafNode>;
  /** Branch nodes on the way, for a writer that may find them again. */
  readonly branches: References[] = [];
  #leaf: ParentLeaf | undefined;
  #at: EntriesLeafCursor | undefined;
  #index = 0;
  /** The entry at hand was asked for: its content is taken. */
  #entry: StoredEntry | undefined;
  #isMet = false;
  #ended = false;

  constructor(root: References | undefined, readNode: ReadNode) {
    this.#nodes = entriesLeafNodes(root ?? NO_REFERENCES, readNode, '', (reference) => this.branches.push(reference));
    if (root === undefined || root.length === 0) this.#ended = true;
  }

  /** Of the entry at hand. */
  get leaf(): ParentLeaf | undefined {
    return this.#leaf;
  }

  /** Its place in the leaf. */
  get index(): number {
    return this.#index;
  }

  /** Its fields. */
  get at(): EntriesLeafCursor {
    return this.#at!;
  }

  /** All of it. */
  entry(): StoredEntry {
    this.#entry ??= entryAt(this.at);
    return this.#entry;
  }

  /** Goes on to `path`; paths come in order, each once. 'met': the entry at hand has this path. Undefined: call `advance`, then ask again. */
  seek(path: string): 'met' | 'none' | undefined {
    const leaf = this.#leaf;
    if (leaf !== undefined) {
      if (this.#isMet) this.#next(leaf);
      for (; this.#index < leaf.count; this.#next(leaf)) {
        const order = this.at.comparePath(path);
        this.#isMet = order === 0;
        if (order === 0) return 'met';
        if (order > 0) return 'none';
      }
    }
    return this.#ended ? 'none' : undefined;
  }

  /** Goes on to the next leaf. */
  async advance(): Promise<void> {
    const next = await this.#nodes.next();
    if (next.done === true) {
      this.#ended = true;
      this.#leaf = undefined;
      return;
    }
    if (this.#leaf !== undefined) this.#leaf.isFollowed = true;
    const { reference, bytes, expected } = next.value;
    const at = new EntriesLeafCursor(bytes);
    const count = at.left;
    at.next();
    const firstPath = at.path();
    checkNode(expected, firstPath, count);
    this.#leaf = { reference, bytes, firstPath, count, contentBytes: at.sizeBytes, isFollowed: false };
    this.#at = at;
    this.#index = 0;
    this.#entry = undefined;
  }

  #next(leaf: ParentLeaf): void {
    const at = this.at;
    if (this.#entry === undefined) at.skipContent();
    this.#entry = undefined;
    this.#isMet = false;
    this.#index++;
    // At the end it checks that nothing follows.
    if (at.next()) leaf.contentBytes = Math.min(leaf.contentBytes + at.sizeBytes, Number.MAX_SAFE_INTEGER);
  }
}

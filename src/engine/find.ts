// Finding entries by their names in many snapshots. Snapshots of one asset share most nodes of their maps: what a node holds is looked at
// once, whichever snapshots it is part of.

import { decodeEntriesBranch, decodeEntriesLeaf, isEntriesLeaf } from '../format/entries-node.ts';
import { digestOf, type References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { ReadNode } from './content-map.ts';

/** Nodes whose matches are remembered. */
const NODES_MAX = 200_000;
/** A node with more matches is looked at again. */
const MATCHES_MAX = 100;

export class EntryFinder {
  readonly #readNode: ReadNode;
  readonly #isWanted: (entry: StoredEntry) => boolean;
  readonly #seen = new Map<string, readonly StoredEntry[]>();

  constructor(readNode: ReadNode, isWanted: (entry: StoredEntry) => boolean) {
    this.#readNode = readNode;
    this.#isWanted = isWanted;
  }

  /** The wanted entries of one map, in order. */
  async *find(root: References): AsyncGenerator<StoredEntry> {
    if (root.length === 0) return;
    const name = Buffer.from(digestOf(root)).toString('latin1');
    const seen = this.#seen.get(name);
    if (seen !== undefined) {
      yield* seen;
      return;
    }
    const found: StoredEntry[] = [];
    for await (const entry of this.#look(root)) {
      if (found.length <= MATCHES_MAX) found.push(entry);
      yield entry;
    }
    if (found.length <= MATCHES_MAX && this.#seen.size < NODES_MAX) this.#seen.set(name, found);
  }

  async *#look(reference: References): AsyncGenerator<StoredEntry> {
    const node = await this.#readNode(reference);
    if (isEntriesLeaf(node)) yield* decodeEntriesLeaf(node).filter(this.#isWanted);
    else for (const child of decodeEntriesBranch(node)) yield* this.find(child.reference);
  }
}

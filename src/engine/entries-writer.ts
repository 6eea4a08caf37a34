// Writing an entries map: entries come in canonical order and become leaves; a whole leaf of the parent snapshot becomes that leaf again
// without being encoded, and what is kept of others is copied without being made. Where a leaf ends depends on the paths (and, where
// entries are very large, on their size), so one changed file changes one leaf and the branches above it.

import { bytesEndEntriesLeaf, endsEntriesLeaf } from '../format/entries-boundary.ts';
import { ENTRIES_PER_LEAF_MAX, EntriesLeafCursor } from '../format/entries-leaf-cursor.ts';
import { EntriesLeafEncoder } from '../format/entries-leaf-encoder.ts';
import {
  ENTRIES_FANOUT,
  ENTRIES_PER_LEAF_MIN,
  ENTRIES_WEIGHT_MAX,
  type EntriesBranchChild,
  encodeEntriesBranch,
  weightOfChild,
  weightOfEntry,
} from '../format/entries-node.ts';
import { NO_REFERENCES, type References, referenceCount } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { PutNode } from './content-map.ts';
import type { ParentLeaf } from './parent-cursor.ts';

export class EntriesWriter {
  readonly #putNode: PutNode;
  readonly #levels: EntriesBranchChild[][] = [];
  /** Of the children that wait at each level. */
  readonly #weights: number[] = [];
  readonly #leaf = new EntriesLeafEncoder();
  #firstPath = '';
  #leafBytes = 0;
  #leafWeight = 0;
  /** The leaf that entries are copied from, and the place of the next in it. */
  #parent: { readonly leaf: ParentLeaf; readonly cursor: EntriesLeafCursor; next: number } | undefined;
  entries = 0;
  contentBytes = 0;

  constructor(putNode: PutNode) {
    this.#putNode = putNode;
  }

  add(entry: StoredEntry): void {
    const { path, content, sizeBytes } = entry;
    if (this.#leaf.count === 0) this.#firstPath = path;
    this.#leaf.add(entry);
    const references = content.kind === 'chunks' ? referenceCount(content.references) : 1;
    this.#count(sizeBytes, weightOfEntry(entry, path.length, references));
    if (this.#isFull() || (this.#mayEnd() && endsEntriesLeaf(path))) this.#closeLeaf();
  }

  /** The entries from `from` to before `to` of a leaf of the parent snapshot, as they are. Of one leaf in order. */
  keep(leaf: ParentLeaf, from: number, to: number): void {
    if (from === 0 && to === leaf.count && leaf.isFollowed && this.#leaf.count === 0) {
      const { firstPath, reference, count, contentBytes } = leaf;
      this.entries += count;
      this.contentBytes = add(this.contentBytes, contentBytes);
      this.#push(0, { firstPath, reference, entries: count, contentBytes });
      return;
    }
    if (this.#parent?.leaf !== leaf) this.#parent = { leaf, cursor: new EntriesLeafCursor(leaf.bytes), next: 0 };
    const { cursor } = this.#parent;
    for (; this.#parent.next < to; this.#parent.next++) {
      cursor.next();
      if (this.#parent.next < from) cursor.skipContent();
      else this.#copy(cursor);
    }
  }

  #copy(from: EntriesLeafCursor): void {
    if (this.#leaf.count === 0) this.#firstPath = from.path();
    const references = this.#leaf.copy(from);
    this.#count(from.sizeBytes, weightOfEntry(from, from.pathLength, references));
    if (this.#isFull() || (this.#mayEnd() && bytesEndEntriesLeaf(from.pathBytes, from.pathLength))) this.#closeLeaf();
  }

  #count(sizeBytes: number, weight: number): void {
    this.#leafBytes = add(this.#leafBytes, sizeBytes);
    this.#leafWeight += weight;
    this.entries++;
    this.contentBytes = add(this.contentBytes, sizeBytes);
  }

  #isFull(): boolean {
    return this.#leaf.count === ENTRIES_PER_LEAF_MAX || this.#leafWeight >= ENTRIES_WEIGHT_MAX;
  }

  #mayEnd(): boolean {
    return this.#leaf.count >= ENTRIES_PER_LEAF_MIN;
  }

  /** The root; no reference when there was no entry. */
  finish(): References {
    if (this.#leaf.count > 0) this.#closeLeaf();
    for (let level = 0; level < this.#levels.length; level++) {
      const children = this.#levels[level]!;
      const isTop = level === this.#levels.length - 1;
      if (isTop && children.length === 1) return children[0]!.reference;
      if (children.length > 0) this.#closeBranch(level);
    }
    return NO_REFERENCES;
  }

  #closeLeaf(): void {
    const entries = this.#leaf.count;
    const reference = this.#putNode(this.#leaf.finish());
    this.#push(0, { firstPath: this.#firstPath, reference, entries, contentBytes: this.#leafBytes });
    this.#leafBytes = 0;
    this.#leafWeight = 0;
  }

  #push(level: number, child: EntriesBranchChild): void {
    const children = (this.#levels[level] ??= []);
    const weight = (this.#weights[level] ?? 0) + weightOfChild(child);
    const isFull = children.length === ENTRIES_FANOUT || (children.length > 1 && weight > ENTRIES_WEIGHT_MAX);
    if (isFull) this.#closeBranch(level);
    this.#weights[level] = isFull ? weightOfChild(child) : weight;
    this.#levels[level]!.push(child);
  }

  #closeBranch(level: number): void {
    const children = this.#levels[level]!;
    this.#levels[level] = [];
    const sum = (of: (child: EntriesBranchChild) => number): number => children.reduce((total, child) => add(total, of(child)), 0);
    this.#push(level + 1, {
      firstPath: children[0]!.firstPath,
      reference: this.#putNode(encodeEntriesBranch(children)),
      entries: sum((child) => child.entries),
      contentBytes: sum((child) => child.contentBytes),
    });
  }
}

/** A few sparse files can be longer than a number can say: the sum stays at the largest. */
function add(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}

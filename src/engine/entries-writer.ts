// Writing an entries map: entries come in canonical order and become leaves; a run that is exactly a leaf of the parent snapshot becomes
// that leaf again without being encoded. Where a leaf ends depends on the paths (and, where entries are very large, on their size), so
// one changed file changes one leaf and the branches above it.

import { endsEntriesLeaf } from '../format/entries-boundary.ts';
import { ENTRIES_PER_LEAF_MAX } from '../format/entries-leaf-cursor.ts';
import {
  ENTRIES_FANOUT,
  ENTRIES_PER_LEAF_MIN,
  ENTRIES_WEIGHT_MAX,
  type EntriesBranchChild,
  encodeEntriesBranch,
  encodeEntriesLeaf,
  weightOfChild,
  weightOfEntry,
} from '../format/entries-node.ts';
import { NO_REFERENCES, type References } from '../model/reference.ts';
import type { StoredEntry } from '../model/stored-entry.ts';
import type { PutNode } from './content-map.ts';
import type { EntriesLeaf } from './entries-reader.ts';

export class EntriesWriter {
  readonly #putNode: PutNode;
  readonly #levels: EntriesBranchChild[][] = [];
  /** Of the children that wait at each level. */
  readonly #weights: number[] = [];
  #run: StoredEntry[] = [];
  #runBytes = 0;
  #runWeight = 0;
  #parentLeaf: EntriesLeaf | undefined;
  #isParentRun = true;
  entries = 0;
  contentBytes = 0;

  constructor(putNode: PutNode) {
    this.#putNode = putNode;
  }

  /** `parentLeaf`: where `entry` was taken from unchanged (the very same object). */
  add(entry: StoredEntry, parentLeaf?: EntriesLeaf): void {
    if (this.#run.length === 0) this.#parentLeaf = parentLeaf;
    this.#isParentRun &&= parentLeaf !== undefined && parentLeaf === this.#parentLeaf;
    this.#run.push(entry);
    this.#runBytes = add(this.#runBytes, entry.sizeBytes);
    this.#runWeight += weightOfEntry(entry);
    this.entries++;
    this.contentBytes = add(this.contentBytes, entry.sizeBytes);
    const n = this.#run.length;
    const isFull = n === ENTRIES_PER_LEAF_MAX || this.#runWeight >= ENTRIES_WEIGHT_MAX;
    if (isFull || (n >= ENTRIES_PER_LEAF_MIN && endsEntriesLeaf(entry.path))) this.#closeLeaf();
  }

  /** The root; no reference when there was no entry. */
  finish(): References {
    if (this.#run.length > 0) this.#closeLeaf();
    for (let level = 0; level < this.#levels.length; level++) {
      const children = this.#levels[level]!;
      const isTop = level === this.#levels.length - 1;
      if (isTop && children.length === 1) return children[0]!.reference;
      if (children.length > 0) this.#closeBranch(level);
    }
    return NO_REFERENCES;
  }

  #closeLeaf(): void {
    const run = this.#run;
    const parent = this.#isParentRun ? this.#parentLeaf : undefined;
    const isParent = parent !== undefined && parent.entries.length === run.length && parent.entries[0] === run[0];
    const reference = isParent ? parent.reference : this.#putNode(encodeEntriesLeaf(run));
    this.#push(0, { firstPath: run[0]!.path, reference, entries: run.length, contentBytes: this.#runBytes });
    this.#run = [];
    this.#runBytes = 0;
    this.#runWeight = 0;
    this.#isParentRun = true;
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

// Building and reading the maps of single contents: units by position, chunks in order. See src/format/README.md, "Maps".
//
// A reader checks that a map covers what it must: a part that is missing in a map must never become a part that is missing in a file.

import { Fault } from '../base/faults.ts';
import {
  CHUNKS_FANOUT,
  CHUNKS_PER_LEAF,
  type ChunksBranchChild,
  type ChunksNode,
  decodeChunksNode,
  encodeChunksBranch,
  encodeChunksLeaf,
} from '../format/chunks-node.ts';
import { decodeUnitsBranch, encodeUnitsBranch, UNITS_FANOUT, UNITS_PER_LEAF, unitsMapHeight } from '../format/units-node.ts';
import { contentLength, NO_REFERENCES, REFERENCE_BYTES, type References, referenceCount } from '../model/reference.ts';

/** Stores a node, or finds the parent snapshot's equal one. */
export type PutNode = (node: Uint8Array) => References;
export type ReadNode = (reference: References) => Promise<Uint8Array>;

/** Collects the leaves of a units map in order; branches are written as they fill, so memory is the tree's height. */
export class UnitsMapBuilder {
  readonly #putNode: PutNode;
  readonly #levels: References[][] = [[]];

  constructor(putNode: PutNode) {
    this.#putNode = putNode;
  }

  /** The next leaf: its reference, or none when it is all zero. */
  add(leaf: References): void {
    this.#push(0, leaf);
  }

  /** The root, for a content of `units` units. */
  finish(units: number): References {
    const height = unitsMapHeight(units);
    for (let level = 0; level < height; level++) {
      const children = (this.#levels[level] ??= []);
      if (children.length > 0 || (this.#levels[level + 1] ?? []).length === 0) this.#close(level);
    }
    return this.#levels[height]?.[0] ?? NO_REFERENCES;
  }

  #push(level: number, reference: References): void {
    const children = (this.#levels[level] ??= []);
    if (children.length === UNITS_FANOUT) this.#close(level);
    this.#levels[level]!.push(reference);
  }

  #close(level: number): void {
    const children = this.#levels[level]!;
    this.#levels[level] = [];
    const allZero = children.every((child) => child.length === 0);
    this.#push(level + 1, allZero ? NO_REFERENCES : this.#putNode(encodeUnitsBranch(children)));
  }
}

/** The references of all leaves of a units map, in order, from leaf `from` on: none for leaves that are all zero. */
export async function* unitsLeaves(root: References, units: number, readNode: ReadNode, from = 0): AsyncGenerator<References> {
  const leaves = Math.ceil(units / UNITS_PER_LEAF);
  yield* below(root, unitsMapHeight(units), 0, leaves, from, readNode);
}

async function* below(
  node: References,
  height: number,
  first: number,
  leaves: number,
  from: number,
  readNode: ReadNode,
): AsyncGenerator<References> {
  const span = UNITS_FANOUT ** height;
  const count = Math.min(span, leaves - first);
  if (first + count <= from) return;
  if (height === 0) {
    yield node;
    return;
  }
  if (node.length === 0) {
    for (let i = Math.max(first, from); i < first + count; i++) yield NO_REFERENCES;
    return;
  }
  const childSpan = span / UNITS_FANOUT;
  const children = decodeUnitsBranch(await readNode(node), Math.ceil(count / childSpan));
  for (let i = 0; i < children.length; i++) yield* below(children[i]!, height - 1, first + i * childSpan, leaves, from, readNode);
}

/** Collects the chunks of a content in order. */
export class ChunksMapBuilder {
  readonly #putNode: PutNode;
  readonly #levels: ChunksBranchChild[][] = [];
  #pending = new Uint8Array(CHUNKS_PER_LEAF * REFERENCE_BYTES);
  #pendingBytes = 0;
  contentBytes = 0;

  constructor(putNode: PutNode) {
    this.#putNode = putNode;
  }

  add(references: References): void {
    for (let at = 0; at < references.length; ) {
      if (this.#pendingBytes === this.#pending.length) this.#closeLeaf();
      const n = Math.min(references.length - at, this.#pending.length - this.#pendingBytes);
      this.#pending.set(references.subarray(at, at + n), this.#pendingBytes);
      this.#pendingBytes += n;
      at += n;
    }
    this.contentBytes += contentLength(references);
  }

  /** The root; no reference when there was no chunk. */
  finish(): References {
    if (this.#pendingBytes > 0) this.#closeLeaf();
    for (let level = 0; level < this.#levels.length; level++) {
      const children = this.#levels[level]!;
      const isTop = level === this.#levels.length - 1;
      if (isTop && children.length === 1) return children[0]!.reference;
      if (children.length > 0) this.#closeBranch(level);
    }
    return NO_REFERENCES;
  }

  #closeLeaf(): void {
    const references = this.#pending.slice(0, this.#pendingBytes);
    this.#pendingBytes = 0;
    this.#push(0, { reference: this.#putNode(encodeChunksLeaf(references)), contentBytes: contentLength(references) });
  }

  #push(level: number, child: ChunksBranchChild): void {
    const children = (this.#levels[level] ??= []);
    if (children.length === CHUNKS_FANOUT) this.#closeBranch(level);
    this.#levels[level]!.push(child);
  }

  #closeBranch(level: number): void {
    const children = this.#levels[level]!;
    this.#levels[level] = [];
    const contentBytes = children.reduce((sum, child) => sum + child.contentBytes, 0);
    this.#push(level + 1, { reference: this.#putNode(encodeChunksBranch(children)), contentBytes });
  }
}

/** The chunks of a chunks map, in order, some at a time. FORMAT_DAMAGED when they do not add up to `contentBytes` (when that is known). */
export async function* chunksOf(root: References, readNode: ReadNode, contentBytes?: number): AsyncGenerator<References> {
  const node: ChunksNode = referenceCount(root) === 0 ? { kind: 'leaf', references: root } : decodeChunksNode(await readNode(root));
  const sum =
    node.kind === 'leaf' ? contentLength(node.references) : node.children.reduce((total, child) => total + child.contentBytes, 0);
  if (sum !== (contentBytes ?? sum))
    throw new Fault('FORMAT_DAMAGED', `A chunks map is damaged: it has ${sum} bytes where ${contentBytes} belong`);
  if (node.kind === 'leaf') yield node.references;
  else for (const child of node.children) yield* chunksOf(child.reference, readNode, child.contentBytes);
}

// Random access to one content: any range, without reading what lies before it. The map is descended for each read; blocks come through
// the reader's cache, so neighbouring reads cost one fetch.

import { decodeChunksNode } from '../format/chunks-node.ts';
import { decodeUnitsBranch, decodeUnitsLeaf, UNITS_FANOUT, UNITS_PER_LEAF, unitsMapHeight } from '../format/units-node.ts';
import { lengthOf, NO_REFERENCES, type References, referenceAt, referenceCount } from '../model/reference.ts';
import type { Content } from '../model/stored-entry.ts';
import type { BlockReader } from '../repository/block-reader.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { ReadNode } from './content-map.ts';

/** A piece of a range: content, or zeros that are nowhere stored. */
export type RangePiece = {
  readonly offset: number;
  readonly length: number;
  readonly reference: References | undefined;
  readonly skip: number;
};

export class ContentReader {
  readonly sizeBytes: number;
  readonly #content: Content;
  readonly #unitBytes: number;
  readonly #readNode: ReadNode;
  readonly #reader: BlockReader;

  constructor(content: Content, sizeBytes: number, unitBytes: number, readNode: ReadNode, reader: BlockReader) {
    this.#content = content;
    this.sizeBytes = sizeBytes;
    this.#unitBytes = unitBytes;
    this.#readNode = readNode;
    this.#reader = reader;
  }

  /** Fills `target` with the bytes from `offset` on; the range lies inside the content. FORMAT_DAMAGED, STORE_ faults. */
  async read(target: Uint8Array, offset: number, options?: CallOptions): Promise<void> {
    target.fill(0);
    for await (const piece of this.pieces(offset, target.length)) {
      if (piece.reference === undefined) continue;
      const bytes = await this.#reader.read(piece.reference, options);
      target.set(bytes.subarray(piece.skip, piece.skip + piece.length), piece.offset - offset);
    }
  }

  /** What a range consists of, in order, without holes between. */
  async *pieces(offset: number, length: number): AsyncGenerator<RangePiece> {
    const end = Math.min(offset + length, this.sizeBytes);
    const { kind } = this.#content;
    if (kind === 'units-map') {
      for (let at = offset; at < end; ) {
        for (const piece of await this.#unitPieces(at, end)) {
          yield piece;
          at = piece.offset + piece.length;
        }
      }
    } else if (kind === 'chunks-map') {
      yield* this.#below(this.#content.root, 0, offset, end);
    } else if (kind === 'chunks') {
      yield* chunkPieces(this.#content.references, 0, offset, end);
    }
  }

  /** Pieces of one leaf of a units map from `offset` to `end` or the leaf's end. */
  async #unitPieces(offset: number, end: number): Promise<RangePiece[]> {
    const unitBytes = this.#unitBytes;
    const leafBytes = unitBytes * UNITS_PER_LEAF;
    const leaf = Math.floor(offset / leafBytes);
    const begin = leaf * leafBytes;
    const leafEnd = Math.min(begin + leafBytes, this.sizeBytes);
    const stop = Math.min(end, leafEnd);
    const node = await this.#leafAt(leaf);
    if (node.length === 0) return [{ offset, length: stop - offset, reference: undefined, skip: 0 }];
    const units = Math.ceil((leafEnd - begin) / unitBytes);
    const { set, references } = decodeUnitsLeaf(
      await this.#readNode(node),
      units,
      unitBytes,
      leafEnd - begin - (units - 1) * unitBytes,
    );
    const pieces: RangePiece[] = [];
    for (let u = 0, n = 0; u < units; u++) {
      const from = begin + u * unitBytes;
      const to = Math.min(from + unitBytes, leafEnd);
      const reference = set[u] === 1 ? referenceAt(references, n++) : undefined;
      if (to <= offset || from >= stop) continue;
      const first = Math.max(from, offset);
      pieces.push({ offset: first, length: Math.min(to, stop) - first, reference, skip: first - from });
    }
    return pieces;
  }

  async #leafAt(leaf: number): Promise<References> {
    if (this.#content.kind !== 'units-map') return NO_REFERENCES;
    let node = this.#content.root;
    for (let height = unitsMapHeight(Math.ceil(this.sizeBytes / this.#unitBytes)); height > 0 && node.length > 0; height--) {
      const child = Math.floor(leaf / UNITS_FANOUT ** (height - 1)) % UNITS_FANOUT;
      node = decodeUnitsBranch(await this.#readNode(node))[child] ?? NO_REFERENCES;
    }
    return node;
  }

  async *#below(node: References, begin: number, offset: number, end: number): AsyncGenerator<RangePiece> {
    if (node.length === 0) return;
    const decoded = decodeChunksNode(await this.#readNode(node));
    if (decoded.kind === 'leaf') {
      yield* chunkPieces(decoded.references, begin, offset, end);
      return;
    }
    let at = begin;
    for (const { reference, contentBytes } of decoded.children) {
      if (at >= end) return;
      if (at + contentBytes > offset) yield* this.#below(reference, at, offset, end);
      at += contentBytes;
    }
  }
}

function* chunkPieces(references: References, begin: number, offset: number, end: number): Generator<RangePiece> {
  let from = begin;
  for (let n = 0; n < referenceCount(references) && from < end; n++) {
    const to = from + lengthOf(references, n);
    if (to > offset) {
      const first = Math.max(from, offset);
      yield { offset: first, length: Math.min(to, end) - first, reference: referenceAt(references, n), skip: first - from };
    }
    from = to;
  }
}

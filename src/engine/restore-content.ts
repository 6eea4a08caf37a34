// The pieces of a content: where each lies and where it goes. Zeros have no piece.

import { decodeUnitsLeaf, UNITS_PER_LEAF } from '../format/units-node.ts';
import { contentLength, lengthOf, NO_REFERENCES, type References, referenceAt, referenceCount } from '../model/reference.ts';
import type { Content } from '../model/stored-entry.ts';
import { chunksOf, type ReadNode, unitsLeaves } from './content-map.ts';

export type Piece =
  | { readonly kind: 'data'; readonly reference: References; readonly offset: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly offset: number; readonly length: number };

/** A run of a content, `[begin, end)`: packed references, and for each where in the content it goes. What is between them is zero. As
 *  columns, because a large content has a hundred thousand of them. */
export type Places = {
  readonly begin: number;
  readonly end: number;
  readonly references: References;
  readonly offsets: Float64Array;
};

const NO_OFFSETS = new Float64Array(0);

/** All of a content, in order. */
export async function* placesOf(
  content: Content,
  sizeBytes: number,
  unitBytes: number,
  readNode: ReadNode,
): AsyncGenerator<Places> {
  if (content.kind === 'none') return;
  if (content.kind === 'units-map') {
    yield* unitPlaces(content.root, sizeBytes, unitBytes, readNode);
    return;
  }
  let begin = 0;
  const places = (references: References): Places => {
    const offsets = new Float64Array(referenceCount(references));
    const from = begin;
    for (let i = 0; i < offsets.length; i++) {
      offsets[i] = begin;
      begin += lengthOf(references, i);
    }
    return { begin: from, end: begin, references, offsets };
  };
  if (content.kind === 'chunks') yield places(content.references);
  else for await (const references of chunksOf(content.root, readNode, sizeBytes)) yield places(references);
}

async function* unitPlaces(root: References, sizeBytes: number, unitBytes: number, readNode: ReadNode): AsyncGenerator<Places> {
  const units = Math.ceil(sizeBytes / unitBytes);
  let begin = 0;
  for await (const reference of unitsLeaves(root, units, readNode)) {
    const end = Math.min(begin + UNITS_PER_LEAF * unitBytes, sizeBytes);
    yield reference.length === 0
      ? { begin, end, references: NO_REFERENCES, offsets: NO_OFFSETS }
      : leafPlaces(await readNode(reference), begin, end, unitBytes);
    begin = end;
  }
}

function leafPlaces(node: Uint8Array, begin: number, end: number, unitBytes: number): Places {
  const units = Math.ceil((end - begin) / unitBytes);
  const { set, references } = decodeUnitsLeaf(node, units, unitBytes, end - begin - (units - 1) * unitBytes);
  const offsets = new Float64Array(referenceCount(references));
  for (let u = 0, n = 0; u < units; u++) if (set[u] === 1) offsets[n++] = begin + u * unitBytes;
  return { begin, end, references, offsets };
}

/** How much of it is zero. */
export function zeroBytes({ begin, end, references }: Places): number {
  return end - begin - contentLength(references);
}

/** All pieces of a content, in order, a batch at a time: for who looks at each. */
export async function* piecesOf(
  content: Content,
  sizeBytes: number,
  unitBytes: number,
  readNode: ReadNode,
): AsyncGenerator<readonly Piece[]> {
  for await (const places of placesOf(content, sizeBytes, unitBytes, readNode)) yield piecesIn(places);
}

function piecesIn({ begin, end, references, offsets }: Places): Piece[] {
  const pieces: Piece[] = [];
  let at = begin;
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i]!;
    const length = lengthOf(references, i);
    if (offset > at) pieces.push({ kind: 'zeros', offset: at, length: offset - at });
    pieces.push({ kind: 'data', reference: referenceAt(references, i), offset, length });
    at = offset + length;
  }
  if (end > at) pieces.push({ kind: 'zeros', offset: at, length: end - at });
  return pieces;
}

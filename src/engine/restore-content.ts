// The pieces of a content: where each lies and where it goes. Zeros have no piece.

import { decodeUnitsLeaf, UNITS_PER_LEAF } from '../format/units-node.ts';
import { lengthOf, type References, referenceAt, referenceCount } from '../model/reference.ts';
import type { Content } from '../model/stored-entry.ts';
import { chunksOf, type ReadNode, unitsLeaves } from './content-map.ts';

export type Piece =
  | { readonly kind: 'data'; readonly reference: References; readonly offset: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly offset: number; readonly length: number };

/** All pieces of a content, in order, a batch at a time. */
export async function* piecesOf(
  content: Content,
  sizeBytes: number,
  unitBytes: number,
  readNode: ReadNode,
): AsyncGenerator<readonly Piece[]> {
  if (content.kind === 'none') return;
  if (content.kind === 'units-map') {
    yield* unitPieces(content.root, sizeBytes, unitBytes, readNode);
    return;
  }
  let offset = 0;
  const pieces = (references: References): Piece[] => {
    const batch: Piece[] = [];
    for (let i = 0; i < referenceCount(references); i++) {
      const length = lengthOf(references, i);
      batch.push({ kind: 'data', reference: referenceAt(references, i), offset, length });
      offset += length;
    }
    return batch;
  };
  if (content.kind === 'chunks') yield pieces(content.references);
  else for await (const references of chunksOf(content.root, readNode, sizeBytes)) yield pieces(references);
}

/** Pieces of a units map from leaf `from` on. */
export async function* unitPieces(
  root: References,
  sizeBytes: number,
  unitBytes: number,
  readNode: ReadNode,
  from = 0,
): AsyncGenerator<readonly Piece[]> {
  const units = Math.ceil(sizeBytes / unitBytes);
  let leaf = from;
  for await (const reference of unitsLeaves(root, units, readNode, from)) {
    const offset = leaf * UNITS_PER_LEAF * unitBytes;
    const length = Math.min(UNITS_PER_LEAF * unitBytes, sizeBytes - offset);
    leaf++;
    yield reference.length === 0
      ? [{ kind: 'zeros', offset, length }]
      : leafPieces(await readNode(reference), offset, length, unitBytes);
  }
}

function leafPieces(node: Uint8Array, offset: number, length: number, unitBytes: number): Piece[] {
  const units = Math.ceil(length / unitBytes);
  const { set, references } = decodeUnitsLeaf(node, units, unitBytes, length - (units - 1) * unitBytes);
  const pieces: Piece[] = [];
  for (let u = 0, n = 0; u < units; u++) {
    const at = offset + u * unitBytes;
    const unitLength = Math.min(unitBytes, offset + length - at);
    if (set[u] === 1) pieces.push({ kind: 'data', reference: referenceAt(references, n++), offset: at, length: unitLength });
    else {
      const last = pieces.at(-1);
      if (last?.kind === 'zeros' && last.offset + last.length === at)
        pieces[pieces.length - 1] = { kind: 'zeros', offset: last.offset, length: last.length + unitLength };
      else pieces.push({ kind: 'zeros', offset: at, length: unitLength });
    }
  }
  return pieces;
}

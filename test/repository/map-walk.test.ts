import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { UnitsMapBuilder, unitsLeaves } from '../../src/engine/content-map.ts';
import { decodeUnitsLeaf, encodeUnitsLeaf, UNITS_FANOUT, UNITS_PER_LEAF } from '../../src/format/units-node.ts';
import { loadChecksum } from '../../src/index/checksum.ts';
import {
  blockOf,
  NO_REFERENCES,
  REFERENCE_BYTES,
  type References,
  referenceCount,
  writeReference,
} from '../../src/model/reference.ts';
import { MapWalker, rootNode } from '../../src/repository/map-walk.ts';
import { scratchDirectory } from '../support/scratch.ts';

const UNIT_BYTES = 1024;
const LEAF_BYTES = UNIT_BYTES * UNITS_PER_LEAF;

class Nodes {
  readonly #byBlock = new Map<string, Uint8Array>();

  put = (node: Uint8Array): References => {
    const reference = new Uint8Array(REFERENCE_BYTES);
    const digest = createHash('sha256').update(node).digest();
    writeReference(reference, 0, digest.subarray(16, 32), digest.subarray(0, 16), 0, node.length);
    this.#byBlock.set(nameOf(reference, 0), node);
    return reference;
  };

  read = async (reference: References): Promise<Uint8Array> => this.#byBlock.get(nameOf(reference, 0))!;
}

function nameOf(references: References, i: number): string {
  return Buffer.from(blockOf(references, i)).toString('hex');
}

/** A map in which unit 0 of each chosen leaf is set, each to a block of its own; answers the names of those blocks. */
function build(
  nodes: Nodes,
  sizeBytes: number,
  isChosen: (leaf: number, leaves: number) => boolean,
): { root: References; blocks: string[] } {
  const units = Math.ceil(sizeBytes / UNIT_BYTES);
  const leaves = Math.ceil(units / UNITS_PER_LEAF);
  const builder = new UnitsMapBuilder(nodes.put);
  const blocks: string[] = [];
  for (let leaf = 0; leaf < leaves; leaf++) {
    if (!isChosen(leaf, leaves)) {
      builder.add(NO_REFERENCES);
      continue;
    }
    const inLeaf = Math.min(UNITS_PER_LEAF, units - leaf * UNITS_PER_LEAF);
    const set = new Uint8Array(inLeaf);
    set[0] = 1;
    const reference = new Uint8Array(REFERENCE_BYTES);
    const block = createHash('sha256').update(`${leaf}`).digest();
    const length = Math.min(UNIT_BYTES, sizeBytes - leaf * LEAF_BYTES);
    writeReference(reference, 0, block.subarray(0, 16), block.subarray(16), 0, length);
    blocks.push(nameOf(reference, 0));
    builder.add(nodes.put(encodeUnitsLeaf(set, reference, UNIT_BYTES)));
  }
  return { root: builder.finish(units), blocks };
}

const BRANCH_BYTES = LEAF_BYTES * UNITS_FANOUT;
// The last child of a branch covers whatever is left: a whole sub-tree, one leaf of it, one byte.
const SIZES = [1, UNIT_BYTES, LEAF_BYTES, BRANCH_BYTES, 2 * BRANCH_BYTES].flatMap((bytes) =>
  [-1, 0, 1, UNIT_BYTES, LEAF_BYTES, LEAF_BYTES + 1].map((more) => bytes + more).filter((size) => size > 0),
);

it.each([...new Set(SIZES)])('a map of a volume of %i bytes is walked whole', async (sizeBytes) => {
  const nodes = new Nodes();
  const { root, blocks } = build(nodes, sizeBytes, (leaf, leaves) => leaf % 100 === 0 || leaf === leaves - 1);
  const found = new Set<string>();
  const walker = new MapWalker({
    readNode: nodes.read,
    unitBytes: UNIT_BYTES,
    directory: scratchDirectory(),
    checksum: await loadChecksum(),
    onReferences: (references) => {
      for (let i = 0; i < referenceCount(references); i++) found.add(nameOf(references, i));
    },
  });
  await walker.walk(rootNode({ kind: 'units', reference: root, contentBytes: sizeBytes, entries: 1 }, UNIT_BYTES)!);
  walker.close();
  expect(blocks.filter((block) => !found.has(block))).toEqual([]);
  // And a restore reads the same leaves.
  const units = Math.ceil(sizeBytes / UNIT_BYTES);
  const read: string[] = [];
  let leaf = 0;
  for await (const reference of unitsLeaves(root, units, nodes.read)) {
    const inLeaf = Math.min(UNITS_PER_LEAF, units - leaf * UNITS_PER_LEAF);
    const last = Math.min(UNIT_BYTES, sizeBytes - (leaf * UNITS_PER_LEAF + inLeaf - 1) * UNIT_BYTES);
    if (reference.length > 0)
      read.push(nameOf(decodeUnitsLeaf(await nodes.read(reference), inLeaf, UNIT_BYTES, last).references, 0));
    leaf++;
  }
  expect(read).toEqual(blocks);
});

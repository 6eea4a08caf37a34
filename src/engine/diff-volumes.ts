// Which ranges differ between two states of a volume: both maps are walked in step, equal nodes are skipped. The answer can be given to a
// backup of the same volume as changed ranges.

import { decodeUnitsBranch, decodeUnitsLeaf, UNITS_FANOUT, UNITS_PER_LEAF, unitsMapHeight } from '../format/units-node.ts';
import { bytesEqual, digestOf, NO_REFERENCES, type References, referenceAt } from '../model/reference.ts';
import type { ChangedRange } from './changed-ranges.ts';
import type { ReadNode } from './content-map.ts';

export type VolumeMap = { readonly root: References; readonly sizeBytes: number };

/** In order, joined where they touch, in whole units. What only one of the two has differs. */
export async function* diffVolumes(
  before: VolumeMap,
  after: VolumeMap,
  unitBytes: number,
  readNode: ReadNode,
): AsyncGenerator<ChangedRange> {
  const end = Math.max(before.sizeBytes, after.sizeBytes);
  let open: { offset: number; length: number } | undefined;
  for await (const { offset, length } of differingUnits(before, after, unitBytes, readNode)) {
    const bounded = Math.min(length, end - offset);
    if (open !== undefined && open.offset + open.length === offset) open.length += bounded;
    else {
      if (open !== undefined) yield open;
      open = { offset, length: bounded };
    }
  }
  if (open !== undefined) yield open;
}

async function* differingUnits(
  before: VolumeMap,
  after: VolumeMap,
  unitBytes: number,
  readNode: ReadNode,
): AsyncGenerator<ChangedRange> {
  const side = (map: VolumeMap): Side => ({
    units: Math.ceil(map.sizeBytes / unitBytes),
    sizeBytes: map.sizeBytes,
    unitBytes,
    readNode,
  });
  const [a, b] = [side(before), side(after)];
  const height = Math.max(unitsMapHeight(a.units), unitsMapHeight(b.units));
  yield* below(lifted(before.root, a), lifted(after.root, b), height, 0, a, b);

  function lifted(root: References, { units }: Side): Lifted {
    return { root, height: unitsMapHeight(units) };
  }
}

type Side = { readonly units: number; readonly sizeBytes: number; readonly unitBytes: number; readonly readNode: ReadNode };
/** A node, and how high it stands: the lower of two maps hangs under branches that it does not have. */
type Lifted = { readonly root: References; readonly height: number };

const NOTHING: Lifted = { root: NO_REFERENCES, height: 0 };

async function* below(x: Lifted, y: Lifted, height: number, firstUnit: number, a: Side, b: Side): AsyncGenerator<ChangedRange> {
  // Equal nodes of both hold the same where both cover the same units.
  const span = UNITS_PER_LEAF * UNITS_FANOUT ** height;
  const coversSame =
    a.sizeBytes === b.sizeBytes || Math.min(a.units, b.units) - (a.sizeBytes === b.sizeBytes ? 0 : 1) >= firstUnit + span;
  if (coversSame && isSame(x.root, y.root)) return;
  if (firstUnit >= a.units && firstUnit >= b.units) return;
  if (height === 0) {
    yield* differingInLeaf(x.root, y.root, firstUnit, a, b);
    return;
  }
  const [p, q] = await Promise.all([children(x, height, a), children(y, height, b)]);
  const childSpan = span / UNITS_FANOUT;
  for (let i = 0; i < UNITS_FANOUT; i++) {
    const first = firstUnit + i * childSpan;
    if (first >= a.units && first >= b.units) return;
    yield* below(p[i] ?? NOTHING, q[i] ?? NOTHING, height - 1, first, a, b);
  }
}

async function children(node: Lifted, height: number, { readNode }: Side): Promise<readonly Lifted[]> {
  if (node.root.length === 0) return [];
  if (node.height < height) return [node];
  return decodeUnitsBranch(await readNode(node.root)).map((root) => ({ root, height: height - 1 }));
}

async function* differingInLeaf(x: References, y: References, firstUnit: number, a: Side, b: Side): AsyncGenerator<ChangedRange> {
  const [p, q] = await Promise.all([unitsOf(x, firstUnit, a), unitsOf(y, firstUnit, b)]);
  const { unitBytes } = a;
  for (let u = 0; u < Math.max(p.length, q.length); u++) {
    const offset = (firstUnit + u) * unitBytes;
    const isThereInBoth = u < p.length && u < q.length && lengthAt(offset, a) === lengthAt(offset, b);
    if (!isThereInBoth || !isSame(p[u]!, q[u]!)) yield { offset, length: unitBytes };
  }
}

function lengthAt(offset: number, { sizeBytes, unitBytes }: Side): number {
  return Math.min(unitBytes, sizeBytes - offset);
}

/** The reference of each unit of a leaf; none where it is zero. */
async function unitsOf(
  leaf: References,
  firstUnit: number,
  { units, unitBytes, sizeBytes, readNode }: Side,
): Promise<References[]> {
  const count = Math.max(0, Math.min(UNITS_PER_LEAF, units - firstUnit));
  if (leaf.length === 0) return new Array<References>(count).fill(NO_REFERENCES);
  const lastBytes = Math.min(unitBytes, sizeBytes - (firstUnit + count - 1) * unitBytes);
  const { set, references } = decodeUnitsLeaf(await readNode(leaf), count, unitBytes, lastBytes);
  let n = 0;
  return Array.from({ length: count }, (_, u) => (set[u] === 1 ? referenceAt(references, n++) : NO_REFERENCES));
}

function isSame(a: References, b: References): boolean {
  return a.length === b.length && (a.length === 0 || bytesEqual(digestOf(a), digestOf(b)));
}

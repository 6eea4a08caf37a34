// The maps of volumes are made by their own writer over references that are told apart by one number: no repository is needed.

import { expect, it } from 'vitest';
import { UnitsMapBuilder } from '../../src/engine/content-map.ts';
import { diffVolumes, type VolumeMap } from '../../src/engine/diff-volumes.ts';
import { encodeUnitsLeaf, UNITS_PER_LEAF } from '../../src/format/units-node.ts';
import { digestOf, NO_REFERENCES, packReference, type References } from '../../src/model/reference.ts';
import { seededRandom } from '../support/seeded-random.ts';

const UNIT = 4096;

/** A place for nodes, named by what they hold. */
class Nodes {
  readonly #nodes = new Map<string, Uint8Array>();
  read = 0;

  put(node: Uint8Array): References {
    const { createHash } = process.getBuiltinModule('node:crypto');
    const digest = createHash('sha256').update(node).digest().subarray(0, 16);
    this.#nodes.set(digest.toString('hex'), node);
    return packReference(new Uint8Array(16), digest, 0, node.length);
  }

  readonly get = async (reference: References): Promise<Uint8Array> => {
    this.read++;
    return this.#nodes.get(Buffer.from(digestOf(reference)).toString('hex'))!;
  };
}

/** Units as numbers; 0 is a unit of zeros. */
function mapOf(nodes: Nodes, units: readonly number[], sizeBytes: number): VolumeMap {
  const builder = new UnitsMapBuilder((node) => nodes.put(node));
  for (let first = 0; first < units.length; first += UNITS_PER_LEAF) {
    const leaf = units.slice(first, first + UNITS_PER_LEAF);
    const references = leaf.flatMap((unit, u) => {
      const length = Math.min(UNIT, sizeBytes - (first + u) * UNIT);
      const digest = new Uint8Array(16).fill(0);
      new DataView(digest.buffer).setUint32(0, unit);
      new DataView(digest.buffer).setUint32(4, length);
      return unit === 0 ? [] : [packReference(new Uint8Array(16), digest, 0, length)];
    });
    builder.add(
      references.length === 0
        ? NO_REFERENCES
        : nodes.put(
            encodeUnitsLeaf(
              Uint8Array.from(leaf, (unit) => (unit === 0 ? 0 : 1)),
              Buffer.concat(references),
              UNIT,
            ),
          ),
    );
  }
  return { root: builder.finish(units.length), sizeBytes };
}

async function rangesOf(nodes: Nodes, a: VolumeMap, b: VolumeMap): Promise<[number, number][]> {
  const ranges: [number, number][] = [];
  for await (const { offset, length } of diffVolumes(a, b, UNIT, nodes.get)) ranges.push([offset, length]);
  return ranges;
}

/** Unit by unit. */
function plainRanges(a: readonly number[], aBytes: number, b: readonly number[], bBytes: number): [number, number][] {
  const end = Math.max(aBytes, bBytes);
  const ranges: [number, number][] = [];
  for (let u = 0; u < Math.max(a.length, b.length); u++) {
    const lengths = [aBytes, bBytes].map((bytes) => Math.max(0, Math.min(UNIT, bytes - u * UNIT)));
    if (a[u] === b[u] && lengths[0] === lengths[1]) continue;
    const last = ranges.at(-1);
    const length = Math.min(UNIT, end - u * UNIT);
    if (last !== undefined && last[0] + last[1] === u * UNIT) last[1] += length;
    else ranges.push([u * UNIT, length]);
  }
  return ranges;
}

it.each([1, 2, 3, 4, 5, 6, 7, 8])('the ranges are those of a comparison unit by unit (seed %i)', async (seed) => {
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  for (let round = 0; round < 30; round++) {
    const nodes = new Nodes();
    // Lengths about the borders of leaves and heights, and others.
    const borders = [1, 255, 256, 257, 65_536, 65_537, 66_000];
    const length = () =>
      Math.max(1, (random() < 0.6 ? borders[below(round < 3 ? borders.length : 4)]! : below(2000)) + below(3) - 1);
    const a = Array.from({ length: length() }, (_, u) => (u % 300 < 100 ? 0 : u + 1));
    const b = random() < 0.5 ? [...a] : Array.from({ length: length() }, (_, u) => a[u] ?? (random() < 0.5 ? 0 : u + 1));
    for (let k = below(20); k > 0; k--) b[below(b.length)] = below(3) === 0 ? 0 : 1_000_000 + below(1000);
    const bytesOf = (units: readonly number[]) => units.length * UNIT - (random() < 0.5 ? 0 : below(UNIT));
    const aBytes = bytesOf(a);
    const bBytes = a.length === b.length && random() < 0.5 ? aBytes : bytesOf(b);
    const ranges = await rangesOf(nodes, mapOf(nodes, a, aBytes), mapOf(nodes, b, bBytes));
    expect(ranges, `seed ${seed} round ${round}`).toEqual(plainRanges(a, aBytes, b, bBytes));
  }
});

it('of equal volumes nothing is read, and of one changed unit only the way to it', async () => {
  const nodes = new Nodes();
  const a = Array.from({ length: 70_000 }, (_, u) => u + 1);
  const b = [...a];
  b[40_000] = 7;
  const [x, y] = [mapOf(nodes, a, a.length * UNIT), mapOf(nodes, b, b.length * UNIT)];
  expect(await rangesOf(nodes, x, x)).toEqual([]);
  expect(nodes.read).toBe(0);
  expect(await rangesOf(nodes, x, y)).toEqual([[40_000 * UNIT, UNIT]]);
  expect(nodes.read).toBe(6);
});

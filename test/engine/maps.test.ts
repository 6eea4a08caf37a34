// Maps as trees of nodes, over nodes in memory: what is built is read back, and what does not fit together is damage.

import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { ChunksMapBuilder, chunksOf, UnitsMapBuilder, unitsLeaves } from '../../src/engine/content-map.ts';
import { entriesLeaves, entriesOf, findEntry } from '../../src/engine/entries-reader.ts';
import { EntriesWriter } from '../../src/engine/entries-writer.ts';
import { piecesOf } from '../../src/engine/restore-content.ts';
import { NODE_BYTES_MAX } from '../../src/format/block-table.ts';
import { encodeChunksBranch, encodeChunksLeaf } from '../../src/format/chunks-node.ts';
import { encodeEntriesBranch, encodeEntriesLeaf } from '../../src/format/entries-node.ts';
import { encodeUnitsBranch } from '../../src/format/units-node.ts';
import { comparePaths } from '../../src/model/entry-path.ts';
import { contentLength, NO_REFERENCES, packReference, type References, referenceCount } from '../../src/model/reference.ts';
import { NO_CONTENT, type StoredEntry } from '../../src/model/stored-entry.ts';
import { Material } from '../format/material.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

class Nodes {
  readonly #nodes = new Map<string, Uint8Array>();
  largest = 0;

  readonly put = (node: Uint8Array): References => {
    const n = this.#nodes.size;
    const digest = new Uint8Array(16);
    new DataView(digest.buffer).setUint32(0, n);
    this.#nodes.set(Buffer.from(digest).toString('hex'), node);
    this.largest = Math.max(this.largest, node.length);
    return packReference(new Uint8Array(16), digest, 0, node.length);
  };

  readonly read = async (reference: References): Promise<Uint8Array> =>
    this.#nodes.get(Buffer.from(reference.subarray(16, 32)).toString('hex'))!;

  get count(): number {
    return this.#nodes.size;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function expectDamaged(work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => 'it was taken',
    (reason: unknown) => reason,
  );
  expect(isFault(error, 'FORMAT_DAMAGED'), String(error)).toBe(true);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('a map of units', () => {
  test.each([1, 2, 255, 256, 257, 300, 65_536, 65_537])('of %i leaves gives back its leaves, from any one on', async (leaves) => {
    const random = seededRandom(leaves);
    const nodes = new Nodes();
    const builder = new UnitsMapBuilder(nodes.put);
    const expected = Array.from({ length: leaves }, (_, i) =>
      random() < 0.5 ? NO_REFERENCES : packReference(new Uint8Array(16), seededBytes(16, i), 0, 1),
    );
    for (const leaf of expected) builder.add(leaf);
    const units = (leaves - 1) * 256 + 1 + Math.floor(random() * 256);
    const root = builder.finish(units);
    for (const from of [0, 1, Math.floor(random() * leaves), leaves - 1]) {
      const found = await collect(unitsLeaves(root, units, nodes.read, from));
      expect(found.length).toBe(Math.max(0, leaves - from));
      expect(found.every((leaf, i) => Buffer.compare(leaf, expected[from + i]!) === 0)).toBe(true);
    }
  });

  test('of zeros has no node, however large', async () => {
    const nodes = new Nodes();
    const builder = new UnitsMapBuilder(nodes.put);
    for (let i = 0; i < 70_000; i++) builder.add(NO_REFERENCES);
    const root = builder.finish(70_000 * 256);
    expect([root.length, nodes.count]).toEqual([0, 0]);
    expect(await collect(unitsLeaves(root, 70_000 * 256, nodes.read))).toHaveLength(70_000);
  });

  test('with a branch of too few or too many children is damage, not a shorter file', async () => {
    const nodes = new Nodes();
    const leaf = nodes.put(new Uint8Array(1));
    for (const children of [1, 2, 4, 256]) {
      const root = nodes.put(encodeUnitsBranch(new Array<References>(children).fill(leaf)));
      await expectDamaged(collect(unitsLeaves(root, 3 * 256, nodes.read)));
    }
  });
});

describe('a map of chunks', () => {
  test.each([0, 1, 1024, 1025, 5000, 1024 * 256 + 1])('of %i chunks gives them back in order', async (n) => {
    const nodes = new Nodes();
    const builder = new ChunksMapBuilder(nodes.put);
    const one = (i: number): References => packReference(seededBytes(16, 1), seededBytes(16, i % 5000), i % 1000, 1 + (i % 7));
    const all = Buffer.concat(Array.from({ length: n }, (_, i) => one(i)));
    for (let at = 0, step = 1; at < n; at += step, step = 1 + ((step * 7) % 3000))
      builder.add(all.subarray(at * 40, Math.min(n, at + step) * 40));
    const root = builder.finish();
    expect(builder.contentBytes).toBe(contentLength(all));
    const back = await collect(chunksOf(root, nodes.read, builder.contentBytes));
    expect(Buffer.compare(Buffer.concat(back), all)).toBe(0);
    expect(referenceCount(root)).toBe(n === 0 ? 0 : 1);
    await expectDamaged(collect(chunksOf(root, nodes.read, builder.contentBytes + 1)));
  });

  test('whose parts do not add up to what is said of them is damage, before they are used', async () => {
    const nodes = new Nodes();
    const leaf = nodes.put(encodeChunksLeaf(packReference(seededBytes(16, 1), seededBytes(16, 2), 0, 50)));
    const liar = nodes.put(
      encodeChunksBranch([
        { reference: leaf, contentBytes: 49 },
        { reference: leaf, contentBytes: 51 },
      ]),
    );
    await expectDamaged(collect(chunksOf(liar, nodes.read, 100)));
    const honest = nodes.put(
      encodeChunksBranch([
        { reference: leaf, contentBytes: 50 },
        { reference: leaf, contentBytes: 50 },
      ]),
    );
    expect(await collect(chunksOf(honest, nodes.read, 100))).toHaveLength(2);
    const content = { kind: 'chunks-map', root: honest } as const;
    await expectDamaged(collect(piecesOf(content, 99, 4096, nodes.read)));
  });
});

describe('a map of entries', () => {
  const entriesOfSize = (n: number): StoredEntry[] => {
    const paths = new Set<string>();
    const random = seededRandom(n);
    while (paths.size < n) paths.add(`${Math.floor(random() * 40)}/${Math.floor(random() * 1000)}.${Math.floor(random() * 1e6)}`);
    return [...paths].sort(comparePaths).map((path) => ({
      path,
      kind: 'file',
      mode: 0o600,
      uid: 0,
      gid: 0,
      sizeBytes: 0,
      mtimeSec: 1_700_000_000,
      mtimeNsec: 0,
      ctimeSec: 1_700_000_000,
      ctimeNsec: 0,
      inode: 1,
      device: 1,
      links: 1,
      rdevMajor: 0,
      rdevMinor: 0,
      linkTarget: '',
      content: NO_CONTENT,
      xattrs: [],
      hardLinkTo: '',
    }));
  };
  const write = (nodes: Nodes, entries: readonly StoredEntry[]): References => {
    const writer = new EntriesWriter(nodes.put);
    for (const entry of entries) writer.add(entry);
    return writer.finish();
  };

  test.each([0, 1, 63, 64, 1025, 30_000])('of %i entries gives them back, all or from a path on, and finds each', async (n) => {
    const nodes = new Nodes();
    const entries = entriesOfSize(n);
    const root = write(nodes, entries);
    expect((await collect(entriesOf(root, nodes.read))).map(({ path }) => path)).toEqual(entries.map(({ path }) => path));
    const below = entries.filter(({ path }) => path.startsWith('7/'));
    expect((await collect(entriesOf(root, nodes.read, '7'))).map(({ path }) => path)).toEqual(below.map(({ path }) => path));
    for (const at of [0, 1, n >> 1, n - 1].filter((i) => i >= 0 && i < n))
      expect((await findEntry(root, nodes.read, entries[at]!.path))?.path).toBe(entries[at]!.path);
    expect(await findEntry(root, nodes.read, 'not there')).toBeUndefined();
  });

  test('of seeded entries of every kind gives them back as they were', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const nodes = new Nodes();
      const entries = new Material(seed).entries(400);
      const root = write(nodes, entries);
      expect(await collect(entriesOf(root, nodes.read))).toEqual(entries);
    }
  });

  test('changes few leaves when one entry comes or goes', async () => {
    const nodes = new Nodes();
    const entries = entriesOfSize(20_000);
    write(nodes, entries);
    const leaves = async (root: References) =>
      (await collect(entriesLeaves(root, nodes.read))).map((leaf) => hex(encodeEntriesLeaf(leaf.entries)));
    const before = new Set(await leaves(write(nodes, entries)));
    const after = await leaves(write(nodes, entries.toSpliced(9_999, 1)));
    expect(after.filter((leaf) => !before.has(leaf)).length).toBeLessThanOrEqual(2);
  });

  test('of entries with very long paths, many chunks or large attributes has no node that does not fit into a block', async () => {
    const m = new Material(9);
    const makers: readonly ((i: number) => Partial<StoredEntry>)[] = [
      (i) => ({ path: `${hex(seededBytes(8000, i))}` }),
      () => {
        const references = m.references(16);
        return { content: { kind: 'chunks', references }, sizeBytes: contentLength(references) };
      },
      () => ({ xattrs: [{ name: 'user.a', value: m.bytes(9000) }] }),
    ];
    for (const make of makers) {
      const nodes = new Nodes();
      const entries = entriesOfSize(700)
        .map((entry, i) => ({ ...entry, ...make(i) }))
        .sort((a, b) => comparePaths(a.path, b.path));
      const root = write(nodes, entries);
      expect(nodes.largest).toBeLessThan(NODE_BYTES_MAX / 2);
      expect((await collect(entriesOf(root, nodes.read))).length).toBe(entries.length);
    }
  });

  test('whose branch says something else of a child than is true is damage, not a shorter tree', async () => {
    const nodes = new Nodes();
    const [a, b, c] = entriesOfSize(3) as [StoredEntry, StoredEntry, StoredEntry];
    const first = { firstPath: a.path, reference: nodes.put(encodeEntriesLeaf([a, b])), entries: 2, contentBytes: 0 };
    const second = { firstPath: c.path, reference: nodes.put(encodeEntriesLeaf([c])), entries: 1, contentBytes: 0 };
    const read = (...children: (typeof first)[]) => collect(entriesOf(nodes.put(encodeEntriesBranch(children)), nodes.read));
    expect(await read(first, second)).toHaveLength(3);
    await expectDamaged(read({ ...first, entries: 3 }, second));
    await expectDamaged(read({ ...first, firstPath: '' }, second));
    await expectDamaged(read(first, { ...second, reference: first.reference }));
    const inner = { firstPath: a.path, reference: nodes.put(encodeEntriesBranch([first, second])), entries: 3, contentBytes: 0 };
    const more = { ...second, firstPath: `${c.path}x`, reference: nodes.put(encodeEntriesLeaf([{ ...c, path: `${c.path}x` }])) };
    expect(await read(inner, more)).toHaveLength(4);
    await expectDamaged(read({ ...inner, entries: 2 }, more));
  });
});

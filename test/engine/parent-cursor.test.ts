// The merge of a backup with its parent, over nodes in memory: what is kept by its place, copied or added makes the very map that the same
// entries make when each of them is new.

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { EntriesWriter } from '../../src/engine/entries-writer.ts';
import { ParentCursor, type ParentLeaf } from '../../src/engine/parent-cursor.ts';
import { encodeEntriesBranch, encodeEntriesLeaf } from '../../src/format/entries-node.ts';
import { comparePaths } from '../../src/model/entry-path.ts';
import { contentLength, NO_REFERENCES, packReference, type References } from '../../src/model/reference.ts';
import { NO_CONTENT, type StoredEntry } from '../../src/model/stored-entry.ts';
import { Material } from '../format/material.ts';

/** Named by their content: equal roots are equal maps. */
class Nodes {
  readonly #nodes = new Map<string, Uint8Array>();
  puts = 0;

  readonly put = (node: Uint8Array): References => {
    this.puts++;
    const digest = createHash('sha256').update(node).digest().subarray(0, 16);
    this.#nodes.set(digest.toString('hex'), node);
    return packReference(new Uint8Array(16), digest, 0, node.length);
  };

  readonly read = async (reference: References): Promise<Uint8Array> =>
    this.#nodes.get(Buffer.from(reference.subarray(16, 32)).toString('hex'))!;
}

type Written = { readonly root: string; readonly entries: number; readonly contentBytes: number };

function resultOf(writer: EntriesWriter): Written & { readonly reference: References } {
  const reference = writer.finish();
  return {
    reference,
    root: Buffer.from(reference).toString('hex'),
    entries: writer.entries,
    contentBytes: writer.contentBytes,
  };
}

function written(nodes: Nodes, entries: readonly StoredEntry[]): ReturnType<typeof resultOf> {
  const writer = new EntriesWriter(nodes.put);
  for (const entry of entries) writer.add(entry);
  return resultOf(writer);
}

/** As a backup does it: entries that are the very objects of the first state are kept. */
async function merged(
  nodes: Nodes,
  root: References | undefined,
  before: ReadonlySet<StoredEntry>,
  after: readonly StoredEntry[],
  look: (known: StoredEntry, entry: StoredEntry) => void,
  m: Material,
): Promise<Written> {
  const writer = new EntriesWriter(nodes.put);
  const cursor = new ParentCursor(root, nodes.read);
  let kept: { readonly leaf: ParentLeaf; readonly from: number; to: number } | undefined;
  const flush = (): void => {
    if (kept !== undefined) writer.keep(kept.leaf, kept.from, kept.to);
    kept = undefined;
  };
  for (const entry of after) {
    let found = cursor.seek(entry.path);
    for (; found === undefined; found = cursor.seek(entry.path)) await cursor.advance();
    if (found === 'met' && m.chance(0.1)) look(cursor.entry(), entry);
    if (found === 'met' && before.has(entry)) {
      expect(cursor.at.mode).toBe(entry.mode);
      const leaf = cursor.leaf!;
      if (kept?.leaf === leaf && kept.to === cursor.index) kept.to++;
      else {
        flush();
        kept = { leaf, from: cursor.index, to: cursor.index + 1 };
      }
    } else {
      flush();
      writer.add(entry);
    }
  }
  flush();
  const { reference: _, ...result } = resultOf(writer);
  return result;
}

function changed(m: Material, entries: readonly StoredEntry[], share: number): StoredEntry[] {
  const after: StoredEntry[] = [];
  for (const entry of entries) {
    if (!m.chance(share)) after.push(entry);
    else if (m.chance(0.3)) {
      const references = m.references(1 + m.below(3));
      after.push({
        ...entry,
        kind: 'file',
        linkTarget: '',
        rdevMajor: 0,
        rdevMinor: 0,
        hardLinkTo: '',
        sizeBytes: contentLength(references),
        content: { kind: 'chunks', references },
      });
    } else if (m.chance(0.5)) after.push({ ...entry, mode: entry.mode ^ 1 });
    if (m.chance(share)) after.push({ ...entry, path: `${entry.path}/${m.name()}`, kind: 'fifo', ...NOTHING });
  }
  const paths = new Map(after.map((entry) => [entry.path, entry]));
  return [...paths.values()].sort((a, b) => comparePaths(a.path, b.path));
}

const NOTHING = { sizeBytes: 0, content: NO_CONTENT, linkTarget: '', rdevMajor: 0, rdevMinor: 0, hardLinkTo: '' } as const;

/** Many entries: those of the material below many directories. */
function manyEntries(seed: number, n: number): StoredEntry[] {
  const entries: StoredEntry[] = [];
  for (let part = 0; entries.length < n; part++) {
    const directory = String(part).padStart(4, '0');
    for (const entry of new Material(seed * 100 + part).entries(Math.min(400, n - entries.length)))
      entries.push({ ...entry, path: entry.path === '' ? directory : `${directory}/${entry.path}` });
  }
  return entries.sort((a, b) => comparePaths(a.path, b.path));
}

describe('a merge with the parent', () => {
  test.each([
    [0, 1, 0.5],
    [1, 2, 0.5],
    [63, 3, 0.1],
    [400, 4, 0.02],
    [3000, 5, 0],
    [3000, 6, 0.002],
    [3000, 7, 0.02],
    [3000, 8, 0.5],
    [3000, 9, 1],
  ])(
    'of %i entries (seed %i), of which a share of %d has changed, makes the map that a backup without a parent makes',
    async (n, seed, share) => {
      const m = new Material(seed);
      const nodes = new Nodes();
      const before = manyEntries(seed, n);
      const { reference } = written(nodes, before);
      const after = changed(m, before, share);
      const root = n === 0 ? NO_REFERENCES : reference;
      const look = (known: StoredEntry, entry: StoredEntry): void => {
        expect(known.path).toBe(entry.path);
        if (before.includes(entry)) expect(known).toEqual(entry);
      };
      const result = await merged(nodes, root, new Set(before), after, look, m);
      const { reference: _, ...expected } = written(new Nodes(), after);
      expect(result).toEqual(expected);
    },
  );

  test('writes no leaf again that is as it was', async () => {
    const nodes = new Nodes();
    const before = manyEntries(1, 3000);
    const { reference, root } = written(nodes, before);
    const puts = nodes.puts;
    const result = await merged(nodes, reference, new Set(before), before, () => {}, new Material(1));
    expect(result.root).toBe(root);
    // The branch, and the last leaf: had more followed, it would have ended elsewhere.
    expect(nodes.puts - puts).toBe(2);
  });

  test('with a map whose branch says something else of a leaf than is true is damage', async () => {
    const nodes = new Nodes();
    const [a, b, c] = manyEntries(2, 3) as [StoredEntry, StoredEntry, StoredEntry];
    const first = { firstPath: a.path, reference: nodes.put(encodeEntriesLeaf([a, b])), entries: 2, contentBytes: 0 };
    const second = { firstPath: c.path, reference: nodes.put(encodeEntriesLeaf([c])), entries: 1, contentBytes: 0 };
    const walk = async (...children: (typeof first)[]): Promise<unknown> => {
      const cursor = new ParentCursor(nodes.put(encodeEntriesBranch(children)), nodes.read);
      try {
        while (cursor.seek('￿') === undefined) await cursor.advance();
        return 'whole';
      } catch (error) {
        return isFault(error, 'FORMAT_DAMAGED') ? 'damaged' : error;
      }
    };
    expect(await walk(first, second)).toBe('whole');
    expect(await walk({ ...first, entries: 1 }, second)).toBe('damaged');
    expect(await walk({ ...first, firstPath: '' }, second)).toBe('damaged');
    const tail = nodes.put(new Uint8Array(Buffer.concat([encodeEntriesLeaf([c]), Buffer.of(0)])));
    expect(await walk(first, { ...second, reference: tail })).toBe('damaged');
  });
});

import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { NODE_BYTES_MAX } from '../../src/format/block-table.ts';
import {
  decodeEntriesBranch,
  decodeEntriesLeaf,
  ENTRIES_WEIGHT_MAX,
  type EntriesBranchChild,
  encodeEntriesBranch,
  encodeEntriesLeaf,
  weightOfEntry,
} from '../../src/format/entries-node.ts';
import {
  decodeUnitsBranch,
  decodeUnitsLeaf,
  encodeUnitsBranch,
  encodeUnitsLeaf,
  unitsMapHeight,
} from '../../src/format/units-node.ts';
import { XATTRS_BYTES_MAX } from '../../src/model/entry.ts';
import { NO_REFERENCES, packReference, REFERENCE_BYTES, referenceCount } from '../../src/model/reference.ts';
import { NO_CONTENT, type StoredEntry } from '../../src/model/stored-entry.ts';
import { Material } from './material.ts';

const FILE: StoredEntry = {
  path: 'file',
  kind: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 1000,
  sizeBytes: 0,
  mtimeSec: 1,
  mtimeNsec: 2,
  ctimeSec: 3,
  ctimeNsec: 4,
  inode: 5,
  device: 6,
  links: 1,
  rdevMajor: 0,
  rdevMinor: 0,
  linkTarget: '',
  content: NO_CONTENT,
  xattrs: [],
  hardLinkTo: '',
};

function expectDamaged(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(isFault(error, 'FORMAT_DAMAGED'), String(error)).toBe(true);
    return;
  }
  expect.unreachable('it was taken');
}

describe('a leaf of entries', () => {
  test('keeps times that no number can hold as the largest that it can: they must not make it unreadable', () => {
    const times = [2 ** 63, -(2 ** 63), 2 ** 53, 2 ** 50 + 1, 0, -1, 2 ** 34];
    const entries = times.flatMap((mtimeSec, n) => times.map((ctimeSec, k) => ({ ...FILE, path: `${n}${k}`, mtimeSec, ctimeSec })));
    const clamp = (seconds: number) => Math.min(2 ** 50, Math.max(-(2 ** 50), seconds));
    const decoded = decodeEntriesLeaf(encodeEntriesLeaf(entries));
    expect(decoded.map(({ mtimeSec, ctimeSec }) => [mtimeSec, ctimeSec])).toEqual(
      entries.map(({ mtimeSec, ctimeSec }) => [clamp(mtimeSec), clamp(ctimeSec)]),
    );
  });

  test('keeps inodes and devices from one end of their range to the other', () => {
    const numbers = [0, 2 ** 52 - 1, 1, 2 ** 52 - 1, 0];
    const entries = numbers.map((n, i) => ({ ...FILE, path: String(i), inode: n, device: numbers[4 - i]! }));
    expect(decodeEntriesLeaf(encodeEntriesLeaf(entries))).toEqual(entries);
  });

  test('is not written when it could not be read: a bug shows when a backup is made, not when it is needed', () => {
    const reference = packReference(new Uint8Array(16), new Uint8Array(16), 0, 10);
    const unreadable: readonly (readonly StoredEntry[])[] = [
      [],
      [FILE, FILE],
      [
        { ...FILE, path: 'b' },
        { ...FILE, path: 'a' },
      ],
      [
        { ...FILE, path: 'a.b' },
        { ...FILE, path: 'a/b' },
      ],
      [{ ...FILE, path: 'a'.repeat(16_385) }],
      [{ ...FILE, path: 'caf\u0119' }],
      [{ ...FILE, sizeBytes: 7 }],
      [{ ...FILE, sizeBytes: 9, content: { kind: 'chunks', references: reference } }],
      [{ ...FILE, sizeBytes: 9, content: { kind: 'chunks-map', root: NO_REFERENCES } }],
      [{ ...FILE, sizeBytes: 2 ** 53 }],
      [{ ...FILE, mtimeNsec: 1e9 }],
      [{ ...FILE, uid: -1 }],
      Array.from({ length: 1025 }, (_, i) => ({ ...FILE, path: String(10_000 + i) })),
    ];
    for (const entries of unreadable) expect(() => encodeEntriesLeaf(entries)).toThrow('Invariant');
  });

  test('whose paths are not in order, or too long, is damage', () => {
    const bytes = encodeEntriesLeaf([
      { ...FILE, path: 'aa' },
      { ...FILE, path: 'ab' },
    ]);
    const at = Buffer.from(bytes).indexOf(Buffer.from([1, 1, 0x62]));
    expect(at).toBeGreaterThan(0);
    for (const char of [0x61, 0x2f]) {
      const changed = Uint8Array.from(bytes);
      changed[at + 2] = char;
      expectDamaged(() => decodeEntriesLeaf(changed));
    }
    expect(decodeEntriesLeaf(bytes)).toHaveLength(2);
  });

  test('whose differences add up to an inode that no file can have is damage', () => {
    const [a, b] = ['a', 'b'].map((path) => ({ ...FILE, path, inode: 2 ** 52 - 1 })) as [StoredEntry, StoredEntry];
    const bytes = encodeEntriesLeaf([a, b]);
    const inode = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    const at = Buffer.from(bytes).indexOf(Buffer.from([...inode, 12, 1, 0, 0, 1])) + 10;
    expect(at).toBeGreaterThan(10);
    expect(decodeEntriesLeaf(bytes)).toEqual([a, b]);
    const changed = Uint8Array.from(bytes);
    changed[at] = 2;
    expectDamaged(() => decodeEntriesLeaf(changed));
  });

  test('with a flag that is not known is damage', () => {
    const bytes = encodeEntriesLeaf([FILE]);
    const at = Buffer.from(bytes).indexOf(Buffer.from([1, 1, 3])) + 1;
    for (const flag of [0x40, 0x80, 0x0f, 7]) {
      const changed = Uint8Array.from(bytes);
      changed[at] = flag;
      expectDamaged(() => decodeEntriesLeaf(changed));
    }
  });

  test('of the greatest weight fits into a node, whatever makes it heavy', () => {
    const references = (n: number) => new Material(n).references(16);
    const sum = (bytes: Uint8Array) =>
      Array.from({ length: 16 }, (_, i) => new DataView(bytes.buffer).getUint32(i * REFERENCE_BYTES + 36, true)).reduce(
        (a, b) => a + b,
      );
    const heavy: readonly ((n: number) => StoredEntry)[] = [
      (n) => ({ ...FILE, path: `${n}`.padStart(5, '0') }),
      (n) => ({ ...FILE, path: String.fromCharCode(...Array.from({ length: 900 }, (_, i) => 65 + ((n * 7 + i * n) % 26))) + n }),
      (n) => {
        const all = references(n);
        return { ...FILE, path: `${n}`, content: { kind: 'chunks', references: all }, sizeBytes: sum(all) };
      },
      (n) => ({ ...FILE, path: `${n}`, xattrs: [{ name: 'user.x', value: new Material(n).bytes(4000) }] }),
    ];
    for (const make of heavy) {
      let weight = 0;
      const entries: StoredEntry[] = [];
      for (let n = 1; weight < ENTRIES_WEIGHT_MAX && entries.length < 1023; n++) {
        const entry = make(n);
        entries.push(entry);
        const references = entry.content.kind === 'chunks' ? referenceCount(entry.content.references) : 1;
        weight += weightOfEntry(entry, entry.path.length, references);
      }
      entries.push({ ...FILE, path: 'last', xattrs: [{ name: 'user.x', value: new Uint8Array(XATTRS_BYTES_MAX - 6) }] });
      entries.sort((a, b) => (a.path < b.path ? -1 : 1));
      const node = encodeEntriesLeaf(entries);
      expect(node.length).toBeLessThan(NODE_BYTES_MAX);
      expect(decodeEntriesLeaf(node)).toHaveLength(entries.length);
    }
  });
});

describe('a branch of entries', () => {
  const child = (firstPath: string, entries = 1): EntriesBranchChild => ({
    firstPath,
    reference: packReference(new Uint8Array(16), new Uint8Array(16), 0, 10),
    entries,
    contentBytes: 0,
  });

  test('has children in order, each with entries', () => {
    expect(decodeEntriesBranch(encodeEntriesBranch([child('a'), child('a/b'), child('a.b')]))).toHaveLength(3);
    expect(() => encodeEntriesBranch([child('a'), child('a')])).toThrow('Invariant');
    expect(() => encodeEntriesBranch([])).toThrow('Invariant');
    expectDamaged(() => decodeEntriesBranch(encodeEntriesBranch([child('a', 0)])));
  });
});

describe('a map of units', () => {
  test('is as high as its units need', () => {
    expect([0, 1, 256, 257, 65_536, 65_537, 2 ** 24, 2 ** 24 + 1].map(unitsMapHeight)).toEqual([0, 0, 0, 1, 1, 2, 2, 3]);
  });

  test('has leaves for the number of units that it is asked for, and branches for the number of children', () => {
    const leaf = new Material(1).units(10, 4096, 100);
    const bytes = encodeUnitsLeaf(leaf.set, leaf.references, 4096);
    expect(decodeUnitsLeaf(bytes, 10, 4096, 100).set).toEqual(leaf.set);
    expectDamaged(() => decodeUnitsLeaf(bytes, 9, 4096, 100));
    expectDamaged(() => decodeUnitsLeaf(bytes, 11, 4096, 100));
    const branch = encodeUnitsBranch([NO_REFERENCES, packReference(new Uint8Array(16), new Uint8Array(16), 0, 10)]);
    expect(decodeUnitsBranch(branch, 2)).toHaveLength(2);
    expectDamaged(() => decodeUnitsBranch(branch, 1));
    expectDamaged(() => decodeUnitsBranch(branch, 3));
  });

  test('sets no bit behind its last unit', () => {
    const bytes = encodeUnitsLeaf(Uint8Array.of(0, 0, 0), NO_REFERENCES, 4096);
    const changed = Uint8Array.from(bytes);
    changed[3] = 0b1000;
    expectDamaged(() => decodeUnitsLeaf(changed, 3, 4096, 4096));
  });
});

import { describe, expect, test } from 'vitest';
import { decodeChunksNode, encodeChunksBranch, encodeChunksLeaf } from '../../src/format/chunks-node.ts';
import { decodeCondemnedList, encodeCondemnedList } from '../../src/format/condemned-list.ts';
import {
  decodeEntriesBranch,
  decodeEntriesLeaf,
  encodeEntriesBranch,
  encodeEntriesLeaf,
  isEntriesLeaf,
} from '../../src/format/entries-node.ts';
import { decodeHead, encodeHead } from '../../src/format/head.ts';
import { decodeIndexPlain, directoryOf, encodeIndexPlain } from '../../src/format/index-object.ts';
import { decodeKeyObject, decodeKeyPayload, encodeKeyObject, encodeKeyPayload } from '../../src/format/key-object.ts';
import { decodeKeyText, encodeKeyText } from '../../src/format/key-text.ts';
import { decodeDirectory, decodeTrailer, encodeDirectory, encodeTrailer } from '../../src/format/pack.ts';
import { decodeRepositoryObject, encodeRepositoryObject } from '../../src/format/repository-object.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/format/snapshot.ts';
import { decodeSnapshotRegister, encodeSnapshotRegister } from '../../src/format/snapshot-register.ts';
import { decodeUnitsBranch, decodeUnitsLeaf, encodeUnitsBranch, encodeUnitsLeaf } from '../../src/format/units-node.ts';
import { Material } from './material.ts';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
/** Buffers and other views as plain bytes, so that toEqual compares what they hold. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

type Trip = { readonly name: string; readonly seeds: number; readonly check: (m: Material) => void };
const back = (decoded: unknown, original: unknown): void => expect(plain(decoded)).toEqual(plain(original));

const TRIPS: readonly Trip[] = [
  {
    name: 'a leaf of entries of every kind',
    seeds: 60,
    check: (m) => {
      const entries = m.entries(1 + m.below(120));
      const bytes = encodeEntriesLeaf(entries);
      expect(isEntriesLeaf(bytes)).toBe(true);
      back(decodeEntriesLeaf(bytes), entries);
    },
  },
  {
    name: 'a branch of entries',
    seeds: 30,
    check: (m) => {
      const children = m.entriesChildren(1 + m.below(256));
      const bytes = encodeEntriesBranch(children);
      expect(isEntriesLeaf(bytes)).toBe(false);
      back(decodeEntriesBranch(bytes), children);
    },
  },
  {
    name: 'a leaf of units',
    seeds: 100,
    check: (m) => {
      const [n, unitBytes] = [1 + m.below(256), m.pick([4096, 16_384])];
      const lastUnitBytes = 1 + m.below(unitBytes);
      const leaf = m.units(n, unitBytes, lastUnitBytes);
      back(decodeUnitsLeaf(encodeUnitsLeaf(leaf.set, leaf.references, unitBytes), n, unitBytes, lastUnitBytes), leaf);
    },
  },
  {
    name: 'a branch of units',
    seeds: 60,
    check: (m) => {
      const children = m.unitsChildren(1 + m.below(256));
      back(decodeUnitsBranch(encodeUnitsBranch(children), children.length), children);
    },
  },
  {
    name: 'a leaf of chunks',
    seeds: 40,
    check: (m) => {
      const references = m.references(1 + m.below(1024));
      back(decodeChunksNode(encodeChunksLeaf(references)), { kind: 'leaf', references });
    },
  },
  {
    name: 'a branch of chunks',
    seeds: 40,
    check: (m) => {
      const children = m.chunksChildren(1 + m.below(256));
      back(decodeChunksNode(encodeChunksBranch(children)), { kind: 'branch', children });
    },
  },
  {
    name: 'a pack directory',
    seeds: 80,
    check: (m) => {
      const directory = m.directory(30);
      back(decodeDirectory(encodeDirectory(directory)), directory);
    },
  },
  {
    name: 'a trailer',
    seeds: 40,
    check: (m) => {
      const trailer = m.trailer();
      back(decodeTrailer(encodeTrailer(trailer)), trailer);
    },
  },
  {
    name: 'the plain of an index object',
    seeds: 40,
    check: (m) => {
      const packs = m.indexedPacks(m.below(10));
      const decoded = decodeIndexPlain(encodeIndexPlain(packs));
      back(decoded, packs);
      for (const [n, pack] of decoded.entries()) back(directoryOf(pack), decodeDirectory(packs[n]!.directory));
    },
  },
  {
    name: 'a condemned list',
    seeds: 40,
    check: (m) => {
      const list = m.condemned();
      back(decodeCondemnedList(encodeCondemnedList(list)), list);
    },
  },
  {
    name: 'the object "repository"',
    seeds: 40,
    check: (m) => {
      const parameters = m.parameters();
      back(decodeRepositoryObject(encodeRepositoryObject(parameters), 'here'), parameters);
    },
  },
  {
    name: 'a key object',
    seeds: 40,
    check: (m) => {
      const key = m.keyObject();
      back(decodeKeyObject(encodeKeyObject(key), 'A key'), key);
    },
  },
  {
    name: 'a key payload, of Buffers as well as of other bytes',
    seeds: 40,
    check: (m) => {
      const payload = m.keyPayload();
      back(decodeKeyPayload(encodeKeyPayload(payload), 'A key'), payload);
      const asBuffers = { ...payload, idKey: Buffer.from(payload.idKey), signingKey: Buffer.from(payload.signingKey) };
      back(decodeKeyPayload(encodeKeyPayload(asBuffers), 'A key'), payload);
    },
  },
  {
    name: 'a key as text',
    seeds: 40,
    check: (m) => {
      const text = { kind: m.pick(['KEY', 'SEALED KEY'] as const), bytes: m.bytes(1 + m.below(2000)) };
      back(decodeKeyText(encodeKeyText(text)), text);
    },
  },
  {
    name: 'a head',
    seeds: 40,
    check: (m) => {
      const head = m.head();
      back(decodeHead(throughJson(encodeHead(head, m.hex(32)))), head);
    },
  },
  {
    name: "a snapshot's register",
    seeds: 40,
    check: (m) => {
      const register = m.snapshotRegister();
      back(decodeSnapshotRegister(throughJson(encodeSnapshotRegister(register, m.hex(32))), register.session), register);
    },
  },
  {
    name: 'a snapshot',
    seeds: 60,
    check: (m) => {
      const snapshot = m.snapshot();
      back(decodeSnapshot(throughJson(encodeSnapshot(snapshot)), 'A snapshot'), snapshot);
    },
  },
];

describe('comes back as it was:', () => {
  test.each(TRIPS)('$name', ({ seeds, check }) => {
    for (let seed = 1; seed <= seeds; seed++) check(new Material(seed));
  });
});

test('a snapshot of more bytes, or of a volume of another age, than a number can say is still one that can be read', () => {
  const snapshot = { ...new Material(1).snapshot(), type: 'volume' as const };
  const root = { ...snapshot.root, kind: 'units' as const, contentBytes: 2 ** 60 };
  const volume = { mtimeSec: 2 ** 63, mtimeNsec: 0, ctimeSec: -(2 ** 63), ctimeNsec: 0, inode: '1:2' };
  const value = encodeSnapshot({ ...snapshot, root, volume, statistics: { ...snapshot.statistics, bytesScanned: 2 ** 60 } });
  const decoded = decodeSnapshot(throughJson(value), 'A snapshot');
  const max = Number.MAX_SAFE_INTEGER;
  expect([decoded.root.contentBytes, decoded.statistics.bytesScanned, decoded.volume?.mtimeSec, decoded.volume?.ctimeSec]).toEqual([
    max,
    max,
    max,
    -max,
  ]);
  expect(() => encodeSnapshot({ ...snapshot, root, id: 'not a session' })).toThrow('Invariant');
});

describe('is encoded to the same bytes again:', () => {
  test('a node, so that an unchanged one is found by its name', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const m = new Material(seed);
      const leaf = encodeEntriesLeaf(m.entries(1 + m.below(100)));
      expect(Buffer.compare(encodeEntriesLeaf(decodeEntriesLeaf(leaf)), leaf)).toBe(0);
      const branch = encodeEntriesBranch(m.entriesChildren(1 + m.below(100)));
      expect(Buffer.compare(encodeEntriesBranch(decodeEntriesBranch(branch)), branch)).toBe(0);
      const units = m.units(256, 16_384, 5000);
      const node = encodeUnitsLeaf(units.set, units.references, 16_384);
      const decoded = decodeUnitsLeaf(node, 256, 16_384, 5000);
      expect(Buffer.compare(encodeUnitsLeaf(decoded.set, decoded.references, 16_384), node)).toBe(0);
    }
  });
});

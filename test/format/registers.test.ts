import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { decodeCondemnedList, encodeCondemnedList } from '../../src/format/condemned-list.ts';
import {
  CONDEMNED_MAX,
  decodeHead,
  EMPTY_HEAD,
  encodeHead,
  type Head,
  INDEXES_MAX,
  SNAPSHOTS_MAX,
  WRITERS_MAX,
} from '../../src/format/head.ts';
import { decodeSnapshotRegister, encodeSnapshotRegister, type SnapshotRegister } from '../../src/format/snapshot-register.ts';
import { REGISTER_BYTES_MAX } from '../../src/store/object-store.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const NONCE = 'ab'.repeat(16);
const session = (n: number): string => n.toString(16).padStart(20, '0');
const object = (n: number): string => n.toString(16).padStart(64, '0');
const asset = (n: number): string => n.toString(16).padStart(32, '0');
const PROCESS = { host: 'machine', processId: 12, bootId: 'f00' };
const AT = '2030-01-02T03:04:05.678Z';

const HEAD: Head = {
  sequence: 9,
  generation: 4,
  writers: [
    { session: session(1), kind: 'backup', generation: 3, step: 2, assetId: asset(1), startedAt: AT, seenAt: AT, ...PROCESS },
    { session: session(2), kind: 'maintenance', generation: 4, step: 0, assetId: null, startedAt: AT, seenAt: AT, ...PROCESS },
  ],
  snapshots: [{ session: session(3), assetId: asset(1) }],
  indexes: [{ id: object(1), bytes: 100, packs: 2 }],
  condemned: [{ generation: 4, id: object(2), packs: 7, indexes: [{ id: object(3), bytes: 5, packs: 1 }], awaits: [session(1)] }],
  pins: [{ holder: session(9), session: session(3), at: AT, ...PROCESS }],
  retired: [session(4)],
};

const REGISTERS: readonly SnapshotRegister[] = [
  { state: 'open', session: session(1), assetId: asset(1) },
  { state: 'revoked', session: session(1), by: 'a prune on machine', at: AT },
  {
    state: 'committed',
    session: session(1),
    assetId: asset(1),
    indexes: [{ id: object(1), bytes: 1, packs: 1 }],
    sealed: 'AAAA',
    signature: 'AAAA',
    keyId: '0011223344556677',
  },
];

type Json = Record<string, unknown>;
const throughJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

/** Every record inside a value, the value itself first. */
function records(value: unknown): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.values(value).flatMap(records);
  return Array.isArray(value) ? inner : [value as Json, ...inner];
}

function expectDamaged(decode: () => unknown): void {
  let fault: unknown;
  try {
    decode();
  } catch (error) {
    fault = error;
  }
  expect(isFault(fault, 'FORMAT_DAMAGED'), String(fault)).toBe(true);
}

describe('The head', () => {
  it('comes back as it was', () => {
    expect(decodeHead(throughJson(encodeHead(HEAD, NONCE)))).toEqual(HEAD);
    expect(decodeHead(throughJson(encodeHead(EMPTY_HEAD, NONCE)))).toEqual(EMPTY_HEAD);
  });

  it('takes no field that does not belong there, and misses none, at any depth', () => {
    const count = records(throughJson(encodeHead(HEAD, NONCE))).length;
    expect(count).toBe(8);
    for (let n = 0; n < count; n++) {
      const names = Object.keys(records(throughJson(encodeHead(HEAD, NONCE)))[n]!);
      for (const name of [...names, 'surplus', '__proto__']) {
        const value = throughJson(encodeHead(HEAD, NONCE));
        const record = records(value)[n]!;
        if (names.includes(name)) delete record[name];
        else Object.defineProperty(record, name, { value: 1, enumerable: true });
        expectDamaged(() => decodeHead(value));
      }
    }
  });

  it('has a session, an index object and a condemnation in one place only', () => {
    const condemned = HEAD.condemned[0]!;
    for (const wrong of [
      { ...HEAD, retired: [session(3)] },
      { ...HEAD, retired: [session(4), session(4)] },
      { ...HEAD, snapshots: [{ session: session(1), assetId: asset(1) }] },
      { ...HEAD, indexes: [{ id: object(3), bytes: 5, packs: 1 }] },
      { ...HEAD, condemned: [condemned, { ...condemned, indexes: [] }] },
      { ...HEAD, generation: 3 },
      { ...HEAD, condemned: [{ ...condemned, id: null }] },
      { ...HEAD, condemned: [{ ...condemned, packs: 0 }] },
      { ...HEAD, writers: [{ ...HEAD.writers[0]!, assetId: null }] },
    ] satisfies Head[]) {
      expectDamaged(() => decodeHead({ ...throughJson(wrong), nonce: NONCE }));
    }
  });

  it('is a named fault whatever else is in its place', () => {
    const values = [
      null,
      1,
      'x',
      [],
      {},
      -1,
      1.5,
      2 ** 60,
      'AB'.repeat(10),
      session(1).toUpperCase(),
      [1],
      [null],
      [[]],
      { length: 1 },
    ];
    for (const record of records(throughJson(encodeHead(HEAD, NONCE))).map((_, n) => n)) {
      const names = Object.keys(records(throughJson(encodeHead(HEAD, NONCE)))[record]!);
      for (const name of names) {
        for (const value of values) {
          const tampered = throughJson(encodeHead(HEAD, NONCE));
          records(tampered)[record]![name] = value;
          try {
            decodeHead(tampered);
          } catch (error) {
            expect(isFault(error, 'FORMAT_DAMAGED'), `${name} = ${JSON.stringify(value)}: ${error}`).toBe(true);
          }
        }
      }
    }
  });

  it('of the largest repository fits into a register', () => {
    const bytes = seededBytes(10 * (SNAPSHOTS_MAX + WRITERS_MAX), 1);
    const names = Array.from({ length: SNAPSHOTS_MAX }, (_, n) => Buffer.from(bytes.subarray(10 * n, 10 * n + 10)).toString('hex'));
    const writers = Array.from({ length: WRITERS_MAX }, (_, n) => ({
      ...HEAD.writers[0]!,
      session: Buffer.from(bytes.subarray(10 * (SNAPSHOTS_MAX + n), 10 * (SNAPSHOTS_MAX + n) + 10)).toString('hex'),
    }));
    const snapshots = names.map((name, n) => ({ session: name, assetId: asset(n % 1000) }));
    const head = { ...HEAD, condemned: [], pins: [], retired: [], writers, snapshots };
    const value = encodeHead(head, NONCE);
    const sealed = zlib.zstdCompressSync(JSON.stringify(value));
    expect(sealed.length).toBeLessThan(REGISTER_BYTES_MAX);
    expect(decodeHead(JSON.parse(zlib.zstdDecompressSync(sealed).toString()))).toEqual(head);
    expectDamaged(() =>
      decodeHead({ ...head, snapshots: [...snapshots, { session: session(77), assetId: asset(1) }], nonce: NONCE }),
    );
  });

  it('has a limit for every list', () => {
    const entry = { ...HEAD.condemned[0]!, indexes: [], awaits: [] };
    const condemned = Array.from({ length: CONDEMNED_MAX + 1 }, (_, n) => ({ ...entry, generation: n }));
    expectDamaged(() => decodeHead({ ...HEAD, generation: CONDEMNED_MAX, condemned, nonce: NONCE }));
    const indexes = Array.from({ length: INDEXES_MAX + 1 }, (_, n) => ({ id: object(1000 + n), bytes: 1, packs: 1 }));
    expectDamaged(() => decodeHead({ ...HEAD, indexes, nonce: NONCE }));
  });
});

describe("A snapshot's register", () => {
  it.each(REGISTERS)('comes back as it was when $state', (register) => {
    expect(decodeSnapshotRegister(throughJson(encodeSnapshotRegister(register, NONCE)), session(1))).toEqual(register);
  });

  it.each(REGISTERS)('is of one session, has every field and no other, when $state', (register) => {
    const value = throughJson(encodeSnapshotRegister(register, NONCE));
    expectDamaged(() => decodeSnapshotRegister(value, session(2)));
    for (const name of Object.keys(value)) {
      const { [name]: _, ...rest } = value;
      expectDamaged(() => decodeSnapshotRegister(rest, session(1)));
      expectDamaged(() => decodeSnapshotRegister({ ...value, [name]: {} }, session(1)));
    }
    expectDamaged(() => decodeSnapshotRegister({ ...value, surplus: 1 }, session(1)));
  });
});

describe('A condemned list', () => {
  const packs = Array.from({ length: 100 }, (_, n) => Buffer.from(seededBytes(32, n)).toString('hex'));
  const list = { session: session(5), salt: new Uint8Array([1, 2, 3, 4, 5, 6]), packs };

  it('comes back in order, with the session that wrote it', () => {
    const decoded = decodeCondemnedList(encodeCondemnedList(list));
    expect({ ...decoded, salt: [...decoded.salt] }).toEqual({
      session: session(5),
      salt: [1, 2, 3, 4, 5, 6],
      packs: [...packs].sort(),
    });
  });

  it('is a named fault when it is cut, out of order, or has a pack twice', () => {
    const bytes = encodeCondemnedList(list);
    for (let length = 0; length < bytes.length; length++) {
      // Cut between two packs it is a list again: its name, the hash of its bytes, tells.
      if (length >= 24 && (length - 24) % 32 === 0) continue;
      expectDamaged(() => decodeCondemnedList(bytes.subarray(0, length)));
    }
    expectDamaged(() => decodeCondemnedList(encodeCondemnedList({ ...list, packs: [packs[0]!, packs[0]!] })));
  });

  it('is a list or a named fault whatever its bytes are', () => {
    const random = seededRandom(3);
    for (let n = 0; n < 2000; n++) {
      const bytes = encodeCondemnedList(list).slice(0, 24 + 32 * Math.floor(random() * 4));
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      try {
        expect(decodeCondemnedList(bytes).packs.length).toBe((bytes.length - 24) / 32);
      } catch (error) {
        expect(isFault(error, 'FORMAT_DAMAGED')).toBe(true);
      }
    }
  });
});

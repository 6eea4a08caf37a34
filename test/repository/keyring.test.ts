// What a key opens and what it does not. Chunks, nodes and sessions as they are in a repository, without one.

import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { DEFAULT_PARAMETERS, encodeRepositoryObject } from '../../src/format/repository-object.ts';
import { Keyring, newOwnerPayload, newPair, SESSION_KEY_BYTES } from '../../src/repository/keyring.ts';
import { hex, keyObjectKey, sessionKeyKey, unhex } from '../../src/repository/layout.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { SessionKeyCache } from '../../src/repository/session-keys.ts';
import { openSnapshot, sealSnapshot } from '../../src/repository/snapshots.ts';
import { Material } from '../format/material.ts';
import { MemoryStore } from '../support/memory-store.ts';

const PARAMETERS = { id: randomBytes(16), createdAt: '2030-01-02T03:04:05.678Z', ...DEFAULT_PARAMETERS };
const OWNER_PAYLOAD = newOwnerPayload(encodeRepositoryObject(PARAMETERS), randomBytes);
const OWNER = new Keyring('00', OWNER_PAYLOAD, PARAMETERS);
const WRITER = new Keyring('01', OWNER.writerPayload('mine'), PARAMETERS);
const SESSION = randomBytes(10);
const MINE = OWNER.assetId('mine');
const OTHERS = OWNER.assetId("others'");

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isFault(error)) return error.code;
    throw error;
  }
  return 'none';
}

async function laterCodeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isFault(error)) return error.code;
    throw error;
  }
  return 'none';
}

describe("a writer's key", () => {
  test('holds no secret but the id key, its own signing key and the key of its asset', () => {
    const payload = WRITER.payload;
    expect(Object.keys(payload).sort()).toEqual([
      'asset',
      'assetKey',
      'idKey',
      'repositoryDigest',
      'role',
      'sealTo',
      'signingKey',
      'verifyKey',
    ]);
    const text = JSON.stringify(payload, (_, value) =>
      value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value,
    );
    const bytes = Object.values(payload).flatMap((value) => (value instanceof Uint8Array ? [hex(value)] : []));
    const secrets = [
      OWNER_PAYLOAD.metadataKey,
      OWNER_PAYLOAD.signingKey,
      ...OWNER_PAYLOAD.pairs.map(({ privateKey }) => privateKey),
    ];
    for (const secret of secrets) {
      expect(text).not.toContain(hex(secret));
      expect(bytes).not.toContain(hex(secret));
    }
  });

  test('names chunks and assets as the owner does, and opens the same directories', () => {
    const chunk = randomBytes(1000);
    expect(hex(WRITER.ids.id(chunk))).toBe(hex(OWNER.ids.id(chunk)));
    expect(hex(WRITER.assetId('mine'))).toBe(hex(MINE));
    expect(hex(WRITER.subkey('pack', SESSION))).toBe(hex(OWNER.subkey('pack', SESSION)));
    expect(WRITER.multiplier).toBe(OWNER.multiplier);
  });

  test('makes a session whose data only the owner can open, and it itself cannot', () => {
    const { keys, pairId, sealed } = WRITER.newSession(SESSION, MINE, randomBytes);
    expect(sealed.length).toBe(SESSION_KEY_BYTES);
    expect(hex(OWNER.openSessionKey(pairId, SESSION, sealed))).toBe(hex(keys.dataKey));
    expect(codeOf(() => WRITER.openSessionKey(pairId, SESSION, sealed))).toBe('KEY_CANNOT_READ');
    expect(hex(OWNER.metadataKeyOf(SESSION, MINE))).toBe(hex(keys.metadataKey));
  });

  test('opens the maps of its own asset, whoever made them, and of no other', () => {
    expect(hex(WRITER.metadataKeyOf(SESSION, MINE))).toBe(hex(OWNER.metadataKeyOf(SESSION, MINE)));
    expect(codeOf(() => WRITER.metadataKeyOf(SESSION, OTHERS))).toBe('KEY_CANNOT_READ');
    expect(codeOf(() => WRITER.newSession(SESSION, OTHERS, randomBytes))).toBe('KEY_CANNOT_READ');
  });

  test('says that it cannot read, also when it does not know the pair that the session is sealed to by now', async () => {
    const keys = new SessionKeyCache(new MemoryStore(), WRITER);
    expect(await laterCodeOf(keys.dataKey(SESSION))).toBe('KEY_CANNOT_READ');
  });

  test('makes no keys for others', () => {
    expect(() => WRITER.writerPayload('another')).toThrow('only an owner');
  });
});

describe('the key of a session', () => {
  const { keys, pairId, sealed } = OWNER.newSession(SESSION, MINE, randomBytes);

  test('is not that of another session, of another asset, or of another repository', () => {
    const other = randomBytes(10);
    expect(codeOf(() => OWNER.openSessionKey(pairId, other, sealed))).toBe('FORMAT_DAMAGED');
    expect(hex(OWNER.metadataKeyOf(other, MINE))).not.toBe(hex(keys.metadataKey));
    expect(hex(OWNER.metadataKeyOf(SESSION, OTHERS))).not.toBe(hex(keys.metadataKey));
    const elsewhere = new Keyring('00', OWNER_PAYLOAD, { ...PARAMETERS, id: randomBytes(16) });
    expect(codeOf(() => elsewhere.openSessionKey(pairId, SESSION, sealed))).toBe('FORMAT_DAMAGED');
    expect(hex(elsewhere.directoryKey)).not.toBe(hex(OWNER.directoryKey));
  });

  test('does not open with any bit flipped, cut off, or with more behind it; and says what it is of', () => {
    for (let bit = 0; bit < sealed.length * 8; bit += 3) {
      const changed = Uint8Array.from(sealed);
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      expect(codeOf(() => OWNER.openSessionKey(pairId, SESSION, changed))).toBe('FORMAT_DAMAGED');
    }
    for (const length of [0, 5, sealed.length - 1])
      expect(codeOf(() => OWNER.openSessionKey(pairId, SESSION, sealed.subarray(0, length)))).toBe('FORMAT_DAMAGED');
    expect(() => OWNER.openSessionKey(pairId, SESSION, Buffer.concat([sealed, sealed]))).toThrow(hex(SESSION));
  });

  test('is not called lost when it lies under a pair that this key does not have, or when this key was replaced', async () => {
    const store = new MemoryStore();
    expect(await laterCodeOf(new SessionKeyCache(store, OWNER).dataKey(SESSION))).toBe('KEY_SUPERSEDED');
    await store.put(keyObjectKey(OWNER.keyId), new Uint8Array(1));
    await store.put(sessionKeyKey('0123456789abcdef', SESSION), sealed);
    expect(await laterCodeOf(new SessionKeyCache(store, OWNER).dataKey(SESSION))).toBe('KEY_SUPERSEDED');
  });

  test('is found under whichever pair of the key it lies, and named when it lies under none', async () => {
    const pair = newPair(randomBytes);
    const rotated = new Keyring('02', { ...OWNER_PAYLOAD, pairs: [...OWNER_PAYLOAD.pairs, pair] }, PARAMETERS);
    expect(rotated.newSession(SESSION, MINE, randomBytes).pairId).toBe(pair.id);
    for (const [id, publicKey] of [
      [pair.id, pair.publicKey],
      [pairId, OWNER_PAYLOAD.pairs[0]!.publicKey],
    ] as const) {
      const store = new MemoryStore();
      await store.put(sessionKeyKey(id, SESSION), rotated.sealSessionKey(publicKey, SESSION, keys.dataKey));
      expect(hex(await new SessionKeyCache(store, rotated).dataKey(SESSION))).toBe(hex(keys.dataKey));
    }
    const store = new MemoryStore();
    await store.put(keyObjectKey('02'), new Uint8Array(1));
    expect(await laterCodeOf(new SessionKeyCache(store, rotated).dataKey(SESSION))).toBe('STORE_NOT_FOUND');
    expect(codeOf(() => OWNER.openSessionKey(pair.id, SESSION, sealed))).toBe('KEY_NOT_FOUND');
  });
});

describe('a snapshot', () => {
  const placeOf = (keyring: Keyring): Repository => ({ keyring, parameters: PARAMETERS }) as unknown as Repository;
  const snapshotOf = (id: string, asset: string) => ({ ...new Material(1).snapshot(), id, asset });
  const committed = (session: Uint8Array, assetId: Uint8Array, sealed: ReturnType<typeof sealSnapshot>) =>
    ({ state: 'committed', session: hex(session), assetId: hex(assetId), indexes: [], ...sealed }) as const;

  test('made by a writer is read by the owner and by the writer, and by nobody else', () => {
    const snapshot = snapshotOf(hex(SESSION), 'mine');
    const register = committed(SESSION, MINE, sealSnapshot(placeOf(WRITER), snapshot, MINE, randomBytes(12)));
    expect(openSnapshot(placeOf(OWNER), register)).toEqual(snapshot);
    expect(openSnapshot(placeOf(WRITER), register)).toEqual(snapshot);
    const stranger = new Keyring('03', OWNER.writerPayload('another'), PARAMETERS);
    expect(codeOf(() => openSnapshot(placeOf(stranger), register))).toBe('KEY_CANNOT_READ');
  });

  test('does not open when it was changed, or stands in the register of another session or asset', () => {
    const sealed = sealSnapshot(placeOf(OWNER), snapshotOf(hex(SESSION), 'mine'), MINE, randomBytes(12));
    const open = (register: Parameters<typeof openSnapshot>[1]) => codeOf(() => openSnapshot(placeOf(OWNER), register));
    expect(open(committed(SESSION, MINE, sealed))).toBe('none');
    expect(open(committed(randomBytes(10), MINE, sealed))).toBe('FORMAT_DAMAGED');
    expect(open(committed(SESSION, OTHERS, sealed))).toBe('FORMAT_DAMAGED');
    for (const length of [0, 4, 20])
      expect(open(committed(SESSION, MINE, { ...sealed, sealed: sealed.sealed.slice(0, length) }))).toBe('FORMAT_DAMAGED');
    const bytes = Buffer.from(sealed.sealed, 'base64');
    for (let at = 0; at < bytes.length; at++) {
      bytes[at]! ^= 1;
      expect(open(committed(SESSION, MINE, { ...sealed, sealed: bytes.toString('base64') }))).toBe('FORMAT_DAMAGED');
      bytes[at]! ^= 1;
    }
    const signature = Buffer.from(sealed.signature, 'base64');
    signature[7]! ^= 1;
    expect(open(committed(SESSION, MINE, { ...sealed, signature: signature.toString('base64') }))).toBe('FORMAT_DAMAGED');
  });

  test('of a writer that speaks for another asset, or in the name of another session, is refused: a policy would forget the wrong one', () => {
    const other = randomBytes(10);
    for (const lie of [snapshotOf(hex(SESSION), "others'"), snapshotOf(hex(other), 'mine')]) {
      const honest = sealSnapshot(placeOf(WRITER), lie, MINE, randomBytes(12));
      const register = committed(unhex(lie.id), MINE, honest);
      // Sealed for the session that it names; to lie it must lie in the register of its own.
      if (lie.asset === 'mine')
        expect(codeOf(() => openSnapshot(placeOf(OWNER), committed(SESSION, MINE, honest)))).toBe('FORMAT_DAMAGED');
      else expect(codeOf(() => openSnapshot(placeOf(OWNER), register))).toBe('FORMAT_DAMAGED');
    }
  });
});

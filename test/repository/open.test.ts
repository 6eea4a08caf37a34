import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { encodeKeyObject } from '../../src/format/key-object.ts';
import { DEFAULT_PARAMETERS, decodeRepositoryObject, encodeRepositoryObject } from '../../src/format/repository-object.ts';
import { openKeyObject, sealKeyObject } from '../../src/repository/keyring.ts';
import { hex, keyObjectKey, REPOSITORY_OBJECT } from '../../src/repository/layout.ts';
import { initRepository, keyIds, type OpenedRepository, openRepository } from '../../src/repository/open.ts';
import { Repository } from '../../src/repository/repository.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { scratchDirectory } from '../support/scratch.ts';

const PASSPHRASE = Buffer.from('correct horse');
const NOW = new Date('2030-01-02T03:04:05.678Z');

async function initialised(): Promise<{ readonly store: MemoryStore; readonly opened: OpenedRepository }> {
  const store = new MemoryStore();
  const details = { passphrase: PASSPHRASE, label: 'first', now: NOW, random: randomBytes };
  return { store, opened: await initRepository(store, details, async () => 'created') };
}

async function faultOf(work: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await work;
  } catch (error) {
    if (isFault(error)) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: 'none', message: '' };
}

/** A copy, in which objects may be changed. */
function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore();
  for (const [key, bytes] of store.objects) copy.objects.set(key, bytes.slice());
  return copy;
}

type Json = Record<string, unknown>;
function changeJson(store: MemoryStore, key: string, change: (value: Json) => unknown): void {
  const value = JSON.parse(Buffer.from(store.objects.get(key)!).toString()) as Json;
  store.objects.set(key, Buffer.from(JSON.stringify(change(value))));
}

let store: MemoryStore;
let opened: OpenedRepository;
let keyKey: string;

beforeAll(async () => {
  ({ store, opened } = await initialised());
  keyKey = keyObjectKey(opened.keyring.keyId);
});

test.each(['\n', '\r\n'])(
  'a repository that was made when the line break %j of a file counted opens without it',
  async (lineBreak) => {
    const old = new MemoryStore();
    const passphrase = Buffer.from(`correct horse${lineBreak}`);
    await initRepository(old, { passphrase, label: 'old', now: NOW, random: randomBytes }, async () => 'created');
    expect((await openRepository(old, PASSPHRASE)).keyring.role).toBe('owner');
    expect(await faultOf(openRepository(old, Buffer.from('correct hors')))).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG' });
  },
);

test('a new repository opens with its passphrase, and has the keys that it was made with', async () => {
  const again = await openRepository(store, PASSPHRASE);
  expect(again.parameters).toEqual({ id: opened.parameters.id, createdAt: NOW.toISOString(), ...DEFAULT_PARAMETERS });
  expect(again.keyring.keyId).toBe(opened.keyring.keyId);
  expect(again.keyring.role).toBe('owner');
  expect(hex(again.keyring.directoryKey)).toBe(hex(opened.keyring.directoryKey));
  expect(again.keyring.multiplier).toBe(opened.keyring.multiplier);
});

test('a second one is not made in its place', async () => {
  const copy = copyOf(store);
  const details = { passphrase: PASSPHRASE, label: 'second', now: NOW, random: randomBytes };
  expect((await faultOf(initRepository(copy, details, async () => 'created'))).code).toBe('FORMAT_REPOSITORY_EXISTS');
  expect([...copy.objects.keys()]).toEqual([...store.objects.keys()]);
});

describe('a place with a head and no object "repository"', () => {
  const PROCESS = { host: 'here', processId: 1, bootId: 'boot' };

  test('left by an init that was killed, is not made a repository whose head nobody can open', async () => {
    const place = new MemoryStore();
    const details = { store: place, passphrase: PASSPHRASE, cacheDirectory: scratchDirectory(), process: PROCESS, label: 'first' };
    const put = place.put.bind(place);
    place.put = async (key, ...rest) => {
      if (key === REPOSITORY_OBJECT) throw new Error('killed');
      return put(key, ...rest);
    };
    await expect(Repository.init(details)).rejects.toThrow('killed');
    place.put = put;
    const before = place.registers.get('head');
    expect(await faultOf(Repository.init(details))).toMatchObject({
      code: 'FORMAT_REPOSITORY_EXISTS',
      message: expect.stringContaining('There is the head'),
    });
    expect(place.registers.get('head')).toBe(before);
    expect((await faultOf(openRepository(place, PASSPHRASE))).code).toBe('FORMAT_NOT_A_REPOSITORY');
    place.objects.clear();
    place.registers.clear();
    const made = await Repository.init(details);
    expect((await made.heads.read()).snapshots).toEqual([]);
    await made.close();
  });
});

test('of two that are made at once in one place, one is, and it opens', async () => {
  const place = new MemoryStore();
  const make = (passphrase: string) =>
    initRepository(
      place,
      { passphrase: Buffer.from(passphrase), label: 'one', now: NOW, random: randomBytes },
      async () => 'created',
    );
  const results = await Promise.allSettled([make('a'), make('b')]);
  const won = results.findIndex(({ status }) => status === 'fulfilled');
  expect(results.filter(({ status }) => status === 'rejected').map((one) => (one as PromiseRejectedResult).reason.code)).toEqual([
    'FORMAT_REPOSITORY_EXISTS',
  ]);
  expect((await openRepository(place, Buffer.from('ab'[won]!))).keyring.role).toBe('owner');
  expect((await faultOf(openRepository(place, Buffer.from('ba'[won]!)))).code).toBe('KEY_PASSPHRASE_WRONG');
});

test('a wrong passphrase is named, with how many keys it was tried on', async () => {
  for (const wrong of ['', 'correct horse ', 'Correct horse']) {
    const fault = await faultOf(openRepository(store, Buffer.from(wrong)));
    expect(fault).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG', message: expect.stringContaining('None of the 1 keys') });
  }
});

describe('what is no repository is not taken for one:', () => {
  test('an empty place', async () => {
    expect(await faultOf(openRepository(new MemoryStore(), PASSPHRASE))).toMatchObject({
      code: 'FORMAT_NOT_A_REPOSITORY',
      message: expect.stringContaining('There is no repository at memory'),
    });
  });

  test.each([
    ['nothing', ''],
    ['a text', 'hello'],
    ['half of it', '{ "holdfast": 1, "id": "00'],
    ["another program's", '{"version":2,"id":"00","chunker_polynomial":"x"}'],
    ['a list', '[1]'],
    ['version 0', '{"holdfast":0}'],
    ['more than one can be', `{"holdfast":1,"x":"${'a'.repeat(100_000)}"}`],
  ])('an object of that name that is %s', async (_, text) => {
    const copy = copyOf(store);
    copy.objects.set(REPOSITORY_OBJECT, Buffer.from(text));
    expect((await faultOf(openRepository(copy, PASSPHRASE))).code).toBe('FORMAT_NOT_A_REPOSITORY');
  });

  test('parameters that cannot be', () => {
    const { id } = opened.parameters;
    const good = { id, createdAt: NOW.toISOString(), ...DEFAULT_PARAMETERS };
    const { content, paged } = DEFAULT_PARAMETERS;
    const bad = [
      { ...good, packBytes: 1024 ** 3 },
      { ...good, blockBytes: 512 * 1024 },
      { ...good, createdAt: 'yesterday' },
      { ...good, content: { ...content, minBytes: 10 } },
      { ...good, content: { ...content, averageBytes: 2 * 1024 * 1024 } },
      { ...good, paged: { ...paged, unitBytes: 0 } },
      { ...good, paged: { ...paged, groupUnits: 200 } },
    ];
    expect(decodeRepositoryObject(encodeRepositoryObject(good), 'here')).toEqual(good);
    for (const parameters of bad)
      expect(() => decodeRepositoryObject(encodeRepositoryObject(parameters), 'here')).toThrow('not one that Holdfast wrote');
  });
});

test('a newer format and an unknown suite ask for a newer program', async () => {
  for (const [field, value] of [
    ['holdfast', 2],
    ['suite', 'sm4-gcm+sm3'],
  ] as const) {
    const copy = copyOf(store);
    changeJson(copy, REPOSITORY_OBJECT, (object) => ({ ...object, [field]: value }));
    const fault = await faultOf(openRepository(copy, PASSPHRASE));
    expect(fault).toMatchObject({ code: 'FORMAT_TOO_NEW', message: expect.stringContaining(String(value)) });
  }
  const copy = copyOf(store);
  changeJson(copy, keyKey, (object) => ({ ...object, holdfast: 2 }));
  expect((await faultOf(openRepository(copy, PASSPHRASE))).code).toBe('FORMAT_TOO_NEW');
});

test('another object "repository" in its place is noticed, even one that differs in a parameter only', async () => {
  const copy = copyOf(store);
  const { id } = opened.parameters;
  const paged = { ...DEFAULT_PARAMETERS.paged, unitBytes: 8192 };
  copy.objects.set(REPOSITORY_OBJECT, encodeRepositoryObject({ id, createdAt: NOW.toISOString(), ...DEFAULT_PARAMETERS, paged }));
  expect(await faultOf(openRepository(copy, PASSPHRASE))).toMatchObject({
    code: 'FORMAT_DAMAGED',
    message: expect.stringContaining('not the one that the key'),
  });
  // Another id is another salt and other associated data: the key does not even open.
  const other = await initialised();
  copy.objects.set(REPOSITORY_OBJECT, other.store.objects.get(REPOSITORY_OBJECT)!);
  expect((await faultOf(openRepository(copy, PASSPHRASE))).code).toBe('KEY_PASSPHRASE_WRONG');
});

describe('a key object', () => {
  test('does not open under another name, as another role, or with any of its sealed parts changed', async () => {
    const flip = (base64: unknown): string => {
      const bytes = Buffer.from(base64 as string, 'base64');
      bytes[bytes.length >> 1]! ^= 1;
      return bytes.toString('base64');
    };
    const changes: readonly ((key: Json) => Json)[] = [
      (key) => ({ ...key, role: 'writer' }),
      (key) => ({ ...key, nonce: flip(key['nonce']) }),
      (key) => ({ ...key, sealed: flip(key['sealed']) }),
      (key) => ({ ...key, kdf: { ...(key['kdf'] as Json), salt: flip((key['kdf'] as Json)['salt']) } }),
      (key) => ({ ...key, kdf: { ...(key['kdf'] as Json), n: 65_536 } }),
    ];
    for (const change of changes) {
      const copy = copyOf(store);
      changeJson(copy, keyKey, change);
      expect((await faultOf(openRepository(copy, PASSPHRASE))).code).toBe('KEY_PASSPHRASE_WRONG');
    }
    const copy = copyOf(store);
    copy.objects.set(keyObjectKey('0123456789abcdef'), copy.objects.get(keyKey)!);
    copy.objects.delete(keyKey);
    expect((await faultOf(openRepository(copy, PASSPHRASE))).code).toBe('KEY_PASSPHRASE_WRONG');
  });

  test('that asks for a cost of scrypt that would eat the memory or the day is refused without paying it', async () => {
    for (const kdf of [
      { n: 2 ** 30, r: 8, p: 1 },
      { n: 32768, r: 8, p: 1_000_000 },
      { n: 1024, r: 8, p: 1 },
    ]) {
      const copy = copyOf(store);
      changeJson(copy, keyKey, (key) => ({ ...key, kdf: { ...(key['kdf'] as Json), ...kdf } }));
      expect(await faultOf(openRepository(copy, PASSPHRASE))).toMatchObject({
        code: 'FORMAT_DAMAGED',
        message: expect.stringContaining('scrypt cost'),
      });
    }
  });

  test('that is damaged is named, and keeps no other one from opening', async () => {
    for (const [id, bytes] of [
      ['0000000000000000', 'no JSON'],
      ['ffffffffffffffff', '{"holdfast":1}'],
      ['00000000000000ff', 'x'.repeat(2_000_000)],
    ] as const) {
      const copy = copyOf(store);
      copy.objects.set(keyObjectKey(id), Buffer.from(bytes));
      expect((await openRepository(copy, PASSPHRASE)).keyring.keyId).toBe(opened.keyring.keyId);
      copy.objects.delete(keyKey);
      expect(await faultOf(openRepository(copy, PASSPHRASE))).toMatchObject({
        code: 'FORMAT_DAMAGED',
        message: expect.stringContaining(id),
      });
    }
  });

  test('of several is found by its passphrase, the one that opened last time first', async () => {
    const copy = copyOf(store);
    const { keyring, parameters } = opened;
    const passphrase = Buffer.from('another');
    const details = { id: '1122334455667788', label: 'other', createdAt: NOW.toISOString(), passphrase, random: randomBytes };
    copy.objects.set(keyObjectKey(details.id), await sealKeyObject(keyring.payload, { ...details, repositoryId: parameters.id }));
    expect((await keyIds(copy)).sort()).toEqual([details.id, keyring.keyId].sort());
    expect((await openRepository(copy, passphrase)).keyring.keyId).toBe(details.id);
    const read: string[] = [];
    const get = copy.get.bind(copy);
    copy.get = (key, ...rest) => {
      if (key.startsWith('keys/')) read.push(key);
      return get(key, ...rest);
    };
    for (const id of [details.id, keyring.keyId]) {
      read.length = 0;
      await openRepository(copy, id === details.id ? passphrase : PASSPHRASE, () => id);
      expect(read).toEqual([keyObjectKey(id)]);
    }
  });

  test('whose payload is no payload is damage, though it was sealed with the passphrase', async () => {
    const { parameters } = opened;
    const id = '1122334455667788';
    const salt = new Uint8Array(16);
    const { deriveFromPassphrase, SCRYPT_COST } = await import('../../src/codec/derive.ts');
    const { sealOnce } = await import('../../src/codec/aead.ts');
    const kek = await deriveFromPassphrase(PASSPHRASE, salt, SCRYPT_COST);
    const aad = Buffer.from(`holdfast key 1\n${hex(parameters.id)}\n${id}\nowner`);
    const sealed = sealOnce(kek, new Uint8Array(12), Buffer.from('{"role":"owner"}'), aad);
    const fields = {
      role: 'owner',
      label: '',
      createdAt: NOW.toISOString(),
      cost: SCRYPT_COST,
      salt,
      nonce: new Uint8Array(12),
    } as const;
    const object = encodeKeyObject({ ...fields, sealed });
    const fault = await faultOf(openKeyObject(object, { id, passphrase: PASSPHRASE, repositoryId: parameters.id }));
    expect(fault.code).toBe('FORMAT_DAMAGED');
  });
});

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deriveFromPassphrase, SCRYPT_COST } from '../../src/codec/derive.ts';
import { encodeKeyObject, type KdfCost } from '../../src/format/key-object.ts';
import { deriveAsBefore, deriveEarly } from '../../src/repository/early-key.ts';
import { remember } from '../../src/repository/remembered.ts';

const PASSPHRASE = Buffer.from('the passphrase');
const ID = '0123456789abcdef0123456789abcdef';

let place: string;
let repository: string;
let cache: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'holdfast-early-'));
  repository = join(place, 'repository');
  cache = join(place, 'cache');
  mkdirSync(join(repository, 'keys'), { recursive: true });
  writeFileSync(join(repository, 'repository'), JSON.stringify({ holdfast: 1, id: ID }));
});

afterEach(() => rmSync(place, { recursive: true, force: true }));

function salt(byte: number): Uint8Array {
  return Buffer.alloc(16, byte);
}

function key(name: string, saltByte: number, cost: KdfCost = SCRYPT_COST): void {
  const object = {
    role: 'owner' as const,
    label: name,
    createdAt: '2026-01-01T00:00:00.000Z',
    cost,
    salt: salt(saltByte),
    nonce: Buffer.alloc(12),
    sealed: Buffer.alloc(100),
  };
  writeFileSync(join(repository, 'keys', name), encodeKeyObject(object));
}

describe('the head start of a key', () => {
  test('answers what deriving answers, for what it has begun and for anything else', async () => {
    key('aaaa', 1);
    const derive = deriveEarly(repository, PASSPHRASE, cache)!;
    const plain = deriveFromPassphrase;
    expect(await derive(PASSPHRASE, salt(1), SCRYPT_COST)).toEqual(await plain(PASSPHRASE, salt(1), SCRYPT_COST));
    const other = Buffer.from('another one');
    expect(await derive(other, salt(1), SCRYPT_COST)).toEqual(await plain(other, salt(1), SCRYPT_COST));
    expect(await derive(PASSPHRASE, salt(2), SCRYPT_COST)).toEqual(await plain(PASSPHRASE, salt(2), SCRYPT_COST));
    const cheaper = { n: 16384, r: 8, p: 1 };
    expect(await derive(PASSPHRASE, salt(1), cheaper)).toEqual(await plain(PASSPHRASE, salt(1), cheaper));
  });

  test('is that of the key that opened the repository last time, of several', async () => {
    key('aaaa', 1);
    key('bbbb', 2);
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
    remember(join(cache, ID), { keyId: 'bbbb', location: repository, sequence: 1 }, process.pid);
    const derive = deriveEarly(repository, PASSPHRASE, cache)!;
    expect(await derive(PASSPHRASE, salt(2), SCRYPT_COST)).toEqual(await deriveFromPassphrase(PASSPHRASE, salt(2), SCRYPT_COST));
    remember(join(cache, ID), { keyId: 'gone', location: repository, sequence: 1 }, process.pid);
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
  });

  test('is left away where something is damaged, missing, or asks for more than is bearable', () => {
    expect(deriveEarly(join(place, 'nowhere'), PASSPHRASE, cache)).toBeUndefined();
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
    key('aaaa', 1, { n: 2 ** 30, r: 8, p: 1 });
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
    writeFileSync(join(repository, 'keys', 'aaaa'), '{"holdfast":1,');
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
    writeFileSync(join(repository, 'keys', 'aaaa'), Buffer.alloc(2 * 1024 * 1024));
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
    rmSync(join(repository, 'keys', 'aaaa'));
    mkdirSync(join(repository, 'keys', 'aaaa'));
    expect(deriveEarly(repository, PASSPHRASE, cache)).toBeUndefined();
  });

  test('in a bucket it is that of what was asked last, and what is asked instead is derived and remembered', async () => {
    const asked = async (byte: number, cost = SCRYPT_COST): Promise<Uint8Array> => {
      const derive = deriveAsBefore('s3+https://host/bucket', PASSPHRASE, cache);
      return derive(PASSPHRASE, salt(byte), cost);
    };
    const one = await deriveFromPassphrase(PASSPHRASE, salt(1), SCRYPT_COST);
    expect(await asked(1)).toEqual(one); // nothing is known
    expect(await asked(1)).toEqual(one); // begun before
    expect(await asked(2)).toEqual(await deriveFromPassphrase(PASSPHRASE, salt(2), SCRYPT_COST)); // another key's
    const [name, ...others] = readdirSync(join(cache, 'asked'));
    expect(others).toEqual([]);
    expect(JSON.parse(readFileSync(join(cache, 'asked', name!), 'utf8'))).toEqual({ salt: '02'.repeat(16), ...SCRYPT_COST });
    const derive = deriveAsBefore('s3+https://host/bucket', Buffer.from('another one'), cache);
    expect(await derive(PASSPHRASE, salt(1), SCRYPT_COST)).toEqual(one);
  });

  test('of a bucket is left away when what is remembered is damaged or asks for more than is bearable', async () => {
    const location = 's3+https://host/bucket';
    const one = await deriveFromPassphrase(PASSPHRASE, salt(1), SCRYPT_COST);
    await deriveAsBefore(location, PASSPHRASE, cache)(PASSPHRASE, salt(1), SCRYPT_COST);
    const path = join(cache, 'asked', readdirSync(join(cache, 'asked'))[0]!);
    for (const text of ['', '{"salt":7}', '[]', 'null', JSON.stringify({ salt: '01', n: 2 ** 30, r: 8, p: 1 })]) {
      writeFileSync(path, text);
      expect(await deriveAsBefore(location, PASSPHRASE, cache)(PASSPHRASE, salt(1), SCRYPT_COST)).toEqual(one);
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ salt: '01'.repeat(16) });
    }
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deriveFromPassphrase, SCRYPT_COST } from '../../src/codec/derive.ts';
import { deriveEarly } from '../../src/repository/early-key.ts';

const PASSPHRASE = Buffer.from('the passphrase');

let place: string;
let cache: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'holdfast-early-'));
  cache = join(place, 'cache');
});

afterEach(() => rmSync(place, { recursive: true, force: true }));

function salt(byte: number): Uint8Array {
  return Buffer.alloc(16, byte);
}

describe('the head start of a key', () => {
  test('is that of what was asked last, and what is asked instead is derived and remembered', async () => {
    const asked = async (byte: number, cost = SCRYPT_COST): Promise<Uint8Array> => {
      const derive = deriveEarly('s3+https://host/bucket', PASSPHRASE, cache);
      return derive(PASSPHRASE, salt(byte), cost);
    };
    const one = await deriveFromPassphrase(PASSPHRASE, salt(1), SCRYPT_COST);
    expect(await asked(1)).toEqual(one); // nothing is known
    expect(await asked(1)).toEqual(one); // begun before
    expect(await asked(2)).toEqual(await deriveFromPassphrase(PASSPHRASE, salt(2), SCRYPT_COST)); // another key's
    const [name, ...others] = readdirSync(join(cache, 'asked'));
    expect(others).toEqual([]);
    expect(JSON.parse(readFileSync(join(cache, 'asked', name!), 'utf8'))).toEqual({ salt: '02'.repeat(16), ...SCRYPT_COST });
    const derive = deriveEarly('s3+https://host/bucket', Buffer.from('another one'), cache);
    expect(await derive(PASSPHRASE, salt(1), SCRYPT_COST)).toEqual(one);
  });

  test('is left away when what is remembered is damaged or asks for more than is bearable', async () => {
    const location = 's3+https://host/bucket';
    const one = await deriveFromPassphrase(PASSPHRASE, salt(1), SCRYPT_COST);
    await deriveEarly(location, PASSPHRASE, cache)(PASSPHRASE, salt(1), SCRYPT_COST);
    const path = join(cache, 'asked', readdirSync(join(cache, 'asked'))[0]!);
    for (const text of ['', '{"salt":7}', '[]', 'null', JSON.stringify({ salt: '01', n: 2 ** 30, r: 8, p: 1 })]) {
      writeFileSync(path, text);
      expect(await deriveEarly(location, PASSPHRASE, cache)(PASSPHRASE, salt(1), SCRYPT_COST)).toEqual(one);
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ salt: '01'.repeat(16) });
    }
  });
});

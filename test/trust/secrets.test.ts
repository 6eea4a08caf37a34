import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isSourceAllowed, parseBlock, wrongBlocks } from '../../src/trust/allowed-sources.ts';
import { Attempts } from '../../src/trust/attempts.ts';
import { hashPassword, isPasswordOf, weaknessOf } from '../../src/trust/password.ts';
import { bearerOf, digestOf, newSecret } from '../../src/trust/tokens.ts';
import { acceptedStep, decodeBase32, encodeBase32, newTotpSecret, stepOf, totpCode } from '../../src/trust/totp.ts';

describe('a password', () => {
  it('is known by its hash, and only it', async () => {
    const stored = await hashPassword('correct horse battery', randomBytes);
    expect(stored).toMatch(/^scrypt\$32768\$8\$1\$/);
    expect(stored).not.toContain('correct');
    expect(await isPasswordOf('correct horse battery', stored)).toBe(true);
    expect(await isPasswordOf('correct horse batterz', stored)).toBe(false);
    expect(await isPasswordOf('', stored)).toBe(false);
  });

  it('is salted: the same twice is stored differently', async () => {
    expect(await hashPassword('correct horse battery', randomBytes)).not.toBe(
      await hashPassword('correct horse battery', randomBytes),
    );
  });

  it('is the same whichever way its letters were composed', async () => {
    const stored = await hashPassword('Stra\u00dfe \u00fcber alles'.normalize('NFD'), randomBytes);
    expect(await isPasswordOf('Stra\u00dfe \u00fcber alles'.normalize('NFC'), stored)).toBe(true);
  });

  it('is wrong for who does not exist, and for what is no hash', async () => {
    expect(await isPasswordOf('anything', undefined)).toBe(false);
    expect(await isPasswordOf('anything', 'plain')).toBe(false);
  });

  it.each([
    ['short', 'at least'],
    ['aaaaaaaaaaaaaaaa', 'different'],
    ['my name is anna!', 'login'],
    ['x'.repeat(201), 'at most'],
  ])('that is weak (%s) is refused', (password, why) => {
    expect(weaknessOf(password, 'anna')).toContain(why);
  });
});

describe('one-time codes', () => {
  // RFC 6238, appendix B.
  const keys = {
    sha1: Buffer.from('12345678901234567890'),
    sha256: Buffer.from('12345678901234567890123456789012'),
    sha512: Buffer.from('1234567890123456789012345678901234567890123456789012345678901234'),
  } as const;
  it.each([
    [59, '94287082', '46119246', '90693936'],
    [1111111109, '07081804', '68084774', '25091201'],
    [1111111111, '14050471', '67062674', '99943326'],
    [1234567890, '89005924', '91819424', '93441116'],
    [2000000000, '69279037', '90698825', '38618901'],
    [20000000000, '65353130', '77737706', '47863826'],
  ] as const)('at second %i are those of the RFC', (second, sha1, sha256, sha512) => {
    const step = stepOf(new Date(second * 1000));
    expect(totpCode(keys.sha1, step, 8, 'sha1')).toBe(sha1);
    expect(totpCode(keys.sha256, step, 8, 'sha256')).toBe(sha256);
    expect(totpCode(keys.sha512, step, 8, 'sha512')).toBe(sha512);
  });

  it('count for a step before and after, once', () => {
    const secret = newTotpSecret(randomBytes);
    const key = decodeBase32(secret)!;
    const at = new Date('2026-11-21T08:00:10Z');
    const now = stepOf(at);
    for (const step of [now - 1, now, now + 1]) expect(acceptedStep(secret, totpCode(key, step), at)).toBe(step);
    for (const step of [now - 2, now + 2]) expect(acceptedStep(secret, totpCode(key, step), at)).toBeUndefined();
    expect(acceptedStep(secret, totpCode(key, now), at, now)).toBeUndefined();
    expect(acceptedStep(secret, totpCode(key, now + 1), at, now)).toBe(now + 1);
    expect(acceptedStep(secret, 'abcdef', at)).toBeUndefined();
  });

  // RFC 4648, section 10.
  it.each([
    ['', ''],
    ['f', 'MY'],
    ['fo', 'MZXQ'],
    ['foo', 'MZXW6'],
    ['foob', 'MZXW6YQ'],
    ['fooba', 'MZXW6YTB'],
    ['foobar', 'MZXW6YTBOI'],
  ])('write "%s" in base32', (text, encoded) => {
    expect(encodeBase32(Buffer.from(text))).toBe(encoded);
    expect(Buffer.from(decodeBase32(encoded)!).toString()).toBe(text);
  });
});

describe('a secret', () => {
  it('is 32 random bytes, known by its SHA-256', () => {
    const { secret, digest } = newSecret(randomBytes);
    expect(Buffer.from(secret.slice(3), 'base64url')).toHaveLength(32);
    expect(digestOf(secret)).toBe(digest);
    expect(bearerOf(`Bearer ${secret}`)).toBe(secret);
  });

  it.each([undefined, '', 'Bearer', 'Basic YTpi', 'Bearer hf_short', `Bearer hf_${'a'.repeat(44)}`])(
    'is not in the header %j',
    (header) => {
      expect(bearerOf(header)).toBeUndefined();
    },
  );
});

describe('addresses', () => {
  it.each([
    [['10.0.0.0/8'], '10.255.0.1', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['10.0.0.0/8'], '::ffff:10.1.2.3', true],
    [['192.168.1.7'], '192.168.1.7', true],
    [['192.168.1.7'], '192.168.1.8', false],
    [['2001:db8::/32'], '2001:db8:1::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['::1'], '::1', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [[], '203.0.113.1', true],
    [['10.0.0.0/8'], undefined, false],
    [['10.0.0.0/8'], 'nonsense', false],
  ])('of %j: %s is in there: %s', (list, address, isIn) => {
    expect(isSourceAllowed(list, address)).toBe(isIn);
  });

  it.each(['10.0.0.0/33', '::1/129', '10.0.0', 'example.org', '10.0.0.0/-1', '10.0.0.0/8/8', ''])(
    'refuse the block "%s"',
    (text) => {
      expect(parseBlock(text)).toBeUndefined();
      expect(wrongBlocks(['10.0.0.0/8', text])).toEqual([text]);
    },
  );
});

describe('attempts', () => {
  it('wait longer with each failure, and begin anew after a success', () => {
    let at = 0;
    const attempts = new Attempts({ freeFailures: 3, waitMsFirst: 1000, waitMsMax: 5000, namesMax: 100 }, () => new Date(at));
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      attempts.failed('anna');
      waits.push(attempts.waitMs('anna'));
    }
    expect(waits).toEqual([0, 0, 1000, 2000, 4000, 5000, 5000]);
    expect(attempts.waitMs('berta')).toBe(0);
    at += 5000;
    expect(attempts.waitMs('anna')).toBe(0);
    attempts.succeeded('anna');
    attempts.failed('anna');
    expect(attempts.waitMs('anna')).toBe(0);
  });

  it('forget the longest silent name when there are too many', () => {
    const attempts = new Attempts({ freeFailures: 1, waitMsFirst: 1000, waitMsMax: 5000, namesMax: 2 }, () => new Date(0));
    for (const name of ['a', 'b', 'c']) attempts.failed(name);
    expect(['a', 'b', 'c'].map((name) => attempts.waitMs(name))).toEqual([0, 1000, 1000]);
  });
});

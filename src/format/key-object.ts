// Key objects: what opens a repository, sealed under a passphrase. See README.md, "Keys".

import { Fault } from '../base/faults.ts';
import { type JsonLimits, parseJson } from './json.ts';

const KEY_VERSION = 1;
/** What a key object is at the most, in bytes; an owner's grows by 200 with every pair. */
export const KEY_OBJECT_BYTES_MAX = 1024 * 1024;
const LIMITS: JsonLimits = { bytesMax: KEY_OBJECT_BYTES_MAX, itemsMax: 20_000 };
const PAIRS_MAX = 2_000;

export type KeyRole = 'owner' | 'writer';

/** Of scrypt. */
export type KdfCost = { readonly n: number; readonly r: number; readonly p: number };

export type KeyObject = {
  readonly role: KeyRole;
  readonly label: string;
  readonly createdAt: string;
  readonly cost: KdfCost;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
};

export type BoxPair = { readonly id: string; readonly publicKey: Uint8Array; readonly privateKey: Uint8Array };

type CommonPayload = {
  /** Unkeyed BLAKE3 of the object `repository`. */
  readonly repositoryDigest: Uint8Array;
  readonly idKey: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly verifyKey: Uint8Array;
};

export type OwnerPayload = CommonPayload & {
  readonly role: 'owner';
  readonly metadataKey: Uint8Array;
  readonly pairs: readonly BoxPair[];
};
export type WriterPayload = CommonPayload & {
  readonly role: 'writer';
  readonly asset: string;
  readonly assetKey: Uint8Array;
  readonly sealTo: { readonly id: string; readonly publicKey: Uint8Array };
};
export type KeyPayload = OwnerPayload | WriterPayload;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

export function encodeKeyObject(key: KeyObject): Uint8Array {
  const { role, label, createdAt, cost, salt, nonce, sealed } = key;
  const kdf = { name: 'scrypt', ...cost, salt: base64(salt) };
  return Buffer.from(
    `${JSON.stringify({ holdfast: 1, role, label, createdAt, kdf, nonce: base64(nonce), sealed: base64(sealed) }, null, 2)}\n`,
  );
}

export function decodeKeyObject(bytes: Uint8Array, what: string): KeyObject {
  const f = new Fields(parseJson(bytes, what, LIMITS), what);
  const version = f.number('holdfast');
  if (version > KEY_VERSION) throw new Fault('FORMAT_TOO_NEW', `${what} was made by a newer Holdfast`);
  f.check(version === KEY_VERSION, 'unknown version');
  const role = f.role();
  const kdf = f.inner('kdf');
  kdf.check(kdf.text('name') === 'scrypt', 'unknown key derivation');
  return {
    role,
    label: f.text('label'),
    createdAt: f.text('createdAt'),
    cost: { n: kdf.number('n'), r: kdf.number('r'), p: kdf.number('p') },
    salt: kdf.binary('salt'),
    nonce: f.binary('nonce', 12),
    sealed: f.binary('sealed'),
  };
}

export function encodeKeyPayload(payload: KeyPayload): Uint8Array {
  return Buffer.from(
    JSON.stringify(payload, (_, value: unknown) =>
      value instanceof Uint8Array ? base64(value) : isBufferJson(value) ? base64(Buffer.from(value.data)) : value,
    ),
  );
}

export function decodeKeyPayload(bytes: Uint8Array, what: string): KeyPayload {
  const f = new Fields(parseJson(bytes, what, LIMITS), what);
  const common = {
    repositoryDigest: f.binary('repositoryDigest', 32),
    idKey: f.binary('idKey', 32),
    signingKey: f.binary('signingKey', 32),
    verifyKey: f.binary('verifyKey', 32),
  };
  if (f.role() === 'owner') {
    const pairs = f
      .list('pairs')
      .map((pair) => ({ id: pair.text('id'), publicKey: pair.binary('publicKey', 32), privateKey: pair.binary('privateKey', 32) }));
    f.check(pairs.length > 0, 'it has no key pair');
    return { role: 'owner', ...common, metadataKey: f.binary('metadataKey', 32), pairs };
  }
  const sealTo = f.inner('sealTo');
  return {
    role: 'writer',
    ...common,
    asset: f.text('asset'),
    assetKey: f.binary('assetKey', 32),
    sealTo: { id: sealTo.text('id'), publicKey: sealTo.binary('publicKey', 32) },
  };
}

// Buffers turn themselves into { type: 'Buffer', data } before a replacer sees them.
function isBufferJson(value: unknown): value is { readonly data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as { type?: unknown }).type === 'Buffer' &&
    Array.isArray((value as { data?: unknown }).data)
  );
}

class Fields {
  readonly #value: Record<string, unknown>;
  readonly #what: string;

  constructor(value: unknown, what: string) {
    this.#what = what;
    this.check(typeof value === 'object' && value !== null && !Array.isArray(value), 'it is not a record');
    this.#value = value as Record<string, unknown>;
  }

  check(condition: boolean, why: string): void {
    if (!condition) throw new Fault('FORMAT_DAMAGED', `${this.#what} is damaged: ${why}`);
  }

  text(name: string): string {
    const value = this.#get(name);
    this.check(typeof value === 'string', `"${name}" is missing`);
    return value as string;
  }

  role(): KeyRole {
    const role = this.text('role');
    this.check(role === 'owner' || role === 'writer', 'unknown role');
    return role as KeyRole;
  }

  number(name: string): number {
    const value = this.#get(name);
    this.check(Number.isSafeInteger(value), `"${name}" is missing`);
    return value as number;
  }

  binary(name: string, length?: number): Uint8Array {
    const bytes = Buffer.from(this.text(name), 'base64');
    this.check(length === undefined || bytes.length === length, `"${name}" has the wrong length`);
    return bytes;
  }

  inner(name: string): Fields {
    return new Fields(this.#get(name), this.#what);
  }

  list(name: string): Fields[] {
    const value = this.#get(name);
    this.check(Array.isArray(value) && value.length <= PAIRS_MAX, `"${name}" is not a list`);
    return (value as unknown[]).map((item) => new Fields(item, this.#what));
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
  }
}

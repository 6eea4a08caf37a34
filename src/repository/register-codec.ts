// Register values: JSON, compressed, sealed with the directory key and bound to the register's key. See src/format/README.md, "Registers".

import zlib from 'node:zlib';
import { Fault } from '../base/faults.ts';
import { openOnce, sealOnce } from '../codec/aead.ts';
import type { Keyring, Random } from './keyring.ts';

const MAGIC = Buffer.from('HFRG\x01\0\0\0', 'latin1');
const NONCE_BYTES = 12;
const PLAIN_BYTES_MAX = 256 * 1024 * 1024;

export type RegisterCodec = {
  readonly encode: (key: string, value: unknown) => Uint8Array;
  /** FORMAT_DAMAGED when the bytes were not written for this register with this tenant's key. */
  readonly decode: (key: string, bytes: Uint8Array) => unknown;
};

export function registerCodec(keyring: Keyring, random: Random): RegisterCodec {
  return {
    encode: (key, value) => {
      const nonce = random(NONCE_BYTES);
      const plain = zlib.zstdCompressSync(JSON.stringify(value));
      return Buffer.concat([MAGIC, nonce, sealOnce(keyring.directoryKey, nonce, plain, Buffer.from(key))]);
    },
    decode: (key, bytes) => {
      const head = MAGIC.length + NONCE_BYTES;
      const isRegister = bytes.length > head && MAGIC.equals(bytes.subarray(0, MAGIC.length));
      const plain = isRegister ? openOnce(keyring.directoryKey, bytes.subarray(MAGIC.length, head), bytes.subarray(head), Buffer.from(key)) : undefined;
      if (plain === undefined) throw new Fault('FORMAT_DAMAGED', `The register "${key}" does not open: it was changed, or belongs to another repository`);
      return JSON.parse(zlib.zstdDecompressSync(plain, { maxOutputLength: PLAIN_BYTES_MAX }).toString());
    },
  };
}

// Register values: JSON, compressed, sealed with the directory key and bound to the register's key. See src/format/README.md, "Registers".

import { Fault } from '../base/faults.ts';
import { openOnce, sealOnce } from '../codec/aead.ts';
import { compressFrame, decompressFrame } from '../codec/zstd-frame.ts';
import { REGISTER_LIMITS } from '../format/head.ts';
import { isWithin, parseJson } from '../format/json.ts';
import type { Keyring, Random } from './keyring.ts';

const MAGIC = Buffer.from('HFRG\x01\0\0\0', 'latin1');
const NONCE_BYTES = 12;

export type RegisterCodec = {
  /** REPOSITORY_FULL when it is more than a reader would take. */
  readonly encode: (key: string, value: unknown) => Uint8Array;
  /** FORMAT_DAMAGED when the bytes were not written for this register with this tenant's key. */
  readonly decode: (key: string, bytes: Uint8Array) => unknown;
};

export function registerCodec(keyring: Keyring, random: Random): RegisterCodec {
  return {
    encode: (key, value) => {
      const nonce = random(NONCE_BYTES);
      const json = Buffer.from(JSON.stringify(value));
      if (!isWithin(json, REGISTER_LIMITS))
        throw new Fault('REPOSITORY_FULL', `The register "${key}" would have ${json.length} bytes, more than a reader takes`);
      return Buffer.concat([MAGIC, nonce, sealOnce(keyring.directoryKey, nonce, compressFrame(json), Buffer.from(key))]);
    },
    decode: (key, bytes) => {
      const head = MAGIC.length + NONCE_BYTES;
      const isRegister = bytes.length > head && MAGIC.equals(bytes.subarray(0, MAGIC.length));
      const frame = isRegister
        ? openOnce(keyring.directoryKey, bytes.subarray(MAGIC.length, head), bytes.subarray(head), Buffer.from(key))
        : undefined;
      if (frame === undefined)
        throw new Fault('FORMAT_DAMAGED', `The register "${key}" does not open: it was changed, or belongs to another repository`);
      const json = decompressFrame(frame, REGISTER_LIMITS.bytesMax);
      if (json === undefined) throw new Fault('FORMAT_DAMAGED', `The register "${key}" is damaged: it does not decompress`);
      return parseJson(json, `The register "${key}"`, REGISTER_LIMITS);
    },
  };
}

// AES-256-GCM into buffers of the caller, in place if wanted. The Node binary exports its own OpenSSL: called directly, nothing is
// allocated (measured: 16 GB/s in place; node:crypto allocates every result and on fresh memory falls to a fraction of that).
// Where the symbols are missing, node:crypto does it, with the same bytes.

import { type CFunction, cLibrary } from '../base/ffi.ts';
import { invariant } from '../base/invariant.ts';

export const TAG_BYTES = 16;
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;

/** Node's, when it is asked for: to load it takes each thread some 10 ms. */
const nodeCrypto = () => process.getBuiltinModule('node:crypto');

const EVP_CTRL_GET_TAG = 0x10;
const EVP_CTRL_SET_TAG = 0x11;

const PROTOTYPES = [
  'void* EVP_CIPHER_CTX_new()',
  'void EVP_CIPHER_CTX_free(void*)',
  'void* EVP_aes_256_gcm()',
  'int EVP_EncryptInit_ex(void*, void*, void*, void*, void*)',
  'int EVP_EncryptUpdate(void*, void*, void*, void*, int)',
  'int EVP_EncryptFinal_ex(void*, void*, void*)',
  'int EVP_DecryptInit_ex(void*, void*, void*, void*, void*)',
  'int EVP_DecryptUpdate(void*, void*, void*, void*, int)',
  'int EVP_DecryptFinal_ex(void*, void*, void*)',
  'int EVP_CIPHER_CTX_ctrl(void*, int, int, void*)',
] as const;

type OpenSsl = Record<
  'create' | 'free' | 'cipher' | 'sealInit' | 'sealUpdate' | 'sealFinal' | 'openInit' | 'openUpdate' | 'openFinal' | 'control',
  CFunction
>;

let shared: OpenSsl | null | undefined;

function openSsl(): OpenSsl | undefined {
  if (shared === undefined) {
    const f = PROTOTYPES.map((prototype) => cLibrary?.bind(prototype));
    shared = f.some((one) => one === undefined)
      ? null
      : ({
          create: f[0],
          free: f[1],
          cipher: f[2],
          sealInit: f[3],
          sealUpdate: f[4],
          sealFinal: f[5],
          openInit: f[6],
          openUpdate: f[7],
          openFinal: f[8],
          control: f[9],
        } as OpenSsl);
  }
  return shared ?? undefined;
}

/** 'plain': node:crypto, even where the symbols are there. */
export type AeadDriver = 'plain' | undefined;

/** One key, either direction. Not for concurrent use; `close` frees the contexts (the garbage collector cannot). */
export class Aead {
  readonly #key: Uint8Array;
  readonly #ssl: OpenSsl | undefined;
  readonly #length = new Int32Array(1);
  readonly #tag = new Uint8Array(TAG_BYTES);
  #sealing: unknown;
  #opening: unknown;
  #isClosed = false;

  constructor(key: Uint8Array, driver?: AeadDriver) {
    invariant(key.length === KEY_BYTES, 'an AES-256 key has 32 bytes');
    this.#ssl = driver === 'plain' ? undefined : openSsl();
    this.#key = Uint8Array.from(key);
  }

  /** Seals `plain` into `target[0, plain.length + TAG_BYTES)`. `target` may start at the same byte as `plain`. */
  seal(target: Uint8Array, plain: Uint8Array, nonce: Uint8Array, aad: Uint8Array): number {
    invariant(nonce.length === NONCE_BYTES && target.length >= plain.length + TAG_BYTES, 'a sealed target has room for the tag');
    invariant(!this.#isClosed, 'a closed cipher, whose key is gone, is not used');
    const ssl = this.#ssl;
    if (ssl === undefined) {
      const cipher = nodeCrypto().createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(aad);
      target.set(cipher.update(plain));
      cipher.final();
      target.set(cipher.getAuthTag(), plain.length);
      return plain.length + TAG_BYTES;
    }
    if (this.#sealing === undefined) {
      this.#sealing = ssl.create();
      invariant(ssl.sealInit(this.#sealing, ssl.cipher(), null, this.#key, nonce) === 1, 'OpenSSL starts to seal');
    } else {
      invariant(ssl.sealInit(this.#sealing, null, null, null, nonce) === 1, 'OpenSSL starts to seal');
    }
    let ok = aad.length === 0 || ssl.sealUpdate(this.#sealing, null, this.#length, aad, aad.length) === 1;
    ok = ok && (plain.length === 0 || ssl.sealUpdate(this.#sealing, target, this.#length, plain, plain.length) === 1);
    ok = ok && ssl.sealFinal(this.#sealing, this.#tag, this.#length) === 1;
    ok = ok && ssl.control(this.#sealing, EVP_CTRL_GET_TAG, TAG_BYTES, this.#tag) === 1;
    invariant(ok, 'OpenSSL seals');
    target.set(this.#tag, plain.length);
    return plain.length + TAG_BYTES;
  }

  /** Opens `sealed` (ciphertext and tag) into `target[0, sealed.length - TAG_BYTES)`; false when anything was changed, and then
   *  `target` holds nothing to be trusted. `target` may start at the same byte as `sealed`. */
  open(target: Uint8Array, sealed: Uint8Array, nonce: Uint8Array, aad: Uint8Array): boolean {
    const length = sealed.length - TAG_BYTES;
    invariant(!this.#isClosed, 'a closed cipher, whose key is gone, is not used');
    if (length < 0 || target.length < length || nonce.length !== NONCE_BYTES) return false;
    const ssl = this.#ssl;
    if (ssl === undefined) return this.#openWithNode(target, sealed, nonce, aad);
    this.#tag.set(sealed.subarray(length));
    if (this.#opening === undefined) {
      this.#opening = ssl.create();
      if (ssl.openInit(this.#opening, ssl.cipher(), null, this.#key, nonce) !== 1) return false;
    } else if (ssl.openInit(this.#opening, null, null, null, nonce) !== 1) return false;
    if (aad.length > 0 && ssl.openUpdate(this.#opening, null, this.#length, aad, aad.length) !== 1) return false;
    if (length > 0 && ssl.openUpdate(this.#opening, target, this.#length, sealed, length) !== 1) return false;
    if (ssl.control(this.#opening, EVP_CTRL_SET_TAG, TAG_BYTES, this.#tag) !== 1) return false;
    return ssl.openFinal(this.#opening, new Uint8Array(TAG_BYTES), this.#length) === 1;
  }

  close(): void {
    if (this.#sealing !== undefined) this.#ssl?.free(this.#sealing);
    if (this.#opening !== undefined) this.#ssl?.free(this.#opening);
    this.#sealing = this.#opening = undefined;
    this.#key.fill(0);
    this.#isClosed = true;
  }

  #openWithNode(target: Uint8Array, sealed: Uint8Array, nonce: Uint8Array, aad: Uint8Array): boolean {
    const length = sealed.length - TAG_BYTES;
    try {
      const decipher = nodeCrypto().createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(aad).setAuthTag(sealed.subarray(length));
      const plain = decipher.update(sealed.subarray(0, length));
      decipher.final();
      target.set(plain);
      return true;
    } catch {
      return false;
    }
  }
}

/** Seals once, into fresh bytes. */
export function sealOnce(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array {
  const aead = new Aead(key);
  const sealed = new Uint8Array(plain.length + TAG_BYTES);
  aead.seal(sealed, plain, nonce, aad);
  aead.close();
  return sealed;
}

/** Opens once, into fresh bytes; undefined when anything was changed. */
export function openOnce(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const aead = new Aead(key);
  const plain = new Uint8Array(sealed.length - TAG_BYTES);
  const ok = aead.open(plain, sealed, nonce, aad);
  aead.close();
  return ok ? plain : undefined;
}

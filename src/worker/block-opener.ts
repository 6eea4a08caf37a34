// Opens sealed blocks into buffers that are used again. The key of each sealing session is set up once.

import { Aead, TAG_BYTES } from '../codec/aead.ts';
import { Decompressor } from '../codec/zstd.ts';
import { BLOCK_ID_BYTES, writeBlockAad } from '../format/pack.ts';

/** Sessions whose ciphers are kept ready. */
const CIPHERS_MAX = 64;

export type SealedBlock = {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly rawLength: number;
  readonly codec: number;
  /** 6 bytes. */
  readonly sealingCounter: Uint8Array;
  /** Of the sealing session: data key, or metadata key for nodes. */
  readonly key: Uint8Array;
};

export class BlockOpener {
  readonly #ciphers = new Map<string, Aead>();
  #latestKey: Uint8Array | undefined;
  #latestCipher: Aead | undefined;
  readonly #decompressor = new Decompressor();
  readonly #aad = new Uint8Array(BLOCK_ID_BYTES + 5);
  readonly #nonce = new Uint8Array(12);
  #scratch = new Uint8Array(0);

  /** Opens `sealed` into `target[0, rawLength)`; false when the block is damaged. `sealed` is not changed, unless it is `spent`: then it
   *  is decrypted where it lies, which spares the caches a copy. */
  open(target: Uint8Array, sealed: Uint8Array, block: SealedBlock, spent = false): boolean {
    const { id, rawLength, codec, sealingCounter } = block;
    const length = sealed.length - TAG_BYTES;
    if (length < 0 || (codec === 0 && length !== rawLength)) return false;
    writeBlockAad(this.#aad, id, rawLength, codec);
    this.#nonce.set(sealingCounter, 6);
    const cipher = this.#cipher(block.key);
    if (codec === 0) return cipher.open(target, sealed, this.#nonce, this.#aad);
    if (!spent && this.#scratch.length < length) this.#scratch = new Uint8Array(Math.max(length, 1024 * 1024));
    const opened = spent ? sealed : this.#scratch;
    if (!cipher.open(opened, sealed, this.#nonce, this.#aad)) return false;
    return this.#decompressor.decompress(target.subarray(0, rawLength), opened.subarray(0, length));
  }

  close(): void {
    for (const cipher of this.#ciphers.values()) cipher.close();
    this.#ciphers.clear();
    this.#latestKey = this.#latestCipher = undefined;
    this.#decompressor.close();
  }

  /** Neighbours were mostly sealed by one session, and a message brings its key once. */
  #cipher(key: Uint8Array): Aead {
    if (key !== this.#latestKey) {
      this.#latestCipher = this.#cipherOf(key);
      this.#latestKey = key;
    }
    return this.#latestCipher!;
  }

  #cipherOf(key: Uint8Array): Aead {
    const name = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
    let cipher = this.#ciphers.get(name);
    if (cipher === undefined) {
      if (this.#ciphers.size >= CIPHERS_MAX) {
        const [oldest, first] = this.#ciphers.entries().next().value!;
        first.close();
        this.#ciphers.delete(oldest);
      }
      cipher = new Aead(key);
      this.#ciphers.set(name, cipher);
    }
    return cipher;
  }
}

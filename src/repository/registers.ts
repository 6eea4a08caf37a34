// The registers of a repository, as values. Every value that is written carries a fresh nonce: no two are ever equal, so that a store
// which lost an answer can tell by reading back whose value is there.

import { Fault } from '../base/faults.ts';
import { decodeHead, encodeHead, type Head, NONCE_DIGITS } from '../format/head.ts';
import { decodeSnapshotRegister, encodeSnapshotRegister, type SnapshotRegister } from '../format/snapshot-register.ts';
import { type CallOptions, type ObjectStore, REGISTER_BYTES_MAX } from '../store/object-store.ts';
import type { Random } from './keyring.ts';
import { HEAD_REGISTER, hex, SNAPSHOTS_PREFIX } from './layout.ts';
import type { RegisterCodec } from './register-codec.ts';

export type Versioned<T> = { readonly value: T; readonly version: string };

export const snapshotKey = (session: string): string => `${SNAPSHOTS_PREFIX}${session}`;

export class Registers {
  readonly store: ObjectStore;
  readonly #codec: RegisterCodec;
  readonly #random: Random;

  constructor(store: ObjectStore, codec: RegisterCodec, random: Random) {
    this.store = store;
    this.#codec = codec;
    this.#random = random;
  }

  async readHead(options?: CallOptions): Promise<Versioned<Head> | undefined> {
    return this.#read(HEAD_REGISTER, decodeHead, options);
  }

  swapHead(head: Head, version: string | undefined, options?: CallOptions): Promise<{ readonly version: string } | 'conflict'> {
    return this.#swap(HEAD_REGISTER, encodeHead(head, this.#nonce()), version, options);
  }

  async readSnapshot(session: string, options?: CallOptions): Promise<Versioned<SnapshotRegister> | undefined> {
    return this.#read(snapshotKey(session), (value) => decodeSnapshotRegister(value, session), options);
  }

  swapSnapshot(
    register: SnapshotRegister,
    version: string | undefined,
    options?: CallOptions,
  ): Promise<{ readonly version: string } | 'conflict'> {
    return this.#swap(snapshotKey(register.session), encodeSnapshotRegister(register, this.#nonce()), version, options);
  }

  /** Only for sessions that are over: see README.md, "Registers are deleted last". */
  deleteSnapshot(session: string, options?: CallOptions): Promise<void> {
    return this.store.delete(snapshotKey(session), options);
  }

  async #read<T>(key: string, decode: (value: unknown) => T, options?: CallOptions): Promise<Versioned<T> | undefined> {
    const register = await this.store.read(key, options);
    return register === undefined
      ? undefined
      : { value: decode(this.#codec.decode(key, register.bytes)), version: register.version };
  }

  #swap(
    key: string,
    value: unknown,
    version: string | undefined,
    options?: CallOptions,
  ): Promise<{ readonly version: string } | 'conflict'> {
    const bytes = this.#codec.encode(key, value);
    if (bytes.length > REGISTER_BYTES_MAX) {
      throw new Fault(
        'REPOSITORY_FULL',
        `The register "${key}" would have ${bytes.length} bytes; a register has at most ${REGISTER_BYTES_MAX}`,
      );
    }
    return this.store.swap(key, bytes, version, options);
  }

  #nonce(): string {
    return hex(this.#random(NONCE_DIGITS / 2));
  }
}

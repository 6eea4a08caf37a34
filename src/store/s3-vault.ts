// Versions and locks of a store's keys in a bucket.

import type { CallOptions, KeptVersion, KeyKind, StoreKey, StoreVault } from './object-store.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Registers } from './s3-register.ts';
import { lockedUntil, lockUntil, versionsBelow, versionsOf } from './s3-versions.ts';
import { checkKey, isStoreKey } from './store-key.ts';

/** Of a register there may be thousands; the newest tell. */
const ASKED_MAX = 20;

export class S3Vault implements StoreVault {
  readonly #bucket: S3Bucket;
  readonly #registers: S3Registers;
  /** Empty, or with a slash at its end. */
  readonly #prefix: string;

  constructor(bucket: S3Bucket, registers: S3Registers, prefix: string) {
    this.#bucket = bucket;
    this.#registers = registers;
    this.#prefix = prefix;
  }

  async *versions(prefix: StoreKey, options?: CallOptions): AsyncGenerator<KeptVersion> {
    for await (const { key: name, ...version } of versionsBelow(this.#bucket, this.#prefix + prefix, options?.signal)) {
      const isRegister = name.endsWith('~');
      const key = name.slice(this.#prefix.length, isRegister ? -1 : undefined);
      if (isStoreKey(key)) yield { ...version, key, kind: isRegister ? 'register' : 'object' };
    }
  }

  async versionsOf(key: StoreKey, kind: KeyKind, options?: CallOptions): Promise<readonly KeptVersion[]> {
    const versions: KeptVersion[] = [];
    for await (const version of versionsOf(this.#bucket, this.#name(key, kind), options?.signal))
      versions.push({ ...version, key, kind });
    return versions;
  }

  async getVersion({ key, kind, versionId }: KeptVersion, options?: CallOptions): Promise<Uint8Array | undefined> {
    return (await this.#bucket.get(this.#name(key, kind), undefined, options?.signal, versionId))?.bytes;
  }

  async lock(key: StoreKey, kind: KeyKind, untilMs: number, options?: CallOptions): Promise<'locked' | 'missing'> {
    const name = this.#name(key, kind);
    const signal = options?.signal;
    const ids = kind === 'register' ? await this.#registers.versionIds(name, signal) : await this.#live(name, signal);
    // Some servers forget parts of a second.
    const until = Math.ceil(untilMs / 1000) * 1000;
    for (const versionId of ids) await lockUntil(this.#bucket, name, versionId, until, signal);
    return ids.length === 0 ? 'missing' : 'locked';
  }

  async lockOf({ key, kind, versionId, isMarker }: KeptVersion, options?: CallOptions): Promise<number | undefined> {
    return isMarker ? undefined : lockedUntil(this.#bucket, this.#name(key, kind), versionId, options?.signal);
  }

  async lockedUntilMs(key: StoreKey, kind: KeyKind, options?: CallOptions): Promise<number | undefined> {
    const name = this.#name(key, kind);
    let latest: number | undefined;
    let asked = 0;
    for await (const { versionId, isMarker } of versionsOf(this.#bucket, name, options?.signal)) {
      if (isMarker) continue;
      const until = await lockedUntil(this.#bucket, name, versionId, options?.signal);
      if (until !== undefined && until > (latest ?? 0)) latest = until;
      if (++asked === ASKED_MAX) break;
    }
    return latest;
  }

  /** What lies on top of the first may be somebody's who wants it gone: all are locked. */
  async #live(name: string, signal: AbortSignal | undefined): Promise<string[]> {
    const ids: string[] = [];
    for await (const { versionId, isMarker } of versionsOf(this.#bucket, name, signal)) {
      if (isMarker) break;
      ids.push(versionId);
    }
    return ids;
  }

  #name(key: StoreKey, kind: KeyKind): string {
    checkKey(key);
    return `${this.#prefix}${key}${kind === 'register' ? '~' : ''}`;
  }
}

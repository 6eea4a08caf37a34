// The log of one asset as an agent may touch it: names below the asset's own prefix and nothing else; what is stored stays. The register of
// the log is the agent's to extend, so what it offers is opened and compared: whatever stood in it must still stand there.

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Fault, isFault } from '../base/faults.ts';
import { decodeLogCatalogue, EMPTY_LOG_CATALOGUE, type LogCatalogue } from '../format/log-catalogue.ts';
import type { Tenant } from '../model/tenant.ts';
import {
  LOG_LISTED_MAX,
  type LogKeyRequest,
  type LogPutAnswer,
  type LogPutRequest,
  type LogReadAnswer,
  type LogReadRequest,
  type LogRegisterAnswer,
  type LogSwapAnswer,
  type LogSwapRequest,
} from '../protocol/log-messages.ts';
import { hex, unhex } from '../repository/layout.ts';
import { registerCodec } from '../repository/register-codec.ts';
import { mustNotBeReplica } from '../repository/replica-mark.ts';
import type { Repository } from '../repository/repository.ts';
import { storeReceivedKey } from '../repository/session-sealing.ts';
import { LOG_EPOCH_PREFIX } from '../repository/strays.ts';
import { base64 } from './sealed-keys.ts';
import type { StoreDoor } from './session-door.ts';
import type { SessionQuota } from './session-quota.ts';

const RANGE = /^(.*)\.[0-9]{6}$/;

export type OpenLogParts = {
  readonly repository: Repository;
  readonly tenant: Tenant;
  /** Its name. */
  readonly asset: string;
  readonly door: StoreDoor;
  readonly quota: SessionQuota;
};

export class OpenLog {
  readonly #parts: OpenLogParts;
  readonly #prefix: string;
  readonly #register: string;

  constructor(parts: OpenLogParts) {
    this.#parts = parts;
    const asset = hex(parts.repository.keyring.assetId(parts.asset));
    this.#prefix = `log/${asset}/`;
    this.#register = `logs/${asset}`;
  }

  async list(prefix: string): Promise<[string, number][]> {
    const objects: [string, number][] = [];
    for await (const page of this.#parts.repository.store.list(this.#own(prefix)))
      for (const { key, sizeBytes } of page)
        if (objects.length < LOG_LISTED_MAX) objects.push([key.slice(prefix.length), sizeBytes]);
    return objects;
  }

  async sizes(keys: readonly string[]): Promise<(number | null)[]> {
    const { store } = this.#parts.repository;
    return Promise.all(keys.map(async (key) => (await store.size(this.#own(key))) ?? null));
  }

  async read({ key, offset, length }: LogReadRequest): Promise<LogReadAnswer> {
    const { repository, door } = this.#parts;
    const size = await repository.store.size(this.#own(key));
    if (size === undefined) return { read: null };
    const end = length === undefined ? size : Math.min(size, offset + length);
    if (end <= offset) throw new Fault('MESSAGE_INVALID', `${key} has ${size} bytes: nothing is at ${offset}`);
    return { read: { length: end - offset, request: door.get(key, offset, end - offset) } };
  }

  /** QUOTA_EXCEEDED. */
  put({ key, lengthBytes, sha256 }: LogPutRequest): LogPutAnswer {
    const { door, quota, tenant } = this.#parts;
    quota.take(tenant, lengthBytes);
    return { grant: door.putLog({ key: this.#own(key), lengthBytes, sha256 }) };
  }

  /** The data key of an epoch: it must open, or nobody could ever read what follows. */
  async storeKey({ epoch, pairId, sealed }: LogKeyRequest): Promise<void> {
    const { repository } = this.#parts;
    if (!epoch.startsWith(LOG_EPOCH_PREFIX)) throw new Fault('SESSION_REFUSED', `${epoch} is no name of an epoch`);
    // A capture goes on for months, and begins an epoch whenever its connection broke.
    await repository.keys.mustBeCurrent();
    const received = { pairId, session: unhex(epoch), sealed: Buffer.from(sealed, 'base64') };
    const outcome = await storeReceivedKey(repository, received).catch((cause: unknown) => {
      if (!isFault(cause, 'KEY_NOT_FOUND', 'FORMAT_DAMAGED')) throw cause;
      throw new Fault('SESSION_REFUSED', `The key of the epoch ${epoch} does not open`, { cause });
    });
    if (outcome === 'another') throw new Fault('SESSION_REFUSED', `The epoch ${epoch} has another key already`);
  }

  async register(): Promise<LogRegisterAnswer> {
    const value = await this.#parts.repository.store.read(this.#register);
    return { value: value === undefined ? null : { bytes: base64(value.bytes), version: value.version } };
  }

  /** SESSION_REFUSED when something would be gone that stands there. */
  async swap({ bytes, version }: LogSwapRequest): Promise<LogSwapAnswer> {
    const { store, keyring } = this.#parts.repository;
    await mustNotBeReplica(store, registerCodec(keyring, randomBytes));
    const now = await store.read(this.#register);
    const offered = Buffer.from(bytes, 'base64');
    // Of another version: the store says so, or that an answer was lost.
    if (now?.version === version) this.#mustExtend(now?.bytes, offered);
    const swapped = await store.swap(this.#register, offered, version);
    return swapped === 'conflict' ? {} : { version: swapped.version };
  }

  /** Ranges whose section is stored. */
  async delete(keys: readonly string[]): Promise<void> {
    const { store } = this.#parts.repository;
    for (const key of keys) {
      const section = RANGE.exec(this.#own(key))?.[1];
      if (section === undefined || (await store.size(section)) === undefined)
        throw new Fault('SESSION_REFUSED', `${key} is the only place of what it holds`);
      await store.delete(key);
    }
  }

  /** Names of the epochs that are known. */
  async epochs(): Promise<ReadonlySet<string>> {
    const value = await this.#parts.repository.store.read(this.#register);
    return new Set(this.#decode(value?.bytes).epochs.map(({ epoch }) => epoch));
  }

  #mustExtend(before: Uint8Array | undefined, after: Uint8Array): void {
    const [old, offered] = [this.#decode(before), this.#decode(after)];
    const isThere =
      includesAll(offered.epochs, old.epochs) &&
      includesAll(offered.histories, old.histories) &&
      includesAll(offered.gaps, old.gaps) &&
      includesAll(offered.clockSteps ?? [], old.clockSteps ?? []) &&
      isDeepStrictEqual(offered.retired, old.retired) &&
      offered.epochs.every(({ epoch }) => epoch.startsWith(LOG_EPOCH_PREFIX));
    if (!isThere) throw new Fault('SESSION_REFUSED', 'The catalogue of the log would lose something');
  }

  #decode(bytes: Uint8Array | undefined): LogCatalogue {
    if (bytes === undefined) return EMPTY_LOG_CATALOGUE;
    try {
      return decodeLogCatalogue(registerCodec(this.#parts.repository.keyring, randomBytes).decode(this.#register, bytes));
    } catch (cause) {
      if (!isFault(cause, 'FORMAT_DAMAGED')) throw cause;
      throw new Fault('SESSION_REFUSED', 'The catalogue of the log cannot be read', { cause });
    }
  }

  #own(key: string): string {
    if (!key.startsWith(this.#prefix)) throw new Fault('SESSION_REFUSED', `${key} is not of the log of "${this.#parts.asset}"`);
    return key;
  }
}

function includesAll(all: readonly unknown[], some: readonly unknown[]): boolean {
  const texts = new Set(all.map((one) => JSON.stringify(one)));
  return some.every((one) => texts.has(JSON.stringify(one)));
}

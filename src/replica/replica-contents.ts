// Everything that a replica holds according to its own head and catalogues of logs, object by object: what verify and repair walk over.

import { randomBytes } from 'node:crypto';
import { listEpoch } from '../engine/log-listing.ts';
import { epochPrefix, rangeKey, sectionKey } from '../engine/log-objects.ts';
import { countWhile } from '../engine/log-reader.ts';
import { decodeHead, type Head } from '../format/head.ts';
import { directoryOf } from '../format/index-object.ts';
import { decodeLogCatalogue, type LogEpoch } from '../format/log-catalogue.ts';
import { LOG_SECTION_BYTES } from '../format/log-object.ts';
import { condemnedKey } from '../repository/condemned-lists.ts';
import { readableIndexes, rootsOf } from '../repository/head-changes.ts';
import { decodeIndexObject } from '../repository/index-objects.ts';
import type { Keyring } from '../repository/keyring.ts';
import { HEAD_REGISTER, hex, indexKey, packKey, unhex } from '../repository/layout.ts';
import { type RegisterCodec, registerCodec } from '../repository/register-codec.ts';
import { snapshotKey } from '../repository/registers.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { firstSectionOf } from './mirror-epoch.ts';
import { LOG_PREFIX } from './mirror-logs.ts';
import { type ObjectProof, readProven } from './mirror-object.ts';

export type HeldObject = {
  readonly key: string;
  readonly proof: ObjectProof;
  /** In bytes, where it is known. */
  readonly length: number | undefined;
};

export type HeldRegister = { readonly key: string };

export class ReplicaContents {
  readonly store: ObjectStore;
  readonly #keyring: Keyring;
  readonly #codec: RegisterCodec;
  readonly #signal: AbortSignal;
  /** 20 hex: of blocks in the packs that were walked over so far. */
  readonly sessions = new Set<string>();

  constructor(store: ObjectStore, keyring: Keyring, signal: AbortSignal) {
    this.store = store;
    this.#keyring = keyring;
    this.#codec = registerCodec(keyring, randomBytes);
    this.#signal = signal;
  }

  /** Undefined while it is not whole yet. */
  async head(): Promise<Head | undefined> {
    const register = await this.store.read(HEAD_REGISTER, { signal: this.#signal });
    return register === undefined ? undefined : decodeHead(this.#codec.decode(HEAD_REGISTER, register.bytes));
  }

  /** Index objects, then the packs that each names. One that cannot be read names nothing: `onUnreadable`. */
  async *objects(head: Head, onUnreadable: (key: string, error: unknown) => void): AsyncGenerator<HeldObject> {
    const seen = new Set<string>();
    for (const { id, bytes } of readableIndexes(head)) {
      const key = indexKey(id);
      yield { key, proof: 'named', length: bytes };
      try {
        const object = await readProven(this.store, key, 'named', this.#signal);
        if (object === undefined) continue;
        for (const pack of decodeIndexObject(id, object, this.#keyring)) {
          const packOf = packKey(pack.packId);
          if (seen.has(packOf)) continue;
          seen.add(packOf);
          for (const { session } of directoryOf(pack).sessions) this.sessions.add(hex(session));
          yield { key: packOf, proof: 'named', length: pack.packLength };
        }
      } catch (error) {
        onUnreadable(key, error);
      }
    }
    for (const { id } of head.condemned) if (id !== null) yield { key: condemnedKey(id), proof: 'named', length: undefined };
  }

  snapshotRegisters(head: Head): HeldRegister[] {
    return [...rootsOf(head)].map((session) => ({ key: snapshotKey(session) }));
  }

  /** 32 hex: assets that have a log here, as far as the head and a listing tell. */
  async logAssets(head: Head): Promise<string[]> {
    const assets = new Set([
      ...head.snapshots.map(({ assetId }) => assetId),
      ...head.writers.flatMap(({ assetId }) => assetId ?? []),
    ]);
    for await (const page of this.store.list(LOG_PREFIX, { signal: this.#signal }))
      for (const { key } of page) assets.add(key.slice(LOG_PREFIX.length).split('/')[0]!);
    return [...assets];
  }

  async epochs(assetId: string): Promise<readonly LogEpoch[]> {
    const key = `logs/${assetId}`;
    const register = await this.store.read(key, { signal: this.#signal });
    return register === undefined ? [] : decodeLogCatalogue(this.#codec.decode(key, register.bytes)).epochs;
  }

  /** Sections, then the ranges of the one that is open: all from the first that was not let go to the last that there is, but what the
   *  catalogue calls lost. */
  async *logObjects(assetId: string, epoch: LogEpoch): AsyncGenerator<HeldObject> {
    const prefix = epochPrefix(unhex(assetId), epoch);
    const first = firstSectionOf(epoch);
    const lost = new Set(epoch.lost?.map(({ object }) => `${prefix}/${object}`));
    const listed = await listEpoch(this.store, prefix, { signal: this.#signal });
    const keyOf = (n: number): string => sectionKey(prefix, first + n * LOG_SECTION_BYTES);
    const last = listed.sections.reduce((max, { section }) => Math.max(max, section), first - LOG_SECTION_BYTES);
    const known = (last - first) / LOG_SECTION_BYTES + 1;
    const sections = known + (await this.#count((n) => keyOf(known + n)));
    const open = first + sections * LOG_SECTION_BYTES;
    const numbers = listed.ranges.flatMap(({ section, number }) => (section === open ? [number + 1] : []));
    const ranges = Math.max(0, ...numbers);
    const keys = [
      ...Array.from({ length: sections }, (_, n) => keyOf(n)),
      ...Array.from({ length: ranges }, (_, n) => rangeKey(prefix, open, n)),
    ];
    for (const key of keys) if (!lost.has(key)) yield { key, proof: 'sealed', length: undefined };
  }

  #count(keyOf: (n: number) => string): Promise<number> {
    return countWhile(async (n) => (await this.store.size(keyOf(n), { signal: this.#signal })) !== undefined);
  }
}

// What one session may refer to, and the check of its map before it commits (map-check.ts): it keeps which blocks of others were offered,
// and where the session's own nodes lie, which no index of others names yet.

import type { IndexedPack } from '../format/index-object.ts';
import { directoryOf } from '../format/index-object.ts';
import { type BlockPlace, newBlockPlace } from '../index/tables.ts';
import { bytesEqual } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { BlockReader } from '../repository/block-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { sortDirectory } from '../repository/sort-directory.ts';
import { BlockSet, sessionOfBlock } from './block-set.ts';
import type { KnownSessions } from './known-sessions.ts';
import { checkMap } from './map-check.ts';
import type { HeldIndex } from './session-index.ts';

export type SessionMapParts = {
  readonly repository: Repository;
  readonly session: Uint8Array;
  readonly assetId: Uint8Array;
  readonly sessions: KnownSessions;
  readonly parent: Snapshot | undefined;
  /** As of now. */
  readonly index: () => HeldIndex;
  readonly refresh: () => Promise<void>;
};

export class SessionMap {
  readonly #parts: SessionMapParts;
  readonly #offered = new BlockSet();
  /** Latin1 block id. */
  readonly #nodes = new Map<string, BlockPlace>();

  constructor(parts: SessionMapParts) {
    this.#parts = parts;
  }

  /** A chunk in this block of another agent was offered. */
  offer(blockId: Uint8Array): void {
    this.#offered.add(blockId);
  }

  /** Packs that the session has stored. */
  learn(packs: readonly IndexedPack[]): void {
    for (const pack of packs) {
      if (pack.kind !== 'metadata') continue;
      const { sessions, blocks } = directoryOf(pack);
      for (const { id, sealedBy, ...block } of blocks) {
        const place = { ...block, ...sessions[sealedBy]!, pack: pack.packId, kind: pack.kind };
        this.#nodes.set(Buffer.from(id).toString('latin1'), place);
      }
    }
  }

  /** SESSION_REFUSED. */
  async check({ root }: Snapshot, signal: AbortSignal): Promise<void> {
    const { repository, session, parent } = this.#parts;
    const { store, keyring, keys, parameters, cacheDirectory } = repository;
    const reader = new BlockReader(store, keyring, keys, { find: (id) => this.#find(id), refresh: this.#parts.refresh });
    await checkMap({
      root,
      parent: parent?.root,
      session,
      offered: this.#offered,
      isOwn: (blockId) => this.#isOwn(blockId),
      readNode: (reference) => reader.read(reference, { signal }),
      unitBytes: parameters.paged.unitBytes,
      directory: sortDirectory(cacheDirectory),
      signal,
    });
  }

  #find(blockId: Uint8Array): BlockPlace | undefined {
    const own = this.#nodes.get(Buffer.from(blockId.buffer, blockId.byteOffset, blockId.length).toString('latin1'));
    if (own !== undefined) return own;
    const place = newBlockPlace();
    return this.#parts.index().reader.block(blockId, place) && place.kind === 'metadata' ? place : undefined;
  }

  /** A session is of one asset: one of its blocks says of which. What was written without this service is in no catalogue. */
  async #isOwn(blockId: Uint8Array): Promise<boolean> {
    if ((await this.#parts.sessions.learn(sessionOfBlock(blockId))) === 'own') return true;
    const place = newBlockPlace();
    return this.#parts.index().reader.block(blockId, place) && bytesEqual(place.assetId, this.#parts.assetId);
  }
}

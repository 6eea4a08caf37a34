// A restore that the service lets an agent do: of exactly one snapshot. When it begins, the map of the snapshot is walked, so that it is
// known which blocks it needs; places, requests and data keys are given for these and for no others.
//
// The snapshot is pinned while it is read. Packs may move meanwhile: `refresh` looks at the head again.

import { Fault } from '../base/faults.ts';
import { sealToPublicKey } from '../codec/sealed-box.ts';
import type { CommittedRegister } from '../format/snapshot-register.ts';
import { loadChecksum } from '../index/checksum.ts';
import type { BlockPlace } from '../index/tables.ts';
import { newBlockPlace } from '../index/tables.ts';
import { blockOf, referenceCount } from '../model/reference.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { SessionKeysAnswer, SessionKeysRequest } from '../protocol/session-messages.ts';
import { BlockReader } from '../repository/block-reader.ts';
import { readableIndexes } from '../repository/head-changes.ts';
import { Keyring } from '../repository/keyring.ts';
import { hex, unhex } from '../repository/layout.ts';
import { MapWalker, rootNode } from '../repository/map-walk.ts';
import { pinSnapshot, readRegistered, unpinSnapshot } from '../repository/registry.ts';
import type { Repository } from '../repository/repository.ts';
import type { SessionKeyCache } from '../repository/session-keys.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import { sortDirectory } from '../repository/sort-directory.ts';
import { BlockSet } from './block-set.ts';
import { ReadableBlocks } from './readable-blocks.ts';
import { base64 } from './sealed-keys.ts';
import type { StoreDoor } from './session-door.ts';
import type { HeldIndex, SessionIndex } from './session-index.ts';

export type ReadingParts = {
  readonly repository: Repository;
  readonly index: SessionIndex;
  readonly door: StoreDoor;
  /** With the keys as they are then: they may be changed while it runs. */
  readonly dataKey: SessionKeyCache['dataKey'];
  /** 20 hex digits. */
  readonly snapshot: string;
  readonly random: (bytes: number) => Uint8Array;
  readonly signal: AbortSignal;
};

export class OpenReading {
  readonly blocks: ReadableBlocks;
  readonly register: CommittedRegister;
  readonly snapshot: Snapshot;
  /** Opens the maps of the snapshot's asset. */
  readonly reader: Keyring;
  readonly #parts: ReadingParts;
  readonly #holder: string | undefined;
  #held: HeldIndex;
  #refreshing: Promise<void> | undefined;
  #isOver = false;

  private constructor(
    parts: ReadingParts,
    holder: string | undefined,
    held: HeldIndex,
    register: CommittedRegister,
    snapshot: Snapshot,
  ) {
    this.#parts = parts;
    this.#holder = holder;
    this.#held = held;
    this.register = register;
    this.snapshot = snapshot;
    const { keyring, parameters } = parts.repository;
    this.reader = new Keyring(hex(parts.random(8)), keyring.writerPayload(snapshot.asset), parameters);
    const needed = this.#needed;
    this.blocks = new ReadableBlocks({ index: () => this.#held, mayRead: (id) => needed.has(id), door: parts.door });
  }

  readonly #needed = new BlockSet();

  get parameters(): Repository['parameters'] {
    return this.#parts.repository.parameters;
  }

  /** SNAPSHOT_NOT_FOUND. Takes as long as reading the snapshot's map. */
  static async open(parts: ReadingParts): Promise<OpenReading> {
    const { repository, index, snapshot: name, signal } = parts;
    const { holder, head } = await pinSnapshot(repository.heads, name, repository.process, { signal });
    let held: HeldIndex | undefined;
    try {
      held = await index.hold(readableIndexes(head));
      const register = await readRegistered(repository.heads, name, { signal });
      const reading = new OpenReading(parts, holder, held, register, openSnapshot(repository, register));
      await reading.#findNeeded();
      return reading;
    } catch (error) {
      held?.release();
      await unpinSnapshot(repository.heads, holder).catch(() => {});
      throw error;
    }
  }

  /** Brings places to the head as it is now. Those who ask at the same time share one look. */
  refresh(): Promise<void> {
    this.#mustRun();
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Data keys of sessions whose blocks were placed by this reading. */
  async keys({ sessions, boxKey }: SessionKeysRequest): Promise<SessionKeysAnswer> {
    this.#mustRun();
    const boxes = await Promise.all(
      sessions.map(async (name) => {
        if (!this.blocks.sessions.has(name))
          throw new Fault('SESSION_REFUSED', `The snapshot ${this.snapshot.id} needs no key of the session ${name}`);
        const session = unhex(name);
        const dataKey = await this.#parts.dataKey(session);
        return base64(sealToPublicKey(Buffer.from(boxKey, 'base64'), dataKey, this.parameters.id, session));
      }),
    );
    return { boxes };
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#held.release();
    await unpinSnapshot(this.#parts.repository.heads, this.#holder);
  }

  async #refresh(): Promise<void> {
    const { repository, index } = this.#parts;
    const held = await index.hold(readableIndexes(await repository.heads.read()));
    const before = this.#held;
    this.#held = held;
    before.release();
    if (this.#isOver) held.release();
  }

  async #findNeeded(): Promise<void> {
    const { repository, signal } = this.#parts;
    const { store, keyring, keys, parameters } = repository;
    const { unitBytes } = parameters.paged;
    const root = rootNode(this.snapshot.root, unitBytes);
    if (root === undefined) return;
    const blocks = new BlockReader(store, keyring, keys, {
      find: (id): BlockPlace | undefined => {
        const place = newBlockPlace();
        return this.#held.reader.block(id, place) ? place : undefined;
      },
      refresh: () => this.refresh(),
    });
    const walker = new MapWalker({
      readNode: (reference) => blocks.read(reference, { signal }),
      unitBytes,
      directory: sortDirectory(repository.cacheDirectory),
      checksum: await loadChecksum(),
      onReferences: (references) => {
        for (let i = 0; i < referenceCount(references); i++) this.#needed.add(blockOf(references, i));
      },
      // What is damaged is found damaged again, and reported, by the restore.
      onBadNode: () => {},
      signal,
    });
    try {
      await walker.walk(root);
    } finally {
      walker.close();
    }
  }

  #mustRun(): void {
    if (this.#isOver) throw new Fault('SESSION_GONE', 'This reading is over');
  }
}

// A backup session that the service keeps for an agent: it answers what is known already, lets single packs through to the store, checks
// what the agent says of them, and commits. The agent holds no credential, and a key that writes one asset and reads no content.
//
// When the session ends without a commit, whatever was stored becomes known to the next one: as an index object if there is time
// (`abandon`), otherwise by the journal, in which every pack stands before it is granted.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { Catalog, WriteSession } from '../catalog/catalog.ts';
import { objectId } from '../codec/chunk-id.ts';
import { removeJournal, type UploadJournal } from '../engine/upload-journal.ts';
import type { IndexRef } from '../format/head.ts';
import type { IndexedPack } from '../format/index-object.ts';
import type { Agent } from '../model/agent.ts';
import type { Asset } from '../model/asset.ts';
import { instantOf } from '../model/instant.ts';
import { recoveryPointOf } from '../model/recovery-point.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Tenant } from '../model/tenant.ts';
import { BLOCK_ID_BYTES, CHUNK_ID_BYTES, CHUNK_PLACE_BYTES, encodePresence } from '../protocol/presence-codec.ts';
import type { CommitRequest, GrantsAnswer, OutcomeAnswer, PackToStore, SessionKeyRequest } from '../protocol/session-messages.ts';
import { readableIndexes } from '../repository/head-changes.ts';
import { decodeIndexObject, encodeIndexObject } from '../repository/index-objects.ts';
import type { Keyring } from '../repository/keyring.ts';
import { hex, indexKey, packKey, sessionKeyKey, unhex } from '../repository/layout.ts';
import { readPackDirectory } from '../repository/pack-directory.ts';
import type { Repository } from '../repository/repository.ts';
import { storeSessionKey } from '../repository/session-sealing.ts';
import type { BackupSession } from '../repository/sessions.ts';
import { openSnapshot } from '../repository/snapshots.ts';
import { sessionOfBlock } from './block-set.ts';
import { KnownSessions } from './known-sessions.ts';
import { ReadableBlocks } from './readable-blocks.ts';
import { checkIndexedPacks, type GrantedPack, isOwn, UnseenPacks } from './session-checks.ts';
import type { StoreDoor } from './session-door.ts';
import type { HeldIndex, SessionIndex } from './session-index.ts';
import { SessionMap } from './session-map.ts';
import type { SessionQuota } from './session-quota.ts';

/** Packs of one session: 8 TiB of those that are usual. */
const PACKS_MAX = 1_000_000;
const SIGN_OF_LIFE_MS = 3_600_000;

export type OpenSessionParts = {
  readonly agent: Agent;
  readonly runId: string;
  readonly fence: number;
  readonly tenant: Tenant;
  readonly asset: Asset;
  readonly repository: Repository;
  readonly session: BackupSession;
  /** Whose map may be shared. */
  readonly parent: Snapshot | undefined;
  /** What its chunks may refer to. */
  readonly index: HeldIndex;
  readonly indexes: SessionIndex;
  /** What the agent's key opens. */
  readonly writer: Keyring;
  readonly journal: UploadJournal;
  readonly door: StoreDoor;
  readonly quota: SessionQuota;
  readonly catalog: Catalog;
  readonly now: () => Date;
  /** When it is over, whatever way it went. */
  readonly onEnd: () => void;
};

export class OpenSession {
  readonly parts: OpenSessionParts;
  readonly blocks: ReadableBlocks;
  readonly openedAt: string;
  readonly #session: Uint8Array;
  readonly #assetId: Uint8Array;
  readonly #granted = new Map<string, GrantedPack>();
  readonly #unseen: UnseenPacks;
  readonly #indexes = new Map<string, IndexRef>();
  readonly #sessions: KnownSessions;
  readonly #map: SessionMap;
  readonly #stop = new AbortController();
  /** For reading its parent's map where a prune has moved it. Never for what its chunks may refer to. */
  #newer: HeldIndex | undefined;
  #signMs: number;
  #hasKey = false;
  #turn: Promise<unknown> = Promise.resolve();
  #outcome: 'committed' | 'abandoned' | undefined;

  constructor(parts: OpenSessionParts) {
    this.parts = parts;
    this.openedAt = instantOf(parts.now());
    this.#signMs = parts.now().getTime();
    this.#session = unhex(parts.session.name);
    this.#assetId = parts.repository.keyring.assetId(parts.asset.name);
    this.#unseen = new UnseenPacks(parts.repository.store, this.#stop.signal);
    this.#sessions = new KnownSessions(parts.catalog, parts.agent);
    this.#map = new SessionMap({
      repository: parts.repository,
      session: this.#session,
      assetId: this.#assetId,
      sessions: this.#sessions,
      parent: parts.parent,
      index: () => this.#newer ?? parts.index,
      refresh: () => this.refresh(),
    });
    this.blocks = new ReadableBlocks({
      index: () => this.#newer ?? parts.index,
      // Maps of its own asset: it holds their key.
      mayRead: (_, { kind, assetId }) => kind === 'metadata' && Buffer.compare(assetId, this.#assetId) === 0,
      door: parts.door,
    });
  }

  get name(): string {
    return this.parts.session.name;
  }

  get isOver(): boolean {
    return this.#outcome !== undefined;
  }

  /** `ids`: 32 bytes each. Answers chunks of the agent's own sessions and of proved ones. */
  async presence(ids: Uint8Array): Promise<Uint8Array> {
    this.#mustRun();
    const count = ids.length / CHUNK_ID_BYTES;
    const found = new Uint8Array(count);
    const places = new Uint8Array(count * CHUNK_PLACE_BYTES);
    if (this.parts.index.reader.chunkBatch(ids, count, found, places) === 0) return encodePresence({ found, places }, count);
    await this.#hideOthers(found, places);
    return encodePresence({ found, places }, count);
  }

  /** A sign of life in the head: a prune gives up writers that are silent for a day. */
  async keepAlive(): Promise<void> {
    const nowMs = this.parts.now().getTime();
    if (nowMs - this.#signMs < SIGN_OF_LIFE_MS) return;
    await this.checkpoint([]);
  }

  /** Finds blocks of the parent's map where they lie now. */
  async refresh(): Promise<void> {
    this.#mustRun();
    const { repository, indexes } = this.parts;
    const held = await indexes.hold(readableIndexes(await repository.heads.read()));
    this.#newer?.release();
    this.#newer = held;
    if (this.#outcome !== undefined) held.release();
  }

  /** Stores the session's data key, sealed to the tenant; it must open, or nobody could ever read what follows. */
  async storeKey({ pairId, sealed }: SessionKeyRequest): Promise<void> {
    this.#mustRun();
    const { store, keyring } = this.parts.repository;
    const object = Buffer.from(sealed, 'base64');
    try {
      keyring.openSessionKey(pairId, this.#session, object);
    } catch (cause) {
      throw new Fault('SESSION_REFUSED', `The key of the session ${this.name} does not open`, { cause });
    }
    if ((await storeSessionKey(store, sessionKeyKey(pairId, this.#session), object)) === 'another')
      throw new Fault('SESSION_REFUSED', `The session ${this.name} has another key already`);
    this.#hasKey = true;
  }

  async grants(packs: readonly PackToStore[]): Promise<GrantsAnswer> {
    this.#mustRun();
    if (!this.#hasKey) throw new Fault('SESSION_REFUSED', `The session ${this.name} stores its key before its packs`);
    const { door, journal, quota, tenant, repository } = this.parts;
    for (const { pack, kind, firstBlock, lengthBytes } of packs) {
      const known = this.#granted.get(pack);
      if (known !== undefined && (known.lengthBytes !== lengthBytes || known.kind !== kind))
        throw new Fault('SESSION_REFUSED', `The pack ${pack} has ${known.lengthBytes} bytes, it was said before`);
      if (known !== undefined) continue;
      if (lengthBytes > 4 * repository.parameters.packBytes + 16 * 1024 * 1024)
        throw new Fault('SESSION_REFUSED', `The pack ${pack} has ${lengthBytes} bytes: more than one of this repository has`);
      if (this.#granted.size >= PACKS_MAX) throw new Fault('SESSION_REFUSED', `The session ${this.name} has ${PACKS_MAX} packs`);
      quota.take(tenant, lengthBytes);
      journal.addLine({ id: pack, firstBlock, kind });
      const granted: GrantedPack = { kind, lengthBytes, isStored: false, isIndexed: false };
      this.#granted.set(pack, granted);
      this.#unseen.add(pack, granted);
    }
    this.#unseen.look();
    const grants = packs.map(({ pack, lengthBytes, sha256 }) =>
      door.put({ session: this.name, key: packKey(unhex(pack)), lengthBytes, sha256 }),
    );
    return { grants: await Promise.all(grants) };
  }

  /** A pack came through this service. */
  stored(pack: string): void {
    const granted = this.#granted.get(pack);
    if (granted !== undefined) granted.isStored = true;
  }

  /** Takes an index object that names this session's packs. */
  async storeIndex(bytes: Uint8Array): Promise<string> {
    this.#mustRun();
    const { store, keyring } = this.parts.repository;
    const id = hex(objectId(bytes));
    if (this.#indexes.has(id)) return id;
    let packs: readonly IndexedPack[];
    try {
      packs = decodeIndexObject(id, bytes, keyring);
      await checkIndexedPacks(packs, { session: this.#session, assetId: this.#assetId }, this.#granted, store);
    } catch (cause) {
      if (!isFault(cause, 'FORMAT_DAMAGED')) throw cause;
      throw new Fault('SESSION_REFUSED', `An index object of the session ${this.name} cannot be read`, { cause });
    }
    await store.put(indexKey(id), bytes);
    this.#accept(packs, { id, bytes: bytes.length, packs: packs.length });
    return id;
  }

  checkpoint(ids: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      this.#mustRun();
      await this.parts.session.checkpoint(this.#refs(ids));
      this.#signMs = this.parts.now().getTime();
    });
  }

  commit(request: CommitRequest): Promise<OutcomeAnswer> {
    return this.#inTurn(async () => {
      if (this.#outcome === 'committed') return { outcome: 'committed' as const };
      this.#mustRun();
      const snapshot = this.#openSnapshot(request);
      await this.#map.check(snapshot, this.#stop.signal);
      await this.parts.session.commit(request.snapshot, this.#refs(request.indexes));
      await this.#committed(snapshot);
      return { outcome: 'committed' as const };
    });
  }

  /** Ends it, whoever wants that. What was stored is kept for the next one. */
  abandon(): Promise<OutcomeAnswer> {
    this.#stop.abort(new Fault('SESSION_GONE', `The session ${this.name} is over`));
    return this.#inTurn(async () => {
      if (this.#outcome !== undefined) return { outcome: this.#outcome };
      const isSalvaged = await this.#salvage().then(
        () => true,
        () => false,
      );
      const outcome = await this.parts.session.abandon().finally(() => this.#end('abandoned'));
      // Otherwise the next session finds by it what no index names.
      if (isSalvaged) removeJournal(this.parts.repository.cacheDirectory, this.name);
      await this.#record('abandoned');
      return { outcome };
    });
  }

  #openSnapshot({ snapshot }: CommitRequest): Snapshot {
    const { writer, repository } = this.parts;
    const register = { state: 'committed', session: this.name, assetId: hex(this.#assetId), indexes: [], ...snapshot } as const;
    if (snapshot.keyId !== writer.keyId)
      throw new Fault('SESSION_REFUSED', `The snapshot of the session ${this.name} is signed by another key`);
    try {
      return openSnapshot({ keyring: writer, parameters: repository.parameters }, register);
    } catch (cause) {
      if (!isFault(cause, 'FORMAT_DAMAGED', 'KEY_CANNOT_READ')) throw cause;
      throw new Fault('SESSION_REFUSED', `The snapshot of the session ${this.name} is not one of its asset: ${cause.message}`);
    }
  }

  async #committed(snapshot: Snapshot): Promise<void> {
    const { catalog, repository } = this.parts;
    this.#end('committed');
    removeJournal(repository.cacheDirectory, this.name);
    await catalog.transaction(async (tables) => {
      await tables.sessions.put(this.#row('committed'));
      await tables.recoveryPoints.put(
        recoveryPointOf(snapshot, { tenantId: this.parts.tenant.id, assetId: this.parts.asset.id, runId: this.parts.runId }),
      );
    });
  }

  /** Packs that are stored and in no index object come into one. */
  async #salvage(): Promise<void> {
    const { repository, session } = this.parts;
    const { store, keyring, heads } = repository;
    const packs: IndexedPack[] = [];
    for (const [id, { isIndexed, kind }] of this.#granted) {
      if (isIndexed || kind !== 'data') continue;
      try {
        const read = await readPackDirectory(store, unhex(id), keyring);
        const owner = { session: this.#session, assetId: this.#assetId };
        if (!isOwn(read.directory, owner) || hex(read.trailer.session) !== this.name) continue;
        const { trailer, packLength, bytes } = read;
        packs.push({ packId: unhex(id), kind: trailer.kind, packLength, session: trailer.session, directory: bytes });
      } catch (error) {
        if (!isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED')) throw error;
      }
    }
    if (packs.length > 0) {
      const { id, bytes } = encodeIndexObject(packs, keyring, heads.ports.random);
      await store.put(indexKey(id), bytes);
      this.#accept(packs, { id, bytes: bytes.length, packs: packs.length });
    }
    if (this.#indexes.size > 0) await session.checkpoint([...this.#indexes.values()]);
  }

  #accept(packs: readonly IndexedPack[], ref: IndexRef): void {
    this.#indexes.set(ref.id, ref);
    this.#map.learn(packs);
    for (const { packId } of packs) {
      const granted = this.#granted.get(hex(packId));
      invariant(granted !== undefined, 'an accepted index object names granted packs');
      granted.isIndexed = true;
    }
  }

  #refs(ids: readonly string[]): IndexRef[] {
    return ids.map((id) => {
      const ref = this.#indexes.get(id);
      if (ref === undefined) throw new Fault('SESSION_REFUSED', `The index object ${id} is not one of the session ${this.name}`);
      return ref;
    });
  }

  async #hideOthers(found: Uint8Array, places: Uint8Array): Promise<void> {
    for (let i = 0; i < found.length; i++) {
      if (found[i] !== 1) continue;
      const block = places.subarray(i * CHUNK_PLACE_BYTES, i * CHUNK_PLACE_BYTES + BLOCK_ID_BYTES);
      const session = sessionOfBlock(block);
      const standing = this.#sessions.get(session) ?? (await this.#sessions.learn(session));
      if (standing === 'hidden') found[i] = 0;
      if (standing === 'proved') this.#map.offer(block);
    }
  }

  async #record(state: WriteSession['state']): Promise<void> {
    await this.parts.catalog.sessions.put(this.#row(state));
  }

  #row(state: WriteSession['state']): WriteSession {
    const { tenant, agent, runId } = this.parts;
    return { session: this.name, tenantId: tenant.id, agentId: agent.id, runId, state, openedAt: this.openedAt };
  }

  /** For the catalogue, when it has begun. */
  get row(): WriteSession {
    return this.#row('open');
  }

  #end(outcome: 'committed' | 'abandoned'): void {
    this.#outcome = outcome;
    this.parts.journal.close();
    this.parts.index.release();
    this.#newer?.release();
    this.parts.onEnd();
  }

  #mustRun(): void {
    if (this.#outcome !== undefined) throw new Fault('SESSION_GONE', `The session ${this.name} is over: ${this.#outcome}`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

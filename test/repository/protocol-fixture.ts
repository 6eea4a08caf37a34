// A repository with nothing in it but registers: for tests of the protocol that know what they want to happen.

import type { IndexRef } from '../../src/format/head.ts';
import { HeadKeeper, type RepositoryPorts } from '../../src/repository/head.ts';
import { hex, indexKey, packKey, unhex } from '../../src/repository/layout.ts';
import { type CondemnPlan, MaintenanceSession } from '../../src/repository/maintenance.ts';
import { type BackupDetails, BackupSession, type PackOrigin } from '../../src/repository/sessions.ts';
import type { CallOptions, ObjectStore } from '../../src/store/object-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { jsonCodec, sealBlocks } from './simulated-objects.ts';

export const PROCESS = { host: 'machine', processId: 12, bootId: 'f00' };
export const BACKUP: BackupDetails = { assetId: '0'.repeat(32), process: PROCESS };
export const SEALED = sealBlocks([]);
export const START = Date.UTC(2030, 0, 1);

export class ProtocolFixture {
  readonly memory = new MemoryStore();
  readonly heads: HeadKeeper;
  /** Milliseconds since START. */
  timeMs = 0;
  readonly sleptMs: number[] = [];
  #names = 0;

  private constructor() {
    this.heads = this.headsOn(this.memory);
  }

  static async make(): Promise<ProtocolFixture> {
    const fixture = new ProtocolFixture();
    await fixture.heads.create();
    return fixture;
  }

  /** Another program's view of the same repository. */
  headsOn(store: ObjectStore, sequenceSeen?: number): HeadKeeper {
    const sleep = async (durationMs: number, options?: CallOptions): Promise<void> => {
      options?.signal?.throwIfAborted();
      this.sleptMs.push(durationMs);
    };
    const random = (bytes: number) => seededBytes(bytes, ++this.#names);
    const ports: RepositoryPorts = { store, codec: jsonCodec, random, now: () => new Date(START + this.timeMs), sleep };
    return new HeadKeeper(ports, sequenceSeen);
  }

  begin(heads: HeadKeeper = this.heads): Promise<BackupSession> {
    return BackupSession.begin(heads, BACKUP);
  }

  maintain(heads: HeadKeeper = this.heads): Promise<MaintenanceSession> {
    return MaintenanceSession.begin(heads, PROCESS);
  }

  /** A stored pack of a session, with an index object that names it, stored too. */
  async pack(session: string): Promise<PackOrigin & { readonly index: IndexRef }> {
    const id = hex(seededBytes(32, ++this.#names));
    await this.memory.put(packKey(unhex(id)), new Uint8Array(1));
    return { id, session, index: await this.index() };
  }

  async index(): Promise<IndexRef> {
    const id = hex(seededBytes(32, ++this.#names));
    await this.memory.put(indexKey(id), new Uint8Array(1));
    return { id, bytes: 1, packs: 1 };
  }

  /** A committed and registered snapshot with one pack. */
  async snapshot(): Promise<{ readonly name: string; readonly pack: PackOrigin & { readonly index: IndexRef } }> {
    const session = await this.begin();
    const pack = await this.pack(session.name);
    await session.commit(SEALED, [pack.index]);
    return { name: session.name, pack };
  }

  /** A plan that condemns these packs, made from the head as it is now. */
  async plan(
    packs: readonly (PackOrigin & { readonly index: IndexRef })[],
    details: Partial<CondemnPlan> = {},
  ): Promise<CondemnPlan> {
    const head = await this.heads.read();
    const live = new Set(head.indexes.map(({ id }) => id));
    const roots = new Set(head.snapshots.map(({ session }) => session));
    const drop = packs.map(({ index }) => index.id).filter((id) => live.has(id));
    return { generation: head.generation, roots, drop, add: [], packs, ...details };
  }

  hasPack(id: string): boolean {
    return this.memory.objects.has(packKey(unhex(id)));
  }

  hasIndex(id: string): boolean {
    return this.memory.objects.has(indexKey(id));
  }
}

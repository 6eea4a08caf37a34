// Looks at the whole store after every step, as nobody else can, and says what is wrong with it.

import { decodeCondemnedList } from '../../src/format/condemned-list.ts';
import { type Condemned, decodeHead, type Head } from '../../src/format/head.ts';
import { decodeSnapshotRegister, type SnapshotRegister } from '../../src/format/snapshot-register.ts';
import { condemnedKey } from '../../src/repository/condemned-lists.ts';
import { rootsOf } from '../../src/repository/head-changes.ts';
import {
  HEAD_REGISTER,
  INDEX_PREFIX,
  indexKey,
  PACKS_PREFIX,
  packKey,
  SNAPSHOTS_PREFIX,
  unhex,
} from '../../src/repository/layout.ts';
import { parentsOf } from '../../src/repository/sessions.ts';
import type { MemoryStore } from '../support/memory-store.ts';
import { blocksOf, decodeIndex, type Index, jsonCodec } from './simulated-objects.ts';

export class ProtocolChecker {
  readonly #memory: MemoryStore;
  /** Backups that were told of success. */
  readonly told = new Set<string>();
  /** Snapshots that somebody wants to be forgotten. */
  readonly forgotten = new Set<string>();
  readonly #indexes = new Map<string, Index>();
  #sequence = 0;
  #seenVersion = '';
  #seenObjects = -1;

  constructor(memory: MemoryStore) {
    this.#memory = memory;
  }

  head(): Head {
    return decodeHead(jsonCodec.decode(HEAD_REGISTER, this.#memory.registers.get(HEAD_REGISTER)!.bytes));
  }

  register(session: string): SnapshotRegister | undefined {
    const key = `${SNAPSHOTS_PREFIX}${session}`;
    const value = this.#memory.registers.get(key);
    return value === undefined ? undefined : decodeSnapshotRegister(jsonCodec.decode(key, value.bytes), session);
  }

  /** Throws when a property is broken. */
  check(): void {
    // Nothing has changed since: registers get new versions, objects come or go.
    const versions = [...this.#memory.registers.values()].map(({ version }) => version).join();
    if (versions === this.#seenVersion && this.#seenObjects === this.#memory.objects.size) return;
    this.#seenVersion = versions;
    this.#seenObjects = this.#memory.objects.size;
    const head = this.head();
    this.#assert(head.sequence >= this.#sequence, 'the head went back');
    this.#sequence = head.sequence;
    const live = this.#checkIndex(head);
    this.#checkSnapshots(head, live);
    this.#checkTold(head);
  }

  /** What a store has when nobody is left and everything is swept. */
  checkClean(): void {
    const head = this.head();
    this.#assert(
      head.writers.length + head.condemned.length + head.retired.length + head.pins.length === 0,
      'something is left in the head',
    );
    const needed = new Set(head.snapshots.flatMap(({ session }) => this.#needs(session)));
    const objects = new Set<string>(head.indexes.map(({ id }) => indexKey(id)));
    for (const { id, blocks } of head.indexes.flatMap((ref) => this.#index(ref.id).packs)) {
      objects.add(packKey(unhex(id)));
      this.#assert(
        blocks.some((block) => needed.has(block.id)),
        `pack ${id} is kept and nobody needs it`,
      );
    }
    for (const key of this.#memory.objects.keys()) this.#assert(objects.has(key), `${key} is left`);
  }

  /** Registers of sessions that are in no head: see src/repository/README.md, "What can be left behind". */
  strays(): readonly SnapshotRegister[] {
    const { snapshots, writers, retired } = this.head();
    const known = new Set([...snapshots, ...writers].map(({ session }) => session).concat(retired));
    const sessions = [...this.#memory.registers.keys()]
      .filter((key) => key !== HEAD_REGISTER)
      .map((key) => key.slice(SNAPSHOTS_PREFIX.length));
    return sessions.filter((session) => !known.has(session)).map((session) => this.register(session)!);
  }

  #index(id: string): Index {
    const bytes = this.#memory.objects.get(indexKey(id));
    this.#assert(bytes !== undefined, `the head names the index object ${id}, which is not stored`);
    let index = this.#indexes.get(id);
    if (index === undefined) this.#indexes.set(id, (index = decodeIndex(bytes)));
    return index;
  }

  #packsOf({ id }: Condemned): readonly string[] {
    if (id === null) return [];
    const bytes = this.#memory.objects.get(condemnedKey(id));
    this.#assert(bytes !== undefined, `the head names the condemned list ${id}, which is not stored`);
    return decodeCondemnedList(bytes).packs;
  }

  /** Block -> packs of the live index. */
  #checkIndex(head: Head): Set<string> {
    const condemned = new Set<string>();
    for (const entry of head.condemned) {
      for (const pack of this.#packsOf(entry)) {
        this.#assert(!condemned.has(pack), `pack ${pack} is condemned twice`);
        condemned.add(pack);
      }
      if (entry.awaits.length > 0) for (const { id } of entry.indexes) this.#index(id);
    }
    const live = new Set<string>();
    for (const ref of head.indexes) {
      for (const { id, blocks } of this.#index(ref.id).packs) {
        this.#assert(this.#memory.objects.has(packKey(unhex(id))), `the index names the pack ${id}, which is not stored`);
        this.#assert(!condemned.has(id), `the index names the condemned pack ${id}`);
        for (const block of blocks) live.add(block.id);
      }
    }
    return live;
  }

  #checkSnapshots(head: Head, live: ReadonlySet<string>): void {
    const parents = new Set(parentsOf(head).map(({ session }) => session));
    const committed = head.writers.filter(({ session }) => this.register(session)?.state === 'committed');
    for (const session of [...rootsOf(head), ...committed.map((writer) => writer.session)]) {
      const lost = this.#needs(session).filter((block) => !live.has(block));
      if (lost.length === 0) continue;
      this.#assert(
        !parents.has(session),
        `the snapshot ${session} may be shared and needs blocks that are not in the index: ${lost}`,
      );
      const elsewhere = this.#blocksBeyondTheIndex(head, session);
      this.#assert(
        lost.every((block) => elsewhere.has(block)),
        `the snapshot ${session} has lost blocks: ${lost}`,
      );
    }
  }

  /** Blocks that a committed session has not brought into the index yet, and those of condemned packs that wait for this session. */
  #blocksBeyondTheIndex(head: Head, session: string): Set<string> {
    const register = this.register(session);
    const isWriter = head.writers.some((writer) => writer.session === session);
    const refs = register?.state === 'committed' && isWriter ? register.indexes : [];
    const waiting = head.condemned.filter(({ awaits }) => awaits.includes(session));
    const packs = [...refs, ...waiting.flatMap(({ indexes }) => indexes)].flatMap(({ id }) => this.#index(id).packs);
    const stored = packs.filter(({ id }) => this.#memory.objects.has(packKey(unhex(id))));
    return new Set(stored.flatMap(({ blocks }) => blocks.map(({ id }) => id)));
  }

  #needs(session: string): readonly string[] {
    const register = this.register(session);
    this.#assert(register?.state === 'committed', `the snapshot ${session} is registered, its register is ${register?.state}`);
    return blocksOf(register);
  }

  #checkTold(head: Head): void {
    const there = rootsOf(head);
    for (const session of this.told) {
      if (there.has(session) || this.forgotten.has(session)) continue;
      const isWriter = head.writers.some((writer) => writer.session === session);
      this.#assert(
        isWriter && this.register(session)?.state === 'committed',
        `the backup ${session} was told of success and is not there`,
      );
    }
  }

  #assert(condition: boolean, what: string): asserts condition {
    if (!condition) throw new Error(`Broken: ${what}`);
  }
}

export const OBJECT_PREFIXES = [PACKS_PREFIX, INDEX_PREFIX] as const;

// A maintenance session: what prune and repair change in the index, by way of the head. README.md, "Condemn, settle, sweep".
//
// It re-uses nothing, so nobody needs to await it, and it has no register: a head without it is a head that it cannot change any more.
// What it stores (moved blocks, index objects, condemned lists) is safe from other maintenance while it is among the writers.

import { Fault, isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { Condemned, Head, IndexRef, ProcessFacts, Writer } from '../format/head.ts';
import type { CallOptions } from '../store/object-store.ts';
import { condemnedKey, putCondemnedList, readCondemned, readCondemnedList } from './condemned-lists.ts';
import type { HeadKeeper } from './head.ts';
import { condemn, rootsOf, settle, writerOf } from './head-changes.ts';
import { Member, revoked } from './member.ts';
import { adoptPacks, areAdoptable, type PackOrigin } from './sessions.ts';
import { endWriters, leaveHead, type WriterPolicy } from './writers.ts';

const SETTLE_ATTEMPTS_MAX = 20;

export type CondemnPlan = {
  /** Of the head that the plan was made from. */
  readonly generation: number;
  /** Sessions whose snapshots were marked: at least `rootsOf` that head. */
  readonly roots: ReadonlySet<string>;
  /** Ids of index objects that leave the live index: all that name a condemned pack. */
  readonly drop: readonly string[];
  /** Index objects that come in their place, stored: every pack of the dropped ones but the condemned, and packs with moved blocks. */
  readonly add: readonly IndexRef[];
  /** Packs that no root needs, or whose needed blocks were moved. Never packs of a session that runs, nor condemned ones; but packs that
   *  this session has stored for a plan that was void (others may take them over once it is given up: do not delete them otherwise). */
  readonly packs: readonly PackOrigin[];
  /** Packs that were in no index and that `add` names: found by a repair, and read after the head that the plan was made from. Those that
   *  this session has stored need not be here. */
  readonly adopts?: readonly PackOrigin[];
};

/** What `examine` is asked: which of `packs` do these snapshots need? Their blocks are named by the index objects `entry.indexes`. */
export type Examination = {
  readonly head: Head;
  readonly entry: Condemned;
  readonly packs: readonly string[];
  readonly snapshots: readonly string[];
};

/** Packs that come back, and the index object that names them, stored. */
export type Kept = { readonly packs: readonly string[]; readonly index: IndexRef };

export type SettleDetails = {
  readonly policy: WriterPolicy;
  /** For people: who revokes. */
  readonly by: string;
  /** Called only when backups that ran during the condemnation have committed. Undefined when they need none of the packs. */
  readonly examine: (examination: Examination, options?: CallOptions) => Promise<Kept | undefined>;
};

export type Settled =
  /** Sweep it. */
  | { readonly outcome: 'settled' }
  /** These run still; the condemnation stays, and a later prune goes on. */
  | { readonly outcome: 'waiting'; readonly writers: readonly Writer[] }
  /** Somebody else has swept it. */
  | { readonly outcome: 'gone' };

export class MaintenanceSession {
  readonly #member: Member;

  private constructor(member: Member) {
    this.#member = member;
  }

  static async begin(heads: HeadKeeper, process: ProcessFacts, options?: CallOptions): Promise<MaintenanceSession> {
    const { member } = await Member.join(heads, { kind: 'maintenance', assetId: null, process }, options);
    return new MaintenanceSession(member);
  }

  /** 20 hex digits; stands in everything that this session stores. */
  get name(): string {
    return this.#member.session;
  }

  /** Takes packs out of the index, or only exchanges index objects (no packs). 'stale': the index or the snapshots have changed since the
   *  plan was made, and nothing of it has happened or will; make another. SESSION_REVOKED when somebody has given this session up. */
  async condemn(plan: CondemnPlan, options?: CallOptions): Promise<Condemned | 'stale'> {
    const { heads } = this.#member;
    const seen = await readCondemned(heads, options);
    if (writerOf(seen.head, this.name) === undefined) throw revoked(this.name);
    if (seen.head.generation !== plan.generation) return 'stale';
    invariant(!plan.packs.some(({ id }) => seen.packs.has(id)), 'a pack is condemned once');
    const running = new Set(seen.head.writers.map(({ session }) => session));
    running.delete(this.name);
    invariant(!plan.packs.some(({ session }) => running.has(session)), 'packs of a running session are not condemned');
    if (!areAdoptable(seen, plan.adopts ?? [], this.name)) return 'stale';
    const list = await putCondemnedList(
      heads,
      this.name,
      plan.packs.map(({ id }) => id),
      options,
    );
    const { outcome, head } = await this.#member.advance({ apply: (current) => condemn(current, { ...plan, list }) }, options);
    if (outcome === 'stale') {
      if (list !== null) await heads.store.delete(condemnedKey(list.id), options);
      return 'stale';
    }
    const generation = plan.generation + 1;
    // When the answer was lost another prune may have settled and swept it already. It happened all the same: what the plan added is live.
    const swept: Condemned = { generation, id: list?.id ?? null, packs: list?.packs ?? 0, indexes: [], awaits: [] };
    return head.condemned.find((entry) => entry.generation === generation) ?? swept;
  }

  /** As BackupSession.adopt. */
  async adopt(index: IndexRef, packs: readonly PackOrigin[], options?: CallOptions): Promise<'adopted' | 'stale'> {
    return (await adoptPacks(this.#member, index, packs, options)) === 'stale' ? 'stale' : 'adopted';
  }

  /** Brings a condemnation (of any prune) to where it can be swept: everybody who may still need its packs has committed, and is looked
   *  at, or is revoked. */
  async settle(generation: number, details: SettleDetails, options?: CallOptions): Promise<Settled> {
    const { heads } = this.#member;
    for (let attempt = 0; attempt < SETTLE_ATTEMPTS_MAX; attempt++) {
      const awaited = new Set((await heads.read(options)).condemned.find((entry) => entry.generation === generation)?.awaits);
      const { running } = await endWriters(heads, details.policy, details.by, ({ session }) => awaited.has(session), options);
      if (running.length > 0) return { outcome: 'waiting', writers: running };
      const head = await heads.read(options);
      const entry = head.condemned.find((other) => other.generation === generation);
      if (entry === undefined) return { outcome: 'gone' };
      if (entry.awaits.length === 0) return { outcome: 'settled' };
      if ((await this.#settle(head, entry, details, options)) === 'done') return { outcome: 'settled' };
    }
    throw new Fault(
      'HEAD_CONTENTION',
      `Others changed the index ${SETTLE_ATTEMPTS_MAX} times while the condemnation ${generation} was being settled`,
    );
  }

  async #settle(head: Head, entry: Condemned, { examine }: SettleDetails, options?: CallOptions): Promise<'done' | 'stale'> {
    const { store } = this.#member.heads;
    const roots = rootsOf(head);
    const snapshots = entry.awaits.filter((session) => roots.has(session));
    let list = entry.id === null ? null : { id: entry.id, packs: entry.packs };
    const add: IndexRef[] = [];
    if (list !== null && snapshots.length > 0) {
      const packs = await this.#packsOf(list.id, options);
      if (packs === undefined) return 'stale';
      const kept = await examine({ head, entry, packs, snapshots }, options);
      if (kept !== undefined) {
        const back = new Set(kept.packs);
        list = await putCondemnedList(
          this.#member.heads,
          this.name,
          packs.filter((pack) => !back.has(pack)),
          options,
        );
        add.push(kept.index);
      }
    }
    const settlement = { generation: head.generation, condemned: entry.generation, add, list };
    const { outcome } = await this.#member.advance({ apply: (current) => settle(current, settlement) }, options);
    const unused = outcome === 'done' ? entry.id : list?.id;
    if (list?.id !== entry.id && unused !== null && unused !== undefined) await store.delete(condemnedKey(unused), options);
    return outcome;
  }

  /** Undefined when another prune has settled the entry meanwhile and deleted the list. */
  async #packsOf(id: string, options?: CallOptions): Promise<readonly string[] | undefined> {
    try {
      return (await readCondemnedList(this.#member.heads.store, id, options)).packs;
    } catch (fault) {
      if (!isFault(fault, 'STORE_NOT_FOUND')) throw fault;
      const { condemned } = await this.#member.heads.read(options);
      if (condemned.some((entry) => entry.id === id)) throw fault;
      return undefined;
    }
  }

  /** Leaves the head. What it has stored and not brought into the head is waste from now on. */
  async end(options?: CallOptions): Promise<void> {
    await leaveHead(this.#member.heads, this.name, options);
  }
}

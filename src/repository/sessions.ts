// A backup's session: begin, publish what was uploaded, then commit or abandon. README.md argues why this loses nothing.
//
// What a session may refer to: chunks and blocks of the live index that it learned from a head in which it was among the writers; what it
// has stored itself; and the whole map of a snapshot of `parents`. Nothing else, however it came to know of it.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { invariant } from '../base/invariant.ts';
import type { Head, IndexRef, ProcessFacts, RegisteredSnapshot } from '../format/head.ts';
import { COMMITTED_INDEXES_MAX, type CommittedRegister, type SealedSnapshot } from '../format/snapshot-register.ts';
import type { CallOptions } from '../store/object-store.ts';
import { readCondemned, type SeenCondemned } from './condemned-lists.ts';
import type { HeadKeeper } from './head.ts';
import { adopt, publish, writerOf } from './head-changes.ts';
import { packKey, unhex } from './layout.ts';
import { Member, revoked } from './member.ts';
import { decideRegister, finish, leaveHead } from './writers.ts';

const SIZES_IN_FLIGHT_MAX = 16;

/** What a session learns, in the same swap that makes it known. */
export type SessionView = {
  readonly generation: number;
  /** The live index, all of it. */
  readonly indexes: readonly IndexRef[];
  /** Snapshots whose maps may be shared as they are. */
  readonly parents: readonly RegisteredSnapshot[];
};

export type BackupDetails = { readonly assetId: string; readonly process: ProcessFacts };
export type PackOrigin = { readonly id: string; readonly session: string };

/** Committed either way. Not registered: the head could not be changed (`cause`); whoever next looks at the writers will do it. */
export type Committed = { readonly registered: true } | { readonly registered: false; readonly cause: unknown };

export class BackupSession {
  readonly #member: Member;
  readonly #assetId: string;
  #view: SessionView;
  /** Once published, an index object is never given to the head again: a prune may have merged it into another and delete it. */
  readonly #published = new Set<string>();
  #openVersion: string | undefined;
  #isOver = false;

  private constructor(member: Member, assetId: string, head: Head) {
    this.#member = member;
    this.#assetId = assetId;
    this.#view = viewOf(head);
  }

  /** REPOSITORY_BUSY, REPOSITORY_FULL, HEAD_CONTENTION; SESSION_REVOKED when it was given up before it had begun. */
  static async begin(heads: HeadKeeper, { assetId, process }: BackupDetails, options?: CallOptions): Promise<BackupSession> {
    const { member, head } = await Member.join(heads, { kind: 'backup', assetId, process }, options);
    const session = new BackupSession(member, assetId, head);
    await session.#open(options);
    return session;
  }

  /** 20 hex digits: the name of the session and of its snapshot. */
  get name(): string {
    return this.#member.session;
  }

  /** As of the last change of the head that this session made. */
  get view(): SessionView {
    return this.#view;
  }

  /** Makes packs of this session visible: they are found again should it die. Index objects and packs must be stored. Without index
   *  objects it is a sign of life. SESSION_REVOKED when the session cannot go on. */
  async checkpoint(indexes: readonly IndexRef[], options?: CallOptions): Promise<SessionView> {
    this.#mustRun();
    // Filtered when it is applied: by then it is known what became of a checkpoint before this one whose answer was lost.
    const apply = (current: Head) => publish(current, this.#unpublished(indexes));
    const { head } = await this.#member.advance({ apply, onDone: () => this.#publish(indexes) }, options);
    this.#view = viewOf(head);
    return this.#view;
  }

  /** Takes over packs that are in no index, of sessions that are over; `index` names exactly these. 'stale' when one of them is condemned,
   *  gone, or of a session that runs, or a prune came in between: look again, or leave it. */
  async adopt(index: IndexRef, packs: readonly PackOrigin[], options?: CallOptions): Promise<'adopted' | 'stale'> {
    this.#mustRun();
    const adopted = await adoptPacks(this.#member, index, packs, options);
    if (adopted === 'stale') return 'stale';
    this.#view = viewOf(adopted);
    return 'adopted';
  }

  /** Commits. `indexes`: index objects of this session, at least those that no checkpoint has published; they and all packs are stored.
   *  When it throws anything but SESSION_REVOKED the outcome may be unknown: `commit` again, or `abandon`, finds out. */
  async commit(snapshot: SealedSnapshot, indexes: readonly IndexRef[], options?: CallOptions): Promise<Committed> {
    this.#mustRun();
    const { heads } = this.#member;
    await this.#member.catchUp(options);
    const rest = this.#unpublished(indexes);
    invariant(rest.length <= COMMITTED_INDEXES_MAX, 'a session publishes its index objects before they are so many');
    // The register was made after the session had joined. Only that the session is still there after the register was made tells that
    // nobody has revoked it, and deleted the revoked register, in between.
    if (writerOf(await heads.read(options), this.name) === undefined) return this.#wasEnded(options);
    const register = { state: 'committed', session: this.name, assetId: this.#assetId, indexes: rest, ...snapshot } as const;
    const swapped = await heads.registers.swapSnapshot(register, this.#openVersion, options);
    return swapped === 'conflict' ? this.#wasEnded(options) : this.#finish(register, options);
  }

  /** Gives up. 'committed' when a commit had happened after all (its answer was lost). */
  async abandon(options?: CallOptions): Promise<'abandoned' | 'committed'> {
    this.#isOver = true;
    const { heads } = this.#member;
    if (this.#openVersion !== undefined) {
      const current = await heads.registers.readSnapshot(this.name, options);
      if (current !== undefined) {
        const decided = await decideRegister(heads, this.name, 'itself', options);
        if (decided.state === 'committed') {
          await finish(heads, decided.register, options);
          return 'committed';
        }
      }
    }
    await leaveHead(heads, this.name, options);
    await heads.registers.deleteSnapshot(this.name, options);
    return 'abandoned';
  }

  async #open(options?: CallOptions): Promise<void> {
    const { registers } = this.#member.heads;
    try {
      const swapped = await registers.swapSnapshot(
        { state: 'open', session: this.name, assetId: this.#assetId },
        undefined,
        options,
      );
      if (swapped !== 'conflict') this.#openVersion = swapped.version;
      else await this.#wasEnded(options);
    } catch (error) {
      // Nobody will commit in this session's name; should this fail too, the next prune drops it.
      if (!isFault(error, 'SESSION_REVOKED')) await this.abandon().catch(() => {});
      throw error;
    }
  }

  async #finish(register: CommittedRegister, options?: CallOptions): Promise<Committed> {
    this.#isOver = true;
    try {
      // 'gone' means that somebody has finished it and somebody else has forgotten it: it was committed.
      await finish(this.#member.heads, register, options);
      return { registered: true };
    } catch (cause) {
      return { registered: false, cause };
    }
  }

  /** Others have ended it, or an earlier commit of its own whose answer was lost. */
  async #wasEnded(options?: CallOptions): Promise<Committed> {
    const { heads } = this.#member;
    const current = await heads.registers.readSnapshot(this.name, options);
    if (current?.value.state === 'committed') return this.#finish(current.value, options);
    this.#isOver = true;
    try {
      await leaveHead(heads, this.name, options);
      await heads.registers.deleteSnapshot(this.name, options);
    } catch {
      // Whatever keeps it from cleaning up, that it was revoked is what its caller must hear. A prune cleans up after it.
    }
    throw current?.value.state === 'revoked'
      ? revoked(this.name, `${current.value.by} revoked it at ${current.value.at}`)
      : revoked(this.name, 'it was revoked, or its snapshot is forgotten already');
  }

  #unpublished(indexes: readonly IndexRef[]): readonly IndexRef[] {
    return indexes.filter(({ id }) => !this.#published.has(id));
  }

  #publish(indexes: readonly IndexRef[]): void {
    for (const { id } of indexes) this.#published.add(id);
  }

  #mustRun(): void {
    invariant(!this.#isOver, `the session ${this.name} is over`);
  }
}

/** The whole map of such a snapshot is in the live index: it is no snapshot that a condemnation still waits to look at. */
export function parentsOf(head: Head): RegisteredSnapshot[] {
  const awaited = new Set(head.condemned.flatMap(({ awaits }) => awaits));
  return head.snapshots.filter(({ session }) => !awaited.has(session));
}

/** Whether packs that are in no index may come into it, as long as the generation stays what it is in `seen`, and if they were there after
 *  this generation had begun: they are not condemned, and nobody else may still bring them in. */
export function areAdoptable({ head, packs: condemned }: SeenCondemned, packs: readonly PackOrigin[], self: string): boolean {
  const running = new Set(head.writers.map(({ session }) => session));
  running.delete(self);
  return packs.every(({ id, session }) => !condemned.has(id) && !running.has(session));
}

/** Answers the head with the packs in its index. */
export async function adoptPacks(
  member: Member,
  index: IndexRef,
  packs: readonly PackOrigin[],
  options?: CallOptions,
): Promise<Head | 'stale'> {
  const { heads } = member;
  const seen = await readCondemned(heads, options);
  if (!areAdoptable(seen, packs, member.session)) return 'stale';
  // Asked after the head was read: what is there now and was not condemned then can only go by a condemnation, which changes the generation.
  let isComplete = true;
  await forEachBounded(packs, SIZES_IN_FLIGHT_MAX, async ({ id }) => {
    if ((await heads.store.size(packKey(unhex(id)), options)) === undefined) isComplete = false;
  });
  if (!isComplete) return 'stale';
  const sessions = new Set(packs.map(({ session }) => session));
  const plan = { generation: seen.head.generation, drop: [], add: [index] };
  const { outcome, head } = await member.advance({ apply: (current) => adopt(current, plan, sessions) }, options);
  return outcome === 'stale' ? 'stale' : head;
}

function viewOf(head: Head): SessionView {
  return { generation: head.generation, indexes: head.indexes, parents: parentsOf(head) };
}

// Locking what can be restored from a place, for so long that nobody, the owner of its credentials included, deletes it before that.
//
// A lock that an object got when it was put ends, while recovery points of later days go on using it. So what the head and the catalogues
// name is locked anew, when less than the wanted time remains, and then for longer by a slack: each object takes one request in so many
// days. What is known to be locked long enough is not asked for (LockMarks); packs are known by the index object that names them, which is
// not even read then.
//
// The object `repository` comes last, and only when all else is locked: its own lock is the proof of a whole run, which anybody can ask for.
//
// What is missing here although the head names it was deleted by somebody: this is where that is noticed first.

import { forEachBounded } from '../base/bounded.ts';
import { Fault } from '../base/faults.ts';
import type { Head } from '../format/head.ts';
import { readableIndexes } from '../repository/head-changes.ts';
import type { Keyring } from '../repository/keyring.ts';
import { HEAD_REGISTER, indexKey, KEYS_PREFIX, REPOSITORY_OBJECT, SESSION_KEYS_PREFIX } from '../repository/layout.ts';
import { REPLICA_REGISTER } from '../repository/replica-mark.ts';
import type { KeyKind, ObjectStore, StoreVault } from '../store/object-store.ts';
import type { Timing } from '../store/timing.ts';
import type { LockMarks } from './lock-marks.ts';
import { ReplicaContents } from './replica-contents.ts';

const MISSING_MAX = 1_000;
/** While a prune deletes, the head that was read names what goes. */
const ROUNDS_MAX = 3;

const DAY_MS = 86_400_000;
const SLACK_SHARE = 1 / 3;

/** When nobody says otherwise: each object takes a request in a third of the days. */
export function usualSlackMs(promisedMs: number): number {
  return Math.max(DAY_MS, promisedMs * SLACK_SHARE);
}

export type LockOptions = {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  /** From now on. */
  readonly lockMs: number;
  /** Added when something is locked, so that it is not needed again for that time. */
  readonly slackMs: number;
  readonly now: Date;
  readonly marks: LockMarks;
  readonly parallel: number;
  readonly requestsPerSecond?: number | undefined;
  readonly timing: Timing;
  readonly signal: AbortSignal;
  readonly progress: LockProgress;
};

export class LockProgress {
  /** Objects and registers that were locked now. */
  locked = 0;
  /** Index objects, snapshots and pieces of log that are known to be locked long enough. */
  skipped = 0;
}

export type LockReport = {
  readonly locked: number;
  readonly skipped: number;
  /** What the head names and the store does not have. */
  readonly missing: readonly string[];
  /** Until when everything is locked at least. */
  readonly until: Date;
};

export async function lockContents(options: LockOptions): Promise<LockReport> {
  const { vault } = options.store;
  if (vault === undefined) throw new Fault('STORE_NO_OBJECT_LOCK', `Nothing can be locked at ${options.store.location}`);
  const run = new LockRun(options, vault);
  await run.mustBeTrue();
  for (let round = 1; ; round++) {
    const generation = await run.round();
    if (run.missing.size === 0 || round === ROUNDS_MAX || generation === (await run.generation())) break;
    run.missing.clear();
  }
  options.marks.end();
  const { progress, now, lockMs } = options;
  const until = new Date(now.getTime() + lockMs);
  return { locked: progress.locked, skipped: progress.skipped, missing: [...run.missing], until };
}

class LockRun {
  readonly #options: LockOptions;
  readonly #vault: StoreVault;
  readonly #contents: ReplicaContents;
  readonly #wantedMs: number;
  readonly #untilMs: number;
  readonly missing = new Set<string>();
  #nextAtMs = 0;

  constructor(options: LockOptions, vault: StoreVault) {
    this.#options = options;
    this.#vault = vault;
    this.#contents = new ReplicaContents(options.store, options.keyring, options.signal);
    this.#wantedMs = options.now.getTime() + options.lockMs;
    this.#untilMs = this.#wantedMs + options.slackMs;
  }

  /** Marks of another bucket that has this address now would leave everything open. */
  async mustBeTrue(): Promise<void> {
    const { marks, signal } = this.#options;
    const sample = marks.sample();
    if (sample === undefined) return;
    const [kind, key] = placeOf(sample.mark);
    if (((await this.#vault.lockedUntilMs(key, kind, { signal })) ?? 0) < sample.untilMs) marks.forgetAll();
  }

  async generation(): Promise<number | undefined> {
    return (await this.#contents.head())?.generation;
  }

  /** Answers the generation of the head that it has locked. */
  async round(): Promise<number> {
    const { store, signal } = this.#options;
    const head = await this.#contents.head();
    if (head === undefined) throw new Fault('HEAD_MISSING', `The repository at ${store.location} has no head`);
    const keys: string[] = [];
    for await (const page of store.list(KEYS_PREFIX, { signal })) for (const { key } of page) keys.push(key);
    await this.#all('object', keys);
    for (const index of readableIndexes(head)) await this.#index(head, index.id);
    await this.#all(
      'register',
      this.#contents.snapshotRegisters(head).map(({ key }) => key),
    );
    await this.#logs(head);
    if ((await store.read(REPLICA_REGISTER, { signal })) !== undefined) await this.#lock('register', REPLICA_REGISTER);
    await this.#lock('register', HEAD_REGISTER);
    // Its lock says for how long everything is locked: lookAtCopy.
    if (this.missing.size === 0) await this.#all('object', [REPOSITORY_OBJECT]);
    return head.generation;
  }

  /** The packs that it names and the keys of their sessions, then itself: its mark stands for all of them. */
  async #index(head: Head, id: string): Promise<void> {
    const { marks, progress } = this.#options;
    const key = indexKey(id);
    if (marks.holds(markOf('object', key), this.#wantedMs)) {
      progress.skipped++;
      return;
    }
    const before = this.missing.size;
    const only = { ...head, indexes: readableIndexes(head).filter((one) => one.id === id), condemned: [] };
    const keys: string[] = [];
    this.#contents.sessions.clear();
    for await (const object of this.#contents.objects(only, (unreadable) => this.missing.add(unreadable)))
      if (object.key !== key) keys.push(object.key);
    await this.#each(keys, (one) => this.#lock('object', one));
    await this.#each(this.#contents.sessions, (session) => this.#sessionKey(session));
    await this.#lock('object', key);
    if (this.missing.size === before) marks.set(markOf('object', key), this.#untilMs);
  }

  async #logs(head: Head): Promise<void> {
    for (const assetId of await this.#contents.logAssets(head)) {
      const epochs = await this.#contents.epochs(assetId);
      for (const epoch of epochs) {
        const keys: string[] = [];
        for await (const { key } of this.#contents.logObjects(assetId, epoch)) keys.push(key);
        await this.#all('object', keys);
        await this.#sessionKey(epoch.epoch);
      }
      if (epochs.length > 0) await this.#lock('register', `logs/${assetId}`);
    }
  }

  /** Each with a mark of its own. */
  #all(kind: KeyKind, keys: Iterable<string>): Promise<void> {
    const { marks, progress } = this.#options;
    return this.#each(keys, async (key) => {
      const mark = markOf(kind, key);
      if (marks.holds(mark, this.#wantedMs)) progress.skipped++;
      else if (await this.#lock(kind, key)) marks.set(mark, this.#untilMs);
    });
  }

  /** Under any pair that this key holds. */
  async #sessionKey(session: string): Promise<void> {
    const { keyring, store, signal } = this.#options;
    for (const pair of keyring.pairIds) {
      const key = `${SESSION_KEYS_PREFIX}${pair}/${session}`;
      if ((await store.size(key, { signal })) !== undefined) return void (await this.#lock('object', key));
    }
    this.missing.add(`${SESSION_KEYS_PREFIX}${keyring.pairIds[0]}/${session}`);
  }

  async #lock(kind: KeyKind, key: string): Promise<boolean> {
    const { progress, signal } = this.#options;
    await this.#pace();
    const outcome = await this.#vault.lock(key, kind, this.#untilMs, { signal });
    if (outcome === 'locked') progress.locked++;
    else if (this.missing.size < MISSING_MAX) this.missing.add(key);
    return outcome === 'locked';
  }

  #each<T>(items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> {
    return forEachBounded(items, this.#options.parallel, async (item) => void (await work(item)));
  }

  async #pace(): Promise<void> {
    const { requestsPerSecond, timing, signal } = this.#options;
    if (requestsPerSecond === undefined) return;
    const atMs = Math.max(this.#nextAtMs, timing.nowMs());
    this.#nextAtMs = atMs + 1000 / requestsPerSecond;
    if (atMs > timing.nowMs()) await timing.sleep(atMs - timing.nowMs(), signal);
  }
}

function markOf(kind: KeyKind, key: string): string {
  return kind === 'register' ? `${key}~` : key;
}

function placeOf(mark: string): [KeyKind, string] {
  return mark.endsWith('~') ? ['register', mark.slice(0, -1)] : ['object', mark];
}

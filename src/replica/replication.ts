// Keeping a replica: a copy of a repository, byte for byte and under the same names, at another place. See ARCHITECTURE.md, "Replicas".
//
// Two lanes: the log, which is small and must be near, and everything that heads name, which may be large. Neither waits for the other.
// There is no state but what lies at the replica: whoever is killed goes on from there.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, isFault } from '../base/faults.ts';
import { RecentLog } from '../engine/recent-log.ts';
import { bytesEqual } from '../model/reference.ts';
import { REPOSITORY_OBJECT } from '../repository/layout.ts';
import { readLeftStates } from '../repository/left-states.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { registerCodec } from '../repository/register-codec.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { compareListings, copyLoose } from './compare-listings.ts';
import { LogRemaker } from './log-remaker.ts';
import { HeadMirror } from './mirror-head.ts';
import { LogMirror } from './mirror-logs.ts';
import type { Mirror } from './mirror-object.ts';
import { SessionKeyMirror } from './mirror-session-keys.ts';
import { ReplicaClaim } from './replica-claim.ts';
import type { ReplicaProgress } from './replica-progress.ts';

const LISTINGS_EVERY_MS = 10 * 60_000;
const TROUBLE_PAUSE_MS_MAX = 30_000;
/** Where there was something, more will come: the pause before the next look is that part of the usual one. */
const BUSY_PART = 0.2;

export type ReplicationOptions = {
  readonly source: OpenedRepository;
  readonly replica: ObjectStore;
  readonly progress: ReplicaProgress;
  /** Packs on their way at a time. */
  readonly parallel: number;
  /** Between two looks at the source. */
  readonly intervalMs: number;
  /** Nothing is ever deleted at the replica. */
  readonly keepAll: boolean;
  readonly signal: AbortSignal;
  readonly onTrouble: (fault: Fault) => void;
  /** What is stored of logs, for who follows them here. */
  readonly recent?: RecentLog;
  /** Goes forward only, milliseconds. */
  readonly nowMs: () => number;
  readonly now: () => Date;
};

export class Replication {
  readonly #options: ReplicationOptions;
  readonly #mirror: Mirror;
  readonly #claim: ReplicaClaim;
  readonly #heads: HeadMirror;
  readonly #logs: LogMirror;
  readonly #sessionKeys: SessionKeyMirror;
  /** What each kind of work failed with last, until it succeeds. */
  readonly #troubles = new Map<'head' | 'logs', Fault>();
  #listedAtMs = Number.NEGATIVE_INFINITY;
  #generation: number | undefined;

  private constructor(
    options: ReplicationOptions,
    parts: {
      readonly mirror: Mirror;
      readonly claim: ReplicaClaim;
      readonly heads: HeadMirror;
      readonly logs: LogMirror;
      readonly sessionKeys: SessionKeyMirror;
    },
  ) {
    this.#options = options;
    this.#mirror = parts.mirror;
    this.#claim = parts.claim;
    this.#heads = parts.heads;
    this.#logs = parts.logs;
    this.#sessionKeys = parts.sessionKeys;
  }

  /** Takes the replica over from another replication, if there is one. REPLICA_FOREIGN, REPLICA_DIVERGED. */
  static async open(options: ReplicationOptions): Promise<Replication> {
    const { source, replica, progress, parallel, signal, nowMs, now, recent = new RecentLog() } = options;
    await replica.probe({ signal });
    await mustBeCopyOf(source, replica, signal);
    const codec = registerCodec(source.keyring, randomBytes);
    // What it held before it became a replica is kept until people let it go.
    const left = await readLeftStates(replica, codec, { signal });
    const keepAll = options.keepAll || (left?.value ?? []).length > 0;
    const claim = await ReplicaClaim.take({ source: source.store, replica, codec, random: randomBytes, now, signal });
    const mirror: Mirror = { source: source.store, replica, progress, signal };
    const sessionKeys = new SessionKeyMirror(mirror, source.keyring.pairIds);
    const { keyring } = source;
    const heads = await HeadMirror.open({ mirror, codec, keyring, sessionKeys, claim, parallel, nowMs, now });
    const remaker = new LogRemaker(mirror, source);
    const logs = new LogMirror({ mirror, codec, sessionKeys, keepAll, nowMs, remaker, recent });
    progress.isWhole = claim.state !== 'seeding';
    return new Replication({ ...options, keepAll }, { mirror, claim, heads, logs, sessionKeys });
  }

  /** One round of everything: what the source held when it began is at the replica when it ends. */
  async once(): Promise<void> {
    await this.#lookAtListings();
    await this.#pullHead();
    await this.#logs.pull();
    await this.#compare();
  }

  /** What keeps it from following now. */
  get trouble(): Fault | undefined {
    return this.#troubles.get('head') ?? this.#troubles.get('logs');
  }

  /** Until the signal. Trouble with either place is told and tried again; a replica that is somebody else's by now is thrown. */
  async follow(): Promise<void> {
    const lanes = new AbortController();
    const lane = async (name: 'head' | 'logs', work: () => Promise<boolean>): Promise<void> => {
      try {
        await this.#repeat(name, work, lanes.signal);
      } finally {
        lanes.abort();
      }
    };
    const head = async (): Promise<boolean> => {
      await this.#lookAtListings();
      await this.#pullHead();
      await this.#compare();
      return false;
    };
    const ended = await Promise.allSettled([lane('head', head), lane('logs', () => this.#logs.pull())]);
    for (const one of ended) if (one.status === 'rejected' && !this.#options.signal.aborted) throw one.reason;
  }

  /** The work answers whether it had something to do. */
  async #repeat(name: 'head' | 'logs', work: () => Promise<boolean>, ended: AbortSignal): Promise<void> {
    const { signal, intervalMs, onTrouble } = this.#options;
    const until = AbortSignal.any([signal, ended]);
    for (let pauseMs = intervalMs; !until.aborted; ) {
      try {
        pauseMs = intervalMs * ((await work()) ? BUSY_PART : 1);
        this.#troubles.delete(name);
      } catch (error) {
        if (signal.aborted) return;
        if (!isFault(error) || error.code.startsWith('REPLICA_')) throw error;
        this.#troubles.set(name, error);
        onTrouble(error);
        pauseMs = Math.min(Math.max(pauseMs, intervalMs) * 2, TROUBLE_PAUSE_MS_MAX);
      }
      await sleep(pauseMs, undefined, { signal: until }).catch(() => {});
    }
  }

  async #lookAtListings(): Promise<void> {
    if (this.#options.nowMs() - this.#listedAtMs < LISTINGS_EVERY_MS) return;
    await copyLoose(this.#mirror);
    await this.#sessionKeys.copyListed();
    await this.#logs.findAssets();
    this.#listedAtMs = this.#options.nowMs();
    this.#generation = undefined;
  }

  async #pullHead(): Promise<void> {
    await this.#heads.pull();
    const { head } = this.#heads;
    if (head === undefined) return;
    this.#logs.addAssets(head.snapshots.map(({ assetId }) => assetId));
    this.#logs.addAssets(head.writers.flatMap(({ assetId }) => assetId ?? []));
    if (this.#claim.state === 'seeding') await this.#becomeRepository();
  }

  /** Last: a place without the object `repository` is not a repository. */
  async #becomeRepository(): Promise<void> {
    const { replica, source, signal } = this.#mirror;
    await replica.put(REPOSITORY_OBJECT, await source.get(REPOSITORY_OBJECT, undefined, { signal }), { signal });
    await mustBeCopyOf(this.#options.source, replica, signal);
    await this.#claim.follow();
    this.#mirror.progress.isWhole = true;
  }

  /** After a prune at the source, at the start, and now and then. */
  async #compare(): Promise<void> {
    const { head, held, holdsAll } = this.#heads;
    if (head === undefined || this.#generation === head.generation) return;
    const { head: now } = await this.#heads.readSource();
    if (now.sequence !== head.sequence) return;
    await compareListings(this.#mirror, { head, held, claim: this.#claim, keepAll: this.#options.keepAll || !holdsAll });
    this.#generation = head.generation;
  }
}

/** REPLICA_FOREIGN when another repository is there. */
export async function mustBeCopyOf(source: OpenedRepository, replica: ObjectStore, signal: AbortSignal): Promise<void> {
  if ((await replica.size(REPOSITORY_OBJECT, { signal })) === undefined) return;
  const [ours, there] = await Promise.all([
    source.store.get(REPOSITORY_OBJECT, undefined, { signal }),
    replica.get(REPOSITORY_OBJECT, undefined, { signal }),
  ]);
  if (!bytesEqual(ours, there)) throw new Fault('REPLICA_FOREIGN', `There is another repository at ${replica.location}`);
}

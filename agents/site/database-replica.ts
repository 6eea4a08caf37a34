// Keeping this site's repository a copy of the other site's while that one writes. It stands still while a failover has revoked the epoch: what
// would come then is no part of the log that was sealed.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicaState } from '../../src/dr/site-control.ts';
import type { RecentLog } from '../../src/engine/recent-log.ts';
import { rejoinAsReplica } from '../../src/replica/rejoin.ts';
import { ReplicaProgress } from '../../src/replica/replica-progress.ts';
import { Replication } from '../../src/replica/replication.ts';
import type { OpenedRepository } from '../../src/repository/open.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';

const PARALLEL = 8;
const INTERVAL_MS = 500;
const RETRY_MS = 2_000;

export type DatabaseReplicaOptions = {
  /** Opened anew after each trouble; closed by this. Ends with the signal: a site that is cut off does not answer, and a seal waits for it. */
  readonly open: (signal: AbortSignal) => Promise<{ readonly source: OpenedRepository; readonly replica: ObjectStore }>;
  /** What is stored of the log, for the standby here. */
  readonly recent: RecentLog;
  readonly nowMs: () => number;
  readonly now: () => Date;
};

export class DatabaseReplica {
  readonly #options: DatabaseReplicaOptions;
  #run: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  #progress = new ReplicaProgress();
  /** Undefined while it is being opened. */
  #replication: Replication | undefined;
  /** Why it was not opened, or ended. */
  #problem: string | undefined;

  constructor(options: DatabaseReplicaOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  get lagMs(): Pick<ReplicaState, 'lagMs' | 'problem'> {
    const seconds = this.#progress.logLagSeconds(this.#options.nowMs());
    return {
      lagMs: seconds === undefined ? null : Math.round(seconds * 1000),
      problem: this.#replication?.trouble?.message ?? this.#problem ?? null,
    };
  }

  start(): void {
    if (this.#run !== undefined) return;
    const stop = new AbortController();
    this.#progress = new ReplicaProgress();
    this.#run = { stop, ended: this.#follow(stop.signal) };
  }

  /** Nothing more is copied from its answer on. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    run.stop.abort();
    await run.ended;
    this.#problem = undefined;
    if (this.#run === run) this.#run = undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { open, recent, nowMs, now } = this.#options;
    while (!signal.aborted) {
      let places: Awaited<ReturnType<typeof open>> | undefined;
      try {
        places = await open(signal);
        // After a failover: what was the repository here becomes a replica of its own replica.
        await rejoinAsReplica({ ...places, now, signal });
        this.#replication = await Replication.open({
          ...places,
          progress: this.#progress,
          parallel: PARALLEL,
          intervalMs: INTERVAL_MS,
          keepAll: false,
          recent,
          signal,
          onTrouble: () => {},
          nowMs,
          now,
        });
        this.#problem = undefined;
        await this.#replication.follow();
      } catch (error) {
        if (!signal.aborted) this.#problem = error instanceof Error ? error.message : String(error);
      } finally {
        this.#replication = undefined;
        await places?.source.store.close();
        await places?.replica.close();
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

// Protecting a cluster for as long as it is asked to: the log is captured, a base backup is made whenever no way leads from one to the log's
// end (at first, after a gap) and when the newest is too old, and a heartbeat makes the last recovery point move on while nobody writes.

import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../../src/base/faults.ts';
import { baseOf, readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { captureLog } from './capture.ts';
import type { CaptureEvents, CaptureOptions, CaptureStatus } from './capture-options.ts';
import { watchServer } from './server-watch.ts';

const RETRY_BASE_MS = 30_000;
const RETRY_LOOK_MS = 5_000;

export type ProtectEvents = CaptureEvents & {
  readonly onBaseBegin: (why: string) => void;
  /** Made, and with the log that was written meanwhile: from now on the cluster can be had from it. */
  readonly onBase: (snapshot: Snapshot) => void;
};

export type ProtectOptions = Omit<CaptureOptions, 'events' | 'repository'> & {
  readonly repository: Repository;
  readonly events: ProtectEvents;
  readonly makeBase: () => Promise<Snapshot>;
  /** 0: only when there must be one. */
  readonly baseEveryMs: number;
  /** 0: no transactions of ours. */
  readonly heartbeatMs: number;
};

/** Until the signal. */
export async function protectCluster(options: ProtectOptions): Promise<void> {
  const bases = new BaseKeeper(options);
  const end = new AbortController();
  const signal = AbortSignal.any([options.signal, end.signal]);
  const { events } = options;
  const watching = watchServer(options, signal);
  const ageing = options.baseEveryMs === 0 ? Promise.resolve() : bases.keepYoung(signal);
  try {
    await captureLog({
      ...options,
      signal,
      events: {
        ...events,
        onStreaming: (at) => {
          events.onStreaming(at);
          void bases.look(at, signal);
        },
        onProgress: (status) => {
          events.onProgress(status);
          bases.stored(status);
        },
        onTablespace: (tablespace) => {
          events.onTablespace(tablespace);
          bases.need(`the tablespace ${tablespace.oid} was created`, signal);
        },
        onGap: (gap) => {
          events.onGap(gap);
          bases.need('log is missing since the last one', signal);
        },
      },
    });
  } finally {
    end.abort();
    await Promise.allSettled([watching, ageing, bases.ended()]);
  }
}

type LogPosition = { readonly timeline: number; readonly position: number };

class BaseKeeper {
  readonly #options: ProtectOptions;
  #running: Promise<void> | undefined;
  #madeAt = 0;
  /** Where the capture began last. */
  #lookedFor: LogPosition | undefined;
  /** What one that had begun before may not hold. */
  #again: string | undefined;
  #status: CaptureStatus | undefined;
  #onStatus: ((status: CaptureStatus) => void) | undefined;

  constructor(options: ProtectOptions) {
    this.#options = options;
  }

  /** Finds out whether a way leads from a base to where the log is captured now; again where that fails, or nobody would know that none does. */
  async look(at: LogPosition, signal: AbortSignal): Promise<void> {
    this.#lookedFor = at;
    while (!signal.aborted && this.#lookedFor === at) {
      try {
        return await this.#lookOnce(at, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.events.onTrouble(error);
        if (!isFault(error)) return;
        await sleep(RETRY_LOOK_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #lookOnce(at: LogPosition, signal: AbortSignal): Promise<void> {
    const { repository, asset } = this.#options;
    const cluster = await readClusterFacts(repository, asset, signal);
    const window = cluster === undefined ? [] : await recoveryWindow(cluster.facts, at.timeline);
    const last = window.at(-1);
    if (last === undefined || last.to.position < at.position)
      this.#needOne(last === undefined ? 'there is none' : 'log is missing since the last one', signal);
    // A clock that is ahead there makes no base young for longer.
    else this.#madeAt = Math.max(this.#madeAt, Math.min(last.from.time / 1000, this.#options.now().getTime()));
  }

  stored(status: CaptureStatus): void {
    this.#status = status;
    this.#onStatus?.(status);
  }

  /** Also after the one that is being made: it may have begun before what has happened. */
  need(why: string, signal: AbortSignal): void {
    if (this.#running === undefined) this.#needOne(why, signal);
    else this.#again = why;
  }

  #needOne(why: string, signal: AbortSignal): void {
    this.#running ??= this.#make(why, signal).finally(() => {
      this.#running = undefined;
      const again = this.#again;
      this.#again = undefined;
      if (again !== undefined && !signal.aborted) this.need(again, signal);
    });
  }

  async keepYoung(signal: AbortSignal): Promise<void> {
    const { baseEveryMs, now } = this.#options;
    while (!signal.aborted) {
      await sleep(Math.min(baseEveryMs, 60_000), undefined, { signal }).catch(() => {});
      if (!signal.aborted && this.#madeAt > 0 && now().getTime() - this.#madeAt >= baseEveryMs)
        this.#needOne('the last one is old', signal);
    }
  }

  async ended(): Promise<void> {
    await this.#running;
  }

  async #make(why: string, signal: AbortSignal): Promise<void> {
    const { events, makeBase, now } = this.#options;
    while (!signal.aborted) {
      events.onBaseBegin(why);
      try {
        const base = await makeBase();
        this.#madeAt = now().getTime();
        await this.#logOf(base, signal);
        events.onBase(base);
        return;
      } catch (error) {
        if (signal.aborted) return;
        events.onTrouble(error);
        if (!isFault(error)) return;
        await sleep(RETRY_BASE_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Until the log that was written while it was made is stored, or the signal. */
  async #logOf(base: Snapshot, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { timeline, stop } = baseOf(base);
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = (): void => resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#onStatus = (status) => {
      if (status.timeline > timeline || (status.timeline === timeline && status.durable >= stop)) resolve();
    };
    if (this.#status !== undefined) this.#onStatus(this.#status);
    await promise;
    this.#onStatus = undefined;
    signal.removeEventListener('abort', onAbort);
  }
}

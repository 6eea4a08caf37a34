// Protection of a database while this site is its primary: log and bases go to this site's repository, and a signed heartbeat is written every
// second, by which the loss of a failover is measured. It ends when the epoch does.

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../../src/base/faults.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type { CaptureState } from '../../src/dr/site-control.ts';
import { backUp } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { pathFromText } from '../../src/model/entry-path.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { accountName } from '../host/account-name.ts';
import { readBaseBackup } from '../postgres/base-backup.ts';
import { BASE_OF_LOG } from '../postgres/base-source.ts';
import type { CaptureStatus } from '../postgres/capture-options.ts';
import { describeServer, type ServerAddress } from '../postgres/connection-string.ts';
import { protectCluster } from '../postgres/protect.ts';
import { asking, beat } from './database-queries.ts';
import type { SiteRepository } from './site-repository.ts';

const POLICY = { bytes: 256 * 1024, ms: 500 };
const HEARTBEAT_MS = 1_000;
const RETRY_MS = 1_000;
const FLUSH = { flushMs: 30_000, stallMs: 30_000, watchMs: 10_000 };

export type DatabaseCaptureOptions = {
  readonly asset: string;
  readonly site: string;
  readonly address: ServerAddress;
  readonly slot: string;
  readonly repository: SiteRepository;
  readonly baseEveryMs: number;
  readonly program: string;
  readonly threads: number;
  /** Signs heartbeats. */
  readonly pair: SigningPair;
  readonly now: () => Date;
};

export class DatabaseCapture {
  readonly #options: DatabaseCaptureOptions;
  #run: { readonly epoch: number; readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  #status: CaptureStatus | undefined;
  #problem: string | undefined;
  #isMakingBase = false;

  constructor(options: DatabaseCaptureOptions) {
    this.#options = options;
  }

  get epoch(): number | undefined {
    return this.#run?.epoch;
  }

  get isMakingBase(): boolean {
    return this.#isMakingBase;
  }

  get state(): CaptureState | null {
    if (this.#run === undefined) return null;
    const status = this.#status;
    return {
      epoch: this.#run.epoch,
      timeline: status?.timeline ?? null,
      durable: status === undefined ? null : formatLsn(status.durable),
      behindBytes: status === undefined ? 0 : Math.max(0, status.server - status.durable),
      stalledMs: Math.round(status?.stalledMs ?? 0),
      lastTransactionAt: status === undefined || status.lastTransaction === 0 ? null : textOfMicros(status.lastTransaction),
      baseIsMade: !this.#isMakingBase,
      problem: this.#problem ?? null,
    };
  }

  /** Nothing changes when it runs for that epoch. */
  start(epoch: number): void {
    if (this.#run?.epoch === epoch) return;
    const before = this.#run;
    before?.stop.abort();
    const stop = new AbortController();
    this.#status = undefined;
    this.#problem = undefined;
    const ended = (async (): Promise<void> => {
      await before?.ended;
      await Promise.all([this.#protect(epoch, stop.signal), this.#beat(stop.signal)]);
    })();
    this.#run = { epoch, stop, ended };
  }

  /** What was received is stored when this answers, or the store did not take it. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    run.stop.abort();
    await run.ended;
    if (this.#run === run) this.#run = undefined;
  }

  /** Until the signal. */
  async #protect(epoch: number, signal: AbortSignal): Promise<void> {
    const { asset, site, address, slot, repository, baseEveryMs, now } = this.#options;
    while (!signal.aborted) {
      try {
        await repository.own(`site ${site}`, `primary of ${asset} since epoch ${epoch}`, now(), signal);
        const opened = await repository.open();
        await protectCluster({
          address,
          repository: opened,
          asset,
          slot,
          host: `${hostname()} (site ${site}, epoch ${epoch})`,
          policy: POLICY,
          patience: FLUSH,
          now,
          signal,
          baseEveryMs,
          heartbeatMs: 0,
          makeBase: () => this.#makeBase(opened, signal),
          events: {
            onStreaming: () => {
              this.#problem = undefined;
            },
            onProgress: (status) => {
              if (status.durable !== this.#status?.durable) this.#problem = undefined;
              this.#status = status;
            },
            onGap: ({ cause }) => {
              this.#problem = `log is lost: ${cause}`;
            },
            onTimeline: () => {},
            onTablespace: () => {},
            onTrouble: (error) => this.#tell(error),
            onBaseBegin: () => {
              this.#isMakingBase = true;
            },
            onBase: () => {
              this.#isMakingBase = false;
            },
          },
        });
      } catch (error) {
        if (!signal.aborted) this.#tell(error);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  #tell(error: unknown): void {
    this.#problem = error instanceof Error ? error.message : String(error);
  }

  #makeBase(repository: Repository, signal: AbortSignal): Promise<Snapshot> {
    const { asset, address, program, threads, now } = this.#options;
    const progress = new BackupProgress();
    return backUp(
      repository,
      {
        asset,
        type: 'files',
        host: hostname(),
        user: accountName(),
        paths: [pathFromText(describeServer(address))],
        tags: [],
        program,
        now,
        threads,
        level: 1,
        signal,
        progress,
        // Every file of a base backup is there, or there is none.
        listener: { onProblem: () => {} },
      },
      readBaseBackup({
        address,
        progress,
        label: 'holdfast',
        ...BASE_OF_LOG,
        log: { repository, asset },
        signal,
      }),
    );
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { address, pair, asset, now } = this.#options;
    while (!signal.aborted) {
      try {
        await asking(address, signal, async (sql) => {
          while (!signal.aborted) {
            await beat(sql, pair, asset, now);
            await sleep(HEARTBEAT_MS, undefined, { signal });
          }
        });
      } catch (error) {
        // Capture tells that the server is away.
        if (!signal.aborted && !isFault(error, 'PG_UNREACHABLE')) this.#tell(error);
      }
      await sleep(HEARTBEAT_MS, undefined, { signal }).catch(() => {});
    }
  }
}

// The standby of a database at this site, as long as its directory is one: its log is handed to it, its health is known, and it ends with the
// promotion. Whether its server runs the gate decides.

import type { CaughtUp, StandbyState } from '../../src/dr/site-control.ts';
import type { LogEnd } from '../../src/dr/writer-record.ts';
import type { RecentLog } from '../../src/engine/recent-log.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { ServerAddress } from '../postgres/connection-string.ts';
import { Standby } from '../standby/standby.ts';
import { readStandby } from '../standby/standby-directory.ts';
import type { StandbyHealth } from '../standby/standby-health.ts';
import type { SiteRepository } from './site-repository.ts';

export type DatabaseStandbyOptions = {
  readonly dataDirectory: string;
  readonly address: ServerAddress;
  readonly repository: SiteRepository;
  /** What the replication stores of the log. */
  readonly recent: RecentLog;
  /** What the helper is started by: "holdfast". */
  readonly program: readonly string[];
  readonly now: () => Date;
};

export class DatabaseStandby {
  readonly #options: DatabaseStandbyOptions;
  #standby: Standby | undefined;
  #health: StandbyHealth | undefined;
  #trouble: string | undefined;

  constructor(options: DatabaseStandbyOptions) {
    this.#options = options;
  }

  /** Whether its directory is a standby that we made, served or not: then its log is our affair. */
  get isOurs(): boolean {
    return readStandby(this.#options.dataDirectory) !== undefined;
  }

  get state(): StandbyState | null {
    const health = this.#health;
    if (this.#standby === undefined || health === undefined) return null;
    const { timeline, replayed, gap } = health;
    return {
      isHealthy: health.condition === 'healthy',
      replayed: replayed === undefined ? null : { timeline, lsn: formatLsn(replayed) },
      behindBytes: health.behindBytes ?? null,
      gapAt: gap === undefined ? null : { timeline: gap.timeline, lsn: formatLsn(gap.from) },
      problem: health.problem ?? this.#trouble ?? null,
    };
  }

  /** Serves it while it is one. `isReadWrite`: its server was promoted, so it is none any more. */
  async tend(isReadWrite: boolean, signal: AbortSignal): Promise<void> {
    if (this.#standby === undefined && this.isOurs) {
      const { repository, ...options } = this.#options;
      const onTrouble = (error: unknown): void => {
        this.#trouble = error instanceof Error ? error.message : String(error);
      };
      this.#standby = await Standby.open({ ...options, repository: await repository.open(), onTrouble });
    }
    if (!isReadWrite || this.#standby === undefined) return;
    await this.#standby.promoted(signal);
    this.#standby = undefined;
    this.#health = undefined;
  }

  async look(signal: AbortSignal): Promise<void> {
    const standby = this.#standby;
    if (standby === undefined) return;
    const health = await standby.health(signal);
    if (this.#standby === standby) this.#health = health;
    if (health.condition === 'healthy') this.#trouble = undefined;
  }

  /** Undefined: it is not served. */
  async catchUp(sealed: LogEnd, signal: AbortSignal): Promise<CaughtUp | undefined> {
    const caughtUp = await this.#standby?.catchUp(sealed, signal);
    // It throws unless every object opened and every record followed the one before it.
    return caughtUp && { replayed: caughtUp.replayed, isChainVerified: true };
  }

  unseal(): void {
    this.#standby?.unseal();
  }

  async close(): Promise<void> {
    await this.#standby?.close();
    this.#standby = undefined;
  }
}

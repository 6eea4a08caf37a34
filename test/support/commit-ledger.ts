// Somebody who writes numbered rows at both sites all the time, wherever the route leads, and knows of each commit that was acknowledged by
// which server, in which transaction, and when. What it concludes holds whatever the test's own process was late with: a row is placed by the
// time that its server gave it.

import { setTimeout as sleep } from 'node:timers/promises';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { isFault } from '../../src/base/faults.ts';
import type { SiteName, TwoSites } from './two-sites.ts';

const PAUSE_MS = 20;
const INSERT = (word: string): string =>
  `INSERT INTO kept (word) VALUES ('${word}') RETURNING pg_current_xact_id()::xid, (extract(epoch FROM clock_timestamp()) * 1000)::text`;

export type Commit = {
  readonly word: string;
  readonly site: SiteName;
  readonly xid: string;
  /** By the server's clock, before it was committed; ms since 1970. */
  readonly writtenAt: number;
  /** By performance.now() of this process. */
  readonly askedAt: number;
  readonly answeredAt: number;
};

export class CommitLedger {
  readonly commits: Commit[] = [];
  readonly #sites: TwoSites;
  readonly #over = new AbortController();
  readonly #writing: Promise<unknown>;

  constructor(sites: TwoSites) {
    this.#sites = sites;
    this.#writing = Promise.all([this.#write('a'), this.#write('b')]);
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#writing;
  }

  since(place: number, site?: SiteName): readonly Commit[] {
    return this.commits.slice(place).filter((one) => site === undefined || one.site === site);
  }

  /** Of these, what that site does not have. */
  async missingAt(site: SiteName, commits: readonly Commit[]): Promise<readonly Commit[]> {
    const there = new Set((await this.#sites.sql(site, 'SELECT word FROM kept')).map(([word]) => word));
    return commits.filter(({ word }) => !there.has(word));
  }

  /** How often the one who acknowledges has changed. Two who are writable at once make more of it than there were failovers. */
  static turns(commits: readonly Commit[]): number {
    const inTime = [...commits].sort((one, other) => one.writtenAt - other.writtenAt);
    return inTime.filter(({ site }, i) => i > 0 && site !== inTime[i - 1]!.site).length;
  }

  /** The longest time in which nothing was acknowledged, ms. */
  static pause(commits: readonly Commit[]): number {
    const times = commits.map(({ answeredAt }) => answeredAt).sort((one, other) => one - other);
    return times.reduce((longest, at, i) => Math.max(longest, i === 0 ? 0 : at - times[i - 1]!), 0);
  }

  async #write(site: SiteName): Promise<void> {
    const { signal } = this.#over;
    let sql: PgConnection | undefined;
    for (let n = 0; !signal.aborted; n++) {
      const word = `${site}-${n}`;
      const askedAt = performance.now();
      try {
        sql ??= await PgConnection.open({ address: this.#sites.address(site), signal });
        const [row] = (await sql.query(INSERT(word))).rows;
        this.commits.push({ word, site, xid: row![0]!, writtenAt: Number(row![1]), askedAt, answeredAt: performance.now() });
      } catch (error) {
        // One that refuses because it is a standby may be asked again.
        if (isFault(error, 'PG_REFUSED')) continue;
        sql?.close();
        sql = undefined;
      } finally {
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
      }
    }
    sql?.close();
  }
}

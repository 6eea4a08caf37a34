// Somebody who writes at both sites all the time, and remembers what was acknowledged, where and when.

import { setTimeout as sleep } from 'node:timers/promises';
import type { SiteName, TwoSites } from './two-sites.ts';

const PAUSE_MS = 50;

export type Acknowledged = {
  readonly word: string /** By performance.now(). */;
  readonly askedAt: number;
  readonly answeredAt: number;
};

export class Writers {
  readonly #sites: TwoSites;
  readonly #acknowledged: Record<SiteName, Acknowledged[]> = { a: [], b: [] };
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(sites: TwoSites) {
    this.#sites = sites;
    this.#running = Promise.all([this.#write('a'), this.#write('b')]);
  }

  acknowledged(site: SiteName): readonly Acknowledged[] {
    return this.#acknowledged[site];
  }

  /** Of what that site has acknowledged, what it does not have. */
  async missingAt(site: SiteName): Promise<readonly string[]> {
    const wanted = this.#acknowledged[site].map(({ word }) => word);
    const there = new Set((await this.#sites.sql(site, 'SELECT word FROM kept')).map(([word]) => word));
    return wanted.filter((word) => !there.has(word));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #write(site: SiteName): Promise<void> {
    for (let n = 1; !this.#stop.signal.aborted; n++) {
      const word = `${site}-${n}`;
      const askedAt = performance.now();
      if (await this.#sites.writes(site, word)) this.#acknowledged[site].push({ word, askedAt, answeredAt: performance.now() });
      await sleep(PAUSE_MS);
    }
  }
}

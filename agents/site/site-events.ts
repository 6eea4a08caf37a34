// What a daemon says of a database by itself, for whoever reads its log after an incident: each change of what it is there, once, and trouble
// that lasts, with its beginning and its end. Commands are in the audit (site-audit.ts), figures in the metrics.

/** What is seen at one moment, in words. Undefined: it is not known now, and nothing is said of it. */
export type SiteSight = {
  readonly facts: Readonly<Record<'role' | 'server' | 'capture' | 'copy' | 'seal' | 'promise', string | undefined>>;
  /** By what has it. */
  readonly troubles: ReadonlyMap<string, string>;
};

/** "what": a fact that has changed, or "trouble". */
export type SiteEvent = { readonly what: string; readonly text: string };

/** Much of what is seen once is tried again at once, and is over. */
const LASTING_MS = 5_000;

type Trouble = { readonly sinceMs: number; isTold: boolean };

export class SiteEvents {
  readonly #known: Record<string, string> = {
    role: 'closed',
    server: 'stopped',
    capture: 'none',
    copy: 'none',
    seal: 'none',
    promise: 'none',
  };
  readonly #troubles = new Map<string, Trouble>();

  /** What is to be said of it. `nowMs` never goes back. */
  of({ facts, troubles }: SiteSight, nowMs: number): readonly SiteEvent[] {
    const events: SiteEvent[] = [];
    for (const [what, is] of Object.entries(facts)) {
      const was = this.#known[what];
      if (is === undefined || is === was) continue;
      this.#known[what] = is;
      events.push({ what, text: `${was} -> ${is}` });
    }
    for (const [who, text] of troubles) {
      const trouble = this.#troubles.get(who) ?? { sinceMs: nowMs, isTold: false };
      this.#troubles.set(who, trouble);
      if (trouble.isTold || nowMs - trouble.sinceMs < LASTING_MS) continue;
      trouble.isTold = true;
      events.push({ what: 'trouble', text: `${who}: ${text}` });
    }
    for (const [who, { sinceMs, isTold }] of this.#troubles) {
      if (troubles.has(who)) continue;
      this.#troubles.delete(who);
      if (isTold) events.push({ what: 'trouble', text: `${who}: over after ${Math.round((nowMs - sinceMs) / 1000)} s` });
    }
    return events;
  }
}

// How long the catalogue remembers what is over. Without an end it would grow with every run for ever; what audit and usage need is not in
// here (src/catalog/sqlite/history.ts says what stays besides).

import { setImmediate as others } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Catalog, HistoryKind } from '../catalog/catalog.ts';
import { instantOf, laterBy } from '../model/instant.ts';
import { DAY_MS } from '../policy/duration.ts';

const ROWS_AT_ONCE = 500;

/** Milliseconds. */
export type HistoryTerms = Readonly<Record<HistoryKind, number>>;

/** A year and a month of runs and events. Sessions say whose chunks are whose: of one that is trimmed, chunks that later backups still refer
 *  to are not found by others any more, and are stored again where they come up. So theirs is longer. */
export const HISTORY_TERMS: HistoryTerms = {
  runs: 400 * DAY_MS,
  events: 400 * DAY_MS,
  sessions: 800 * DAY_MS,
  logins: 90 * DAY_MS,
};

export type HistoryPorts = {
  readonly catalog: Pick<Catalog, 'history'>;
  readonly now: () => Date;
  readonly log: Pick<Logger, 'info'>;
  readonly terms: HistoryTerms;
  readonly signal?: AbortSignal;
};

/** Answers how many rows went. */
export async function trimHistory({ catalog, now, log, terms, signal }: HistoryPorts): Promise<number> {
  let sum = 0;
  for (const [kind, keptMs] of Object.entries(terms) as [HistoryKind, number][]) {
    const before = laterBy(instantOf(now()), -keptMs);
    let count = 0;
    for (let after: string | undefined; signal?.aborted !== true; ) {
      const { deleted, next } = await catalog.history.trim(kind, before, ROWS_AT_ONCE, after);
      count += deleted;
      if (next === undefined) break;
      after = next;
      await others();
    }
    if (count > 0) log.info({ kind, count, before }, 'old history was trimmed');
    sum += count;
  }
  return sum;
}

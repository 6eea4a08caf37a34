// What keeps the queue in order: runs whose holder fell silent go back into it, or fail when that happens too often; runs that nobody started in
// time have failed; answers that nobody will ask for again are dropped.

import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import { instantOf, laterBy } from '../model/instant.ts';
import { eachItem, firstItems } from '../model/page-items.ts';
import type { Run } from '../model/run.ts';
import { retryAfterLostLease } from './retry.ts';
import type { OnRunEnded } from './run-ended.ts';

const EXPIRED_AT_ONCE = 100;
const ANSWERS_KEPT_MS = 48 * 3_600_000;
/** Longer than any holder asks for. */
const LEASE_MS_MAX = 10 * 60_000;
/** For a holder that lives to prolong it. */
const REPAIRED_LEASE_MS = 120_000;
const RUNNING_LOOKED_AT = 10_000;

export type UpkeepPorts = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly log: Pick<Logger, 'warn'>;
  readonly onRunEnded: OnRunEnded;
};

/** Answers the runs that changed. */
export async function expireRuns({ catalog, now, log, onRunEnded }: UpkeepPorts): Promise<readonly Run[]> {
  const changed: Run[] = [];
  for (;;) {
    const some = await catalog.transaction(async (tables) => {
      const at = now();
      const runs = await tables.runs.expire(instantOf(at), retryAfterLostLease(at), EXPIRED_AT_ONCE);
      for (const run of runs) await onRunEnded(tables, run);
      return runs;
    });
    for (const { id, kind, state, attempt, fault } of some)
      log.warn({ run: id, kind, state, attempt, code: fault?.code }, 'a run was taken from its holder, or was not begun in time');
    changed.push(...some);
    if (some.length < EXPIRED_AT_ONCE) return changed;
  }
}

export async function dropOldAnswers({ catalog, now }: Pick<UpkeepPorts, 'catalog' | 'now'>): Promise<void> {
  await catalog.answers.forgetBefore(laterBy(instantOf(now()), -ANSWERS_KEPT_MS));
}

/** After the clock was put back: leases that end in a future that is none any more are cut, else nobody would follow a holder that is dead. */
export async function cutFutureLeases({ catalog, now }: Pick<UpkeepPorts, 'catalog' | 'now'>): Promise<number> {
  let cut = 0;
  const latest = laterBy(instantOf(now()), LEASE_MS_MAX);
  for await (const tenant of eachItem((page) => catalog.tenants.list(page))) {
    const running = await firstItems((page) => catalog.runs.list(tenant.id, { states: ['running'] }, page), RUNNING_LOOKED_AT);
    for (const { id, fence, leaseUntil } of running) {
      if (leaseUntil === undefined || leaseUntil <= latest) continue;
      if ((await catalog.runs.extend(id, fence, instantOf(now()), REPAIRED_LEASE_MS)) !== 'fenced') cut++;
    }
  }
  return cut;
}

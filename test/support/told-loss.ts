// What an unplanned failover has lost is what it has told and kept: nothing of before the heartbeat that was found, and all of it exported.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Commit } from './commit-ledger.ts';

/** As the journal has it in the facts of "show-loss". */
export type Loss = { readonly newest: string | null; readonly ms: number | null; readonly missingBytes: number | null };

/** `missing`: of what the old primary had acknowledged. `aheadMs`: by how much its wall clock was ahead. */
export function mustBeTold(
  missing: readonly Commit[],
  { newest, ms }: Pick<Loss, 'newest' | 'ms'>,
  divergence: string | null,
  aheadMs = 0,
): void {
  const told = (): string => JSON.stringify({ missing: missing.slice(0, 5), newest, ms, divergence });
  const isOlder = ({ answeredAt }: Commit): boolean => performance.timeOrigin + answeredAt < Date.parse(newest ?? '') - aheadMs;
  if (missing.some(isOlder)) throw new Error(`Rows of before the newest heartbeat are lost: ${told()}`);
  const exported = divergence === null ? new Set<string>() : committedIn(divergence);
  const unknown = missing.filter(({ xid }) => !exported.has(xid));
  if (unknown.length > 0) throw new Error(`${unknown.length} lost rows were not exported: ${told()}`);
}

function committedIn(divergence: string): ReadonlySet<string> {
  const lines = readFileSync(join(divergence, 'transactions.jsonl'), 'utf8').trim().split('\n');
  const transactions = lines.map((line) => JSON.parse(line) as { readonly xid: number; readonly outcome: string });
  return new Set(transactions.filter(({ outcome }) => outcome === 'committed').map(({ xid }) => String(xid)));
}

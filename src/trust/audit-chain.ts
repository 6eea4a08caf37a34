// The audit as a chain: each entry holds the hash of the one before, so that nothing in the middle can be removed, changed or moved without
// every later hash being another. Who can rewrite the whole file can compute all of them anew, or cut off the end; against that stand the
// checkpoints (audit-checkpoint.ts): signed, and stored where nobody can change them.

import { createHash } from 'node:crypto';
import { canonicalJson } from '../base/canonical-json.ts';
import type { CatalogTables } from '../catalog/catalog.ts';
import type { AuditEntry, NewAuditEntry } from '../model/audit-entry.ts';
import type { Instant } from '../model/instant.ts';

export const HASH_OF_NOTHING = '0'.repeat(64);

/** Appends to the chain: in a transaction with what it tells of, so that neither is without the other. */
export function appendAudit(tables: Pick<CatalogTables, 'audit'>, entry: NewAuditEntry): Promise<AuditEntry> {
  return tables.audit.append(entry, hashOfEntry);
}

/** SHA-256, hex, of the canonical JSON of everything but the hash. */
export function hashOfEntry(entry: Omit<AuditEntry, 'hash'> & { readonly hash?: string }): string {
  const { hash: _, ...rest } = entry;
  return createHash('sha256').update(canonicalJson(rest)).digest('hex');
}

export const RESTORE_ACTION = 'catalog.restore';

/** A catalogue out of a backup has lost the newest entries. The chain goes on behind the newest signed checkpoint, with an entry that says so. */
export async function continueAudit(tables: Pick<CatalogTables, 'audit'>, newest: AuditMark, at: Instant): Promise<void> {
  const last = await tables.audit.last();
  if (newest.sequence <= (last?.sequence ?? 0)) return;
  const details = { lostFrom: (last?.sequence ?? 0) + 1, lostTo: newest.sequence };
  const entry = { at, actor: 'system:system', actorLabel: 'system', action: RESTORE_ACTION, outcome: 'done' as const, details };
  await tables.audit.append(entry, hashOfEntry, newest);
}

export type AuditGap = { readonly from: number; readonly to: number };

/** What a checkpoint says of the chain, once its signature was checked. */
export type AuditMark = { readonly sequence: number; readonly hash: string };

export type AuditVerdict =
  | {
      readonly kind: 'whole';
      readonly entries: number;
      readonly last: AuditMark | undefined;
      readonly checkpoints: number;
      /** Entries that were lost with a catalogue, as a later entry says that goes on behind a signed checkpoint. */
      readonly gaps: readonly AuditGap[];
    }
  | {
      readonly kind: 'broken';
      /** The first place where it does not hold. */
      readonly sequence: number;
      readonly what: string;
    };

/** Follows a whole chain. `marks` from checkpoints, in any order. `from`: a mark that was proved before, when `entries` begin after it. */
export async function verifyAudit(
  entries: AsyncIterable<AuditEntry> | Iterable<AuditEntry>,
  marks: readonly AuditMark[],
  from: AuditMark = { sequence: 0, hash: HASH_OF_NOTHING },
): Promise<AuditVerdict> {
  const marked = new Map<number, string>();
  for (const { sequence, hash } of marks) {
    if (marked.has(sequence) && marked.get(sequence) !== hash)
      return {
        kind: 'broken',
        sequence,
        what: 'two signed checkpoints contradict each other: the audit was rewritten and signed again',
      };
    marked.set(sequence, hash);
  }
  let last = from;
  let count = 0;
  const gaps: AuditGap[] = [];
  for await (const entry of entries) {
    if (isContinuation(entry, last, marked)) {
      gaps.push({ from: last.sequence + 1, to: entry.sequence - 1 });
      last = { sequence: entry.sequence - 1, hash: entry.previous };
    }
    const what = faultOfEntry(entry, last, marked.get(entry.sequence));
    if (what !== undefined) return { kind: 'broken', sequence: Math.min(entry.sequence, last.sequence + 1), what };
    last = { sequence: entry.sequence, hash: entry.hash };
    count++;
  }
  const beyond = marks
    .filter(({ sequence }) => sequence > last.sequence)
    .reduce((most, { sequence }) => Math.max(most, sequence), 0);
  if (beyond > 0) {
    const missing = `entries ${last.sequence + 1} to ${beyond} are missing from the end: a signed checkpoint has seen them`;
    return { kind: 'broken', sequence: last.sequence + 1, what: missing };
  }
  return { kind: 'whole', entries: count, last: last.sequence === 0 ? undefined : last, checkpoints: marked.size, gaps };
}

function faultOfEntry(entry: AuditEntry, last: AuditMark, marked: string | undefined): string | undefined {
  const expected = last.sequence + 1;
  if (entry.sequence > expected) return `entries ${expected} to ${entry.sequence - 1} are missing`;
  if (entry.sequence < expected) return `entry ${entry.sequence} stands after ${last.sequence}: it was moved or added`;
  if (hashOfEntry(entry) !== entry.hash) return `entry ${entry.sequence} was changed: its hash is another`;
  if (entry.previous !== last.hash) return `entry ${entry.sequence} does not follow the one before it: one of them was exchanged`;
  if (marked !== undefined && marked !== entry.hash)
    return `entry ${entry.sequence} is not the one that was signed: the audit was rewritten up to there`;
  return undefined;
}

/** Behind a signed mark, and telling itself how much is missing: no more and no less than is. */
function isContinuation(
  { action, details, sequence, previous }: AuditEntry,
  last: AuditMark,
  marked: ReadonlyMap<number, string>,
): boolean {
  return (
    action === RESTORE_ACTION &&
    sequence > last.sequence + 1 &&
    marked.get(sequence - 1) === previous &&
    details['lostFrom'] === last.sequence + 1 &&
    details['lostTo'] === sequence - 1
  );
}

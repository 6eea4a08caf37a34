// The primary's side: until when it may write, by its own clock. It may while the lease that it renewed lasts, or while it holds a promise of
// every candidate not to be promoted, whatever the quorum does. Both count from before the request that brought them.
//
// It relies on promises only as far as it knows all candidates. A swap that changes them may have taken place although its answer was lost,
// and may still take place later: so from before such a swap all that were ever offered count, until a swap of ours is answered with success.

import type { LeaseTerms } from './lease-terms.ts';
import type { WriterRecord } from './writer-record.ts';

export type LeaseHolder = {
  readonly member: string;
  readonly life: string;
  readonly epoch: number;
  readonly terms: LeaseTerms;
  readonly onLeaseLoss: WriterRecord['onLeaseLoss'];
  /** Names of all that may be candidates in the register. */
  readonly candidates: readonly string[];
  readonly leaseUntilMs: number;
  /** By candidate. */
  readonly promisedUntilMs: Readonly<Record<string, number>>;
  /** The right is given up or lost for good: the server is stopped and stays so. */
  readonly isOver: boolean;
};

/** After a successful claim. `record` is what was swapped in. */
export function newHolder(record: WriterRecord, life: string, sentAtMs: number): LeaseHolder {
  const { epoch, holder, terms, onLeaseLoss } = record;
  const none = { leaseUntilMs: -Infinity, promisedUntilMs: {}, candidates: [], isOver: false };
  return renewalAnswered({ member: holder.name, life, epoch, terms, onLeaseLoss, ...none }, sentAtMs, record);
}

/** A renewal has succeeded. `record` is what was swapped in. */
export function renewalAnswered(holder: LeaseHolder, sentAtMs: number, record: WriterRecord): LeaseHolder {
  const leaseUntilMs = Math.max(holder.leaseUntilMs, sentAtMs + holder.terms.ttlMs);
  return { ...holder, leaseUntilMs, candidates: record.candidates.map(({ name }) => name) };
}

/** Before a swap that changes the candidates is sent. */
export function candidatesOffered(holder: LeaseHolder, names: readonly string[]): LeaseHolder {
  return { ...holder, candidates: [...new Set([...holder.candidates, ...names])] };
}

/** A candidate has promised. */
export function promiseAnswered(holder: LeaseHolder, candidate: string, sentAtMs: number): LeaseHolder {
  const untilMs = Math.max(holder.promisedUntilMs[candidate] ?? -Infinity, sentAtMs + holder.terms.ttlMs);
  return { ...holder, promisedUntilMs: { ...holder.promisedUntilMs, [candidate]: untilMs } };
}

/** The register says so. That renewals are withheld ends nothing yet: what was renewed before still counts, and it may be undone. */
export function recordSeen(holder: LeaseHolder, record: WriterRecord): LeaseHolder {
  const isMine = record.epoch === holder.epoch && record.life === holder.life && record.state !== 'demoted';
  return isMine || record.epoch < holder.epoch ? holder : { ...holder, isOver: true };
}

/** Before the server is stopped for a planned switch, and so before the register is told. */
export function demotionBegun(holder: LeaseHolder): LeaseHolder {
  return { ...holder, isOver: true };
}

/** The server must be stopped when the own clock reaches this. Without candidates only the lease counts. */
export function writableUntilMs(holder: LeaseHolder): number {
  const { candidates, promisedUntilMs, leaseUntilMs, onLeaseLoss, isOver } = holder;
  if (isOver) return -Infinity;
  if (onLeaseLoss === 'continue') return Infinity;
  const promises = candidates.map((name) => promisedUntilMs[name] ?? -Infinity);
  return Math.max(leaseUntilMs, promises.length === 0 ? -Infinity : Math.min(...promises));
}

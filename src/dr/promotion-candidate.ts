// The standby's side: when it may be promoted, and what it promises meanwhile. A promise to the holder of an epoch says: I shall not claim
// before my own clock has counted TTL x (1 + drift) + margin from now. The holder counts TTL from before it asked, so it stops first.
//
// A candidate that was restarted does not know what it has promised: it behaves as if it had promised everything in the last moment of its
// former life. And it promises nothing before it has read the register: it may have been the primary of a newer epoch than the one who asks
// knows. Only a demotion makes promises void: the one who relied on them has said that it never writes again.

import { type LeaseTerms, waitOutMs } from './lease-terms.ts';
import type { WriterRecord } from './writer-record.ts';

export type PromotionCandidate = {
  readonly member: string;
  /** No claim before, by the own clock: what this life has promised. */
  readonly promisedUntilMs: number;
  readonly startedAtMs: number;
  /** The newest epoch known, 0 before the first read: holders of older ones get no promise. */
  readonly epochSeen: number;
  /** Whether renewals of that epoch are withheld, as far as known. */
  readonly isWithheld: boolean;
};

export type PromiseRequest = { readonly epoch: number; readonly terms: LeaseTerms };

/** At the start of a gate, when its server is proven not to be writable. */
export function newCandidate(member: string, nowMs: number): PromotionCandidate {
  return { member, promisedUntilMs: -Infinity, startedAtMs: nowMs, epochSeen: 0, isWithheld: false };
}

/** Call it with what a read of the register answered, in the order of their revisions. */
export function recordRead(candidate: PromotionCandidate, record: WriterRecord): PromotionCandidate {
  if (record.epoch < candidate.epochSeen) return candidate;
  return { ...candidate, epochSeen: record.epoch, isWithheld: record.state !== 'open' };
}

/** Promises, or refuses with undefined. */
export function promise(candidate: PromotionCandidate, request: PromiseRequest, nowMs: number): PromotionCandidate | undefined {
  const { epochSeen, isWithheld, promisedUntilMs } = candidate;
  if (epochSeen === 0 || request.epoch < epochSeen || (request.epoch === epochSeen && isWithheld)) return undefined;
  const untilMs = Math.max(promisedUntilMs, nowMs + waitOutMs(request.terms));
  return { ...candidate, epochSeen: request.epoch, isWithheld: false, promisedUntilMs: untilMs };
}

/** When it may claim what the register grants it; undefined when it is granted nothing. Call `recordRead` with this record before: from then
 *  on holders of older epochs get no promise. */
export function claimableAtMs(candidate: PromotionCandidate, record: WriterRecord): number | undefined {
  const { member, promisedUntilMs, startedAtMs } = candidate;
  if (record.holder.name !== member || record.life !== null || record.state !== 'open') return undefined;
  const start = record.chain.at(-1);
  // A first epoch has no predecessor that could have asked for promises.
  if (start?.proof === 'demotion' || start?.proof === 'first') return -Infinity;
  return Math.max(promisedUntilMs, startedAtMs + waitOutMs(record.terms));
}

// Whether the holder of an epoch is fenced, so that the right may be granted to another. One proof is enough; without any the failover is
// blocked, and only two people together can break the glass, which marks the run.

import { waitOutMs } from './lease-terms.ts';
import type { ProofKind, WriterRecord } from './writer-record.ts';

/** Somebody switched the host, its disk or its network off, and somebody else read that back by another way. */
export type PowerOff = { readonly by: string; readonly readBackBy: string };

export type BreakGlass = { readonly persons: readonly [string, string]; readonly reason: string };

export type FencingEvidence = {
  readonly nowMs: number;
  /** When this process first saw the record in this very revision, by the same clock. A restarted one looks anew, and waits anew. */
  readonly seenAtMs: number;
  readonly powerOff?: PowerOff;
  readonly breakGlass?: BreakGlass;
};

export type FencingVerdict =
  | { readonly kind: 'proven'; readonly proof: ProofKind }
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'blocked'; readonly missing: readonly string[] };

export function judgeFencing(record: WriterRecord, evidence: FencingEvidence): FencingVerdict {
  if (record.state === 'open') return { kind: 'blocked', missing: ['renewals are not withheld'] };
  if (record.demotion !== null) return { kind: 'proven', proof: 'demotion' };
  // What was granted and never claimed was never written under, and cannot be claimed any more.
  if (record.life === null) return { kind: 'proven', proof: 'unclaimed' };
  const { powerOff, breakGlass, seenAtMs, nowMs } = evidence;
  if (powerOff !== undefined && powerOff.by !== powerOff.readBackBy) return { kind: 'proven', proof: 'power-off' };
  const untilMs = seenAtMs + waitOutMs(record.terms);
  const stopsByItself = record.onLeaseLoss === 'stop' && record.watchdog === 'armed';
  if (stopsByItself) return nowMs >= untilMs ? { kind: 'proven', proof: 'expiry' } : { kind: 'wait', untilMs };
  if (breakGlass !== undefined && breakGlass.persons[0] !== breakGlass.persons[1]) return { kind: 'proven', proof: 'break-glass' };
  return { kind: 'blocked', missing: missingProofs(record) };
}

function missingProofs({ onLeaseLoss, watchdog }: WriterRecord): readonly string[] {
  const expiry =
    onLeaseLoss === 'continue'
      ? 'the end of the lease proves nothing: the plan says that the primary continues without it'
      : `the end of the lease proves nothing: the watchdog is "${watchdog}"`;
  return ['no demotion of the old primary', 'no power-off that was read back by another way', expiry];
}

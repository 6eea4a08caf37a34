import type { FailoverDatabase, JournalRegister } from '../dr/failover-journal.ts';
import type { SiteControl } from '../dr/site-control.ts';
import { WriterRegister } from '../dr/writer-register.ts';
import type { PackDetails } from '../evidence/pack.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import type { Registry } from '../registry/registry.ts';

/** What an orchestrator works with. It holds nothing itself: whatever counts is in the registry. */
export type OrchestratorPorts = {
  readonly registry: Registry;
  readonly journal: JournalRegister;
  /** The one that was declared. */
  readonly plan: PlanDocument;
  /** Of a site that the plan names. */
  readonly site: (name: string) => SiteControl;
  /** Public keys whose heartbeats count. */
  readonly trusted: readonly Uint8Array[];
  /** Steady while this works: see steadyClock. */
  readonly now: () => Date;
  /** A clock that never goes back, and goes on while the host sleeps. */
  readonly nowMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Signs and keeps the evidence of a failover that is over; answers where it lies, and the digest of its text. */
  readonly keepEvidence: KeepEvidence;
};

export type KeepEvidence = (evidence: EvidenceOfRun) => Promise<{ readonly file: string; readonly digest: string }>;

/** Everything in it follows from the journal: whoever makes it again makes the same. */
export type EvidenceOfRun = Omit<PackDetails, 'tenant' | 'program'>;

export function writerOf(
  { registry }: Pick<OrchestratorPorts, 'registry'>,
  { incarnation }: Pick<FailoverDatabase, 'incarnation'>,
): WriterRegister {
  return new WriterRegister(registry, incarnation);
}

// What a drill is made of. Everything that knows about the world outside of its room comes in as a value or a function: this room of the house
// has no lease, no registry, no gate and no routes, and cannot import them.

import type { Claims } from '../../src/evidence/claims.ts';
import type { Scalar } from '../../src/evidence/measurement.ts';
import type { makePack } from '../../src/evidence/pack.ts';
import type { PlanDocument } from '../../src/plan/plan-document.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ProbeResult } from './probe.ts';

/** Where a member of the plan is restored from. */
export type DrillSource = {
  readonly asset: string;
  /** Over a store that refuses to be written to. */
  readonly repository: Repository;
};

/** A thing of production that a drill must leave as it is. Answers a text of its state; `past`, an earlier answer, takes away what has only
 *  grown since: the same text then says that nothing else has happened. */
export type Fingerprint = {
  readonly of: string;
  readonly how: string;
  readonly read: (past?: string) => Promise<string>;
};

/** A standing standby, which must go on while a drill runs. Answers how far it has replayed. */
export type StandingStandby = { readonly of: string; readonly how: string; readonly position: () => Promise<number> };

/** A write that must fail: to the store, with the credentials that the drill has. */
export type StoreWrite = { readonly of: string; readonly how: string; readonly attempt: () => Promise<ProbeResult> };

/** A figure that levels are judged by, or a person's word. */
export type Given = {
  readonly kind: 'fact' | 'attestation';
  readonly of: string;
  readonly how: string;
  readonly value: Readonly<Record<string, Scalar>>;
};

export type DrillOptions = {
  readonly id: string;
  readonly plan: PlanDocument;
  readonly tenant: string;
  readonly program: string;
  /** Of every member of the plan. */
  readonly sources: readonly DrillSource[];
  /** When the disaster is said to have happened; absent: now. */
  readonly disaster?: Date;
  /** Directory of this drill's own, for its pack; made. */
  readonly evidence: string;
  /** Where the drill's directory is made and removed: clones are as large as production. */
  readonly scratch: string;
  /** Where the servers' programs are looked for before the usual places. */
  readonly programs: readonly string[];
  readonly pair: Parameters<typeof makePack>[1];
  /** Public keys of heartbeats. */
  readonly heartbeatKeys: readonly Uint8Array[];
  /** What a recovering server's helper is started by. */
  readonly helper: readonly string[];
  /** The program that calls watchDrill, and what it makes its view of failovers of. */
  readonly watcher: string;
  readonly view: unknown;
  readonly fingerprints: readonly Fingerprint[];
  readonly standbys: readonly StandingStandby[];
  readonly storeWrites: readonly StoreWrite[];
  /** More that the room must not reach: where the stores are. */
  readonly addresses: readonly string[];
  /** More that nobody in the room may write to: directories of stores. */
  readonly directories: readonly string[];
  /** Files and directories that nobody in the room may read: keys, passphrases, evidence. */
  readonly secrets: readonly string[];
  readonly given: readonly Given[];
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly onAction: (id: string, text: string) => void;
};

export type DrillResult = {
  readonly outcome: 'succeeded' | 'failed' | 'void';
  /** Who ended it before its end, if somebody did. */
  readonly endedBy: string | undefined;
  /** The first action that has failed, and why. */
  readonly failed: string | undefined;
  readonly isDestroyed: boolean;
  readonly claims: Claims;
  /** Path of the signed pack. */
  readonly pack: string;
};

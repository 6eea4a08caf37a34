// What the agent and the process of a run say to each other, over the channel that Node opens between a process and its child.

import type { RunFault } from '../../src/model/run.ts';
import type { ClaimedRun } from '../../src/protocol/agent-messages.ts';
import type { AgentState } from './agent-home.ts';

/** A server of an asset, as a role reaches it that may only look. */
export type DrillLook = { readonly at: 'production' | 'standby'; readonly asset: string; readonly server: string };

export type RunSettings = {
  readonly home: string;
  readonly state: AgentState;
  /** Of this program, as snapshots name it. */
  readonly program: string;
  /** Restores may write below these, `<home>/restores` among them. */
  readonly allowRestore: readonly string[];
  /** Hooks may be programs in these, `<home>/hooks` among them. */
  readonly allowHooks: readonly string[];
  /** Where programs of PostgreSQL lie besides the usual places. */
  readonly serverPrograms: readonly string[];
  /** Left out of every backup: the agent's home, a repository on this host. */
  readonly neverBackUp: readonly string[];
  readonly threads: number;
  /** Of the site daemon of this host; absent: nothing is done here for plans. */
  readonly siteConfig?: string;
  /** Where the clones of drills lie. */
  readonly drillDirectory?: string;
  /** What drills look at, and do not touch. */
  readonly drillLooks: readonly DrillLook[];
  /** Of the environment, what programs for plans may see. */
  readonly variables: Readonly<Record<string, string>>;
  /** Of the protocol. */
  readonly version?: string;
};

export type ToRun =
  | { readonly kind: 'begin'; readonly claimed: ClaimedRun; readonly settings: RunSettings }
  /** End in an orderly way, for this reason. */
  | { readonly kind: 'stop'; readonly code: StopCode };

export type StopCode = 'RUN_CANCELED' | 'AGENT_INTERRUPTED';

export type FromRun =
  | { readonly kind: 'progress'; readonly progress: RunProgress }
  /** The process group of the hook that runs now. */
  | { readonly kind: 'group'; readonly group: number | undefined }
  | { readonly kind: 'end'; readonly outcome: RunOutcome };

export type RunProgress = {
  readonly phase: string;
  readonly bytesDone: number;
  readonly bytesTotal?: number;
  readonly bytesStored?: number;
  readonly entriesDone?: number;
  readonly current?: string;
};

export type RunOutcome = {
  readonly state: 'succeeded' | 'warned' | 'failed' | 'canceled';
  readonly result?: Readonly<Record<string, unknown>>;
  readonly fault?: RunFault;
};

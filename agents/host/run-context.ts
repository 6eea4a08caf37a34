// What the work of a run is given.

import type { ThreadsAhead } from '../../src/engine/backup-threads.ts';
import type { ClaimedRun } from '../../src/protocol/agent-messages.ts';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import type { AgentHome } from './agent-home.ts';
import type { RunProgress, RunSettings } from './run-messages.ts';

export type RunContext = {
  readonly claimed: ClaimedRun;
  readonly settings: RunSettings;
  readonly home: AgentHome;
  readonly transport: AgentTransport;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  /** Where the progress is looked up while the work goes on. */
  readonly watch: (read: () => RunProgress) => void;
  /** The process group of the hook that runs now. */
  readonly onGroup: (group: number | undefined) => void;
  /** Of a backup; not to be closed. */
  readonly threads?: ThreadsAhead | undefined;
};

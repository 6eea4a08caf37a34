// An agent that proves who it is and is refused all the same: since when, and why.

import type { Instant } from './instant.ts';

export type RefusedAgent = { readonly code: string; readonly message: string; readonly hint: string; readonly at: Instant };

/** The name of a setting: a RefusedAgent as JSON; empty: it is not refused any more. */
export function refusedSetting(agentId: string): string {
  return `agent-refused:${agentId}`;
}

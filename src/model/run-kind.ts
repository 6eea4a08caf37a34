// What runs are of.

/** Executed by a host agent. */
const OF_AGENTS = ['backup', 'capture', 'restore', 'restore-test', 'readiness', 'drill', 'failover'] as const;
/** Executed by the service. */
const OF_SERVICE = ['forget', 'prune', 'verify', 'catalog-backup', 'erase'] as const;
export const RUN_KINDS = [...OF_AGENTS, ...OF_SERVICE] as const;
export type RunKind = (typeof RUN_KINDS)[number];
export const AGENT_RUN_KINDS: readonly RunKind[] = OF_AGENTS;

/** A duty rather than a task: it ends only when it must, needs no room beside others and has no due time. */
export function isDuty(kind: string): boolean {
  return kind === 'capture';
}

/** Waits for nothing that runs, and takes nobody's place: a duty, and a failover. */
export function isBeside(kind: string): boolean {
  return isDuty(kind) || kind === 'failover';
}

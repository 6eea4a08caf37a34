// What a plan is carried out as.

export const FAILOVER_KINDS = ['planned', 'unplanned', 'failback'] as const;
export type FailoverKind = (typeof FAILOVER_KINDS)[number];

/** A failover, or the rehearsal of one. */
export const PLAN_RUN_KINDS = [...FAILOVER_KINDS, 'drill'] as const;
export type PlanRunKind = (typeof PLAN_RUN_KINDS)[number];

// The states that a failover goes through, in order. What the journal records, the plan orders its actions by, and the runbook prints.

export const FAILOVER_STATES = [
  'declared',
  'fenced',
  'sealed',
  'caught-up',
  'granted',
  'promoted',
  'routed',
  'verified',
  'committed',
  're-protecting',
  'normal',
] as const;

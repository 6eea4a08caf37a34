// The table of verbs: help, validation and completion are made from it, and a verb's code is loaded when it runs.

import type { Verb } from './verb.ts';
import { AGENT_VERBS } from './verbs-agent.ts';
import { CATALOG_VERBS } from './verbs-catalog.ts';
import { DRILL_VERBS } from './verbs-drill.ts';
import { EVIDENCE_VERBS } from './verbs-evidence.ts';
import { FAILOVER_VERBS } from './verbs-failover.ts';
import { KEY_VERBS } from './verbs-key.ts';
import { PG_VERBS } from './verbs-pg.ts';
import { PLAN_VERBS } from './verbs-plan.ts';
import { POLICY_VERBS } from './verbs-policy.ts';
import { PROTECTION_VERBS } from './verbs-protection.ts';
import { RECOVERY_VERBS } from './verbs-recovery.ts';
import { REHEARSAL_VERBS } from './verbs-rehearsal.ts';
import { REPLICA_VERBS } from './verbs-replica.ts';
import { REPOSITORY_VERBS } from './verbs-repository.ts';
import { SERVICE_VERBS } from './verbs-service.ts';
import { SERVICE_FAILOVER_VERBS } from './verbs-service-failover.ts';
import { SITE_VERBS } from './verbs-site.ts';
import { STANDBY_VERBS } from './verbs-standby.ts';
import { TENANCY_VERBS } from './verbs-tenancy.ts';
import { VAULT_VERBS } from './verbs-vault.ts';

export const VERBS: readonly Verb[] = [
  ...REPOSITORY_VERBS,
  ...KEY_VERBS,
  ...PG_VERBS,
  ...VAULT_VERBS,
  ...REPLICA_VERBS,
  ...STANDBY_VERBS,
  ...SITE_VERBS,
  ...PLAN_VERBS,
  ...DRILL_VERBS,
  ...FAILOVER_VERBS,
  ...EVIDENCE_VERBS,
  ...POLICY_VERBS,
  ...SERVICE_VERBS,
  ...AGENT_VERBS,
  ...TENANCY_VERBS,
  ...PROTECTION_VERBS,
  ...RECOVERY_VERBS,
  ...REHEARSAL_VERBS,
  ...SERVICE_FAILOVER_VERBS,
  ...CATALOG_VERBS,
  {
    name: 'completion',
    summary: 'print a script that completes commands in a shell',
    args: [{ name: 'SHELL', min: 1, max: 1, kind: 'choice', choices: ['bash', 'zsh', 'fish'] }],
    options: [],
    examples: [['source <(holdfast completion bash)', 'In this shell, now']],
    load: async () => (await import('./completion.ts')).completion,
  },
  {
    name: 'help',
    summary: 'show help, of a verb when one is named',
    args: [{ name: 'VERB', min: 0, max: 2, kind: 'verb' }],
    options: [],
    examples: [['holdfast help backup', 'Of a verb']],
    load: async () => (await import('./help-verb.ts')).help,
  },
];

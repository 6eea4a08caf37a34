// The verbs about failovers that the service is asked for; those that work without it are in verbs-failover.ts. See verbs.ts.

import type { Verb } from './verb.ts';
import { FAILOVER_KIND } from './verbs-failover.ts';
import { argument, REASON, SERVICE } from './verbs-tenancy.ts';

const FOLLOW = { name: 'follow', kind: 'flag', help: 'stay until it is over' } as const;

export const SERVICE_FAILOVER_VERBS: readonly Verb[] = [
  {
    name: 'failover request',
    summary: 'ask the service for a failover of a plan, planned or not, or for a failback',
    details:
      'It waits for as many other people as the plan says; once they have approved it, an agent that was started with --site-config declares it and carries it out.',
    args: [argument('PLAN')],
    options: [
      ...SERVICE,
      FAILOVER_KIND,
      REASON,
      { name: 'disaster', kind: 'text', value: 'TIME', help: 'when it is said to have happened (default: now)' },
      { name: 'agent', kind: 'text', value: 'AGENT', help: 'who carries it out (default: one at the site that it goes to)' },
    ],
    examples: [['holdfast failover request citizen-portal --kind unplanned --reason "site a burns"', 'Then others approve it']],
    load: async () => (await import('./service-failover.ts')).failoverRequest,
  },
  {
    name: 'failover list',
    summary: 'list the failovers of the service, the newest first',
    args: [],
    options: SERVICE,
    examples: [['holdfast failover list', 'All']],
    load: async () => (await import('./service-failover.ts')).failoverList,
  },
  {
    name: 'failover show',
    summary: 'show a failover of the service: its transitions, and what it waits for',
    args: [argument('ID')],
    options: SERVICE,
    examples: [['holdfast failover show fov_01jd0000000000000000000000', 'With the time of each transition']],
    load: async () => (await import('./service-failover.ts')).failoverShow,
  },
  {
    name: 'failover answer',
    summary: 'say yes or no to what a failover of the service waits for: a gate, a loss, a failure',
    details: 'ACTION is what "failover show" names. Only a person who is logged in.',
    args: [argument('ID'), argument('ACTION')],
    options: [
      ...SERVICE,
      { name: 'yes', kind: 'flag', help: 'it goes on' },
      { name: 'no', kind: 'flag', help: 'it does not' },
      FOLLOW,
    ],
    examples: [['holdfast failover answer fov_01jd0000000000000000000000 show-loss --yes', 'Accept the loss']],
    load: async () => (await import('./service-failover.ts')).failoverAnswer,
  },
  {
    name: 'failover take-back',
    summary: 'undo a failover of the service before the right to write was handed on',
    args: [argument('ID')],
    options: [...SERVICE, REASON, FOLLOW],
    examples: [['holdfast failover take-back fov_01jd0000000000000000000000 --reason "site a is back"', 'Before the grant']],
    load: async () => (await import('./service-failover.ts')).failoverTakeBack,
  },
  {
    name: 'failover request-glass',
    summary: 'ask to go on without proof that the old primary is fenced; as many other people as the plan says approve',
    details: 'If the old primary still writes, two histories begin. The failover and its evidence are marked for good.',
    args: [argument('ID')],
    options: [...SERVICE, REASON],
    examples: [
      ['holdfast failover request-glass fov_01jd0000000000000000000000 --reason "seen burnt down"', 'Then others approve it'],
    ],
    load: async () => (await import('./service-failover.ts')).failoverRequestGlass,
  },
  {
    name: 'failover resume',
    summary: 'have a failover of the service gone on with, when nobody carries it out any more',
    args: [argument('ID')],
    options: [...SERVICE, { name: 'agent', kind: 'text', value: 'AGENT', help: 'by this one from now on' }, FOLLOW],
    examples: [['holdfast failover resume fov_01jd0000000000000000000000', 'It goes on where it was']],
    load: async () => (await import('./service-failover.ts')).failoverResume,
  },
  {
    name: 'failover reattach',
    summary: 'make the old primary a standby of the new one, after a failover of the service',
    details: 'What it had written and the new one does not have is exported first.',
    args: [argument('ID')],
    options: [...SERVICE, FOLLOW],
    examples: [['holdfast failover reattach fov_01jd0000000000000000000000 --follow', 'Once the old site is back']],
    load: async () => (await import('./service-failover.ts')).failoverReattach,
  },
];

// The verbs about drills; see verbs.ts.

import { REPOSITORY, THREADS } from './common-options.ts';
import type { Verb } from './verb.ts';

export const DRILL_VERBS: readonly Verb[] = [
  {
    name: 'drill run',
    summary: 'rehearse a plan of disaster recovery where nothing of production can be reached, and sign what was measured',
    details:
      'Every database of the plan is cloned from its repository, which is only read, into a room with a network of its own, files and volumes are restored beside it; the steps and tests of the plan run in there. Before and after, what the drill must not reach is tried. At the end, at the limit of the plan, or when a failover is declared, everything is destroyed by a process of its own.\nExit status 1 when it has failed, 4 when it is void: something of production could be reached or has changed.',
    args: [{ name: 'PLAN', min: 1, max: 1, kind: 'path' }],
    options: [
      ...REPOSITORY,
      {
        name: 'for',
        kind: 'text',
        many: true,
        value: 'ASSET=LOCATION',
        help: 'from which repository a member of the plan is restored (default: --repo)',
      },
      {
        name: 'config',
        kind: 'file',
        value: 'FILE',
        help: 'the configuration of the site daemon here: its repositories, its keys, and the registry that says whether a failover is declared',
      },
      { name: 'at', kind: 'text', value: 'TIME', help: 'when the disaster is said to have happened (default: now)' },
      { name: 'evidence-dir', kind: 'directory', value: 'DIR', help: 'where the evidence of all drills is kept' },
      { name: 'key-dir', kind: 'directory', value: 'DIR', help: 'where the key lies that signs evidence; made when there is none' },
      {
        name: 'heartbeat-key',
        kind: 'file',
        many: true,
        value: 'FILE',
        help: 'a public key of heartbeats, by which a loss is measured',
      },
      {
        name: 'directory',
        kind: 'directory',
        value: 'DIR',
        help: 'where the clones lie while there are any (default: temporary files)',
      },
      {
        name: 'bin-dir',
        kind: 'directory',
        many: true,
        value: 'DIR',
        help: "the servers' programs lie here, which are looked for in the usual places otherwise",
      },
      { name: 'tenant', kind: 'text', value: 'NAME', help: 'whose it is (default: default)' },
      {
        name: 'production',
        kind: 'text',
        many: true,
        value: 'ASSET=SERVER',
        help: 'compare production before and after, by a role that may only look',
      },
      { name: 'standby', kind: 'text', many: true, value: 'ASSET=SERVER', help: 'see that the standing standby goes on meanwhile' },
      { name: 'preempt-file', kind: 'file', value: 'FILE', help: 'end it at once when this file appears' },
      {
        name: 'attestations',
        kind: 'file',
        value: 'FILE',
        help: 'what people vouch for in a level: lines of REQUIREMENT PERSON UNTIL',
      },
      THREADS,
    ],
    examples: [
      [
        'holdfast drill run citizen-portal.yaml --config site.yaml --evidence-dir /srv/evidence --key-dir /etc/holdfast',
        'From what the daemon of this site has; a failover ends it',
      ],
      [
        'holdfast drill run policies/plans/citizen-portal.yaml --repo /srv/replica --evidence-dir /srv/evidence --key-dir /etc/holdfast',
        'From the replica of this site',
      ],
    ],
    load: async () => (await import('./drill.ts')).drillRun,
  },
  {
    name: 'drill due',
    summary: 'tell whether a plan has to be rehearsed again, by the evidence of its drills',
    details: 'Only signed evidence of drills that have succeeded counts. Exit status 3 when one is due.',
    args: [{ name: 'PLAN', min: 1, max: 1, kind: 'path' }],
    options: [
      { name: 'evidence-dir', kind: 'directory', value: 'DIR', help: 'where the evidence of all drills is kept' },
      { name: 'key', kind: 'file', many: true, value: 'FILE', help: 'a public key that is trusted' },
    ],
    examples: [
      ['holdfast drill due citizen-portal.yaml --evidence-dir /srv/evidence --key /etc/holdfast/evidence-key.pub', 'For a timer'],
    ],
    load: async () => (await import('./drill.ts')).drillDueOf,
  },
];

// The verbs about failovers; see verbs.ts.

import { FAILOVER_KINDS } from '../model/failover-kind.ts';
import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

const PLAN: Argument = { name: 'PLAN', min: 1, max: 1, kind: 'text' };
const CONFIG: Option = { name: 'config', kind: 'file', value: 'FILE', help: 'the configuration of the site daemon here' };
const BY: Option = { name: 'by', kind: 'text', many: true, value: 'NAME', help: 'who says so' };
const REASON: Option = { name: 'reason', kind: 'text', value: 'TEXT', help: 'why' };
const PLAN_FILE: Option = { name: 'plan', kind: 'file', value: 'FILE', help: 'the plan' };
/** Of a failover that is declared, or asked for. */
export const FAILOVER_KIND: Option = {
  name: 'kind',
  kind: 'choice',
  choices: FAILOVER_KINDS,
  value: 'KIND',
  help: FAILOVER_KINDS.join(', '),
};
const PLAN_NOTE =
  'PLAN is the name of a plan: its newest failover; or the id of a failover: that one, and none that came after it.';

export const FAILOVER_VERBS: readonly Verb[] = [
  {
    name: 'failover declare',
    summary: 'declare a failover of a plan, planned or not, or a failback',
    details:
      'Nothing happens yet: "failover run" carries it out, here or at any other site. Which way it goes is seen from who may write now.',
    args: [],
    options: [
      CONFIG,
      PLAN_FILE,
      FAILOVER_KIND,
      REASON,
      BY,
      { name: 'approve', kind: 'text', many: true, value: 'NAME', help: 'who approves, beside who declares' },
      {
        name: 'id',
        kind: 'text',
        value: 'ID',
        help: 'its id, so that the same declaration, said again, is one (default: a new one)',
      },
      {
        name: 'asked-at',
        kind: 'text',
        value: 'TIME',
        help: 'when it was asked for: refused a day later, and when another failover of the plan was declared since (default: now)',
      },
      { name: 'disaster', kind: 'text', value: 'TIME', help: 'when it is said to have happened (default: now)' },
    ],
    examples: [
      [
        'holdfast failover declare --config site.yaml --plan citizen-portal.yaml --kind unplanned --reason "site a burns" --by wei --approve lin',
        'Two people',
      ],
    ],
    load: async () => (await import('./failover.ts')).failoverDeclare,
  },
  {
    name: 'failover run',
    summary: 'carry a failover out, or go on with it, until it is finished or waits for somebody',
    details: `${PLAN_NOTE} May be killed and run again at any time, at any site, by several at once. Exit status 3 when it is blocked: it says by what, and what to type.`,
    args: [PLAN],
    options: [
      CONFIG,
      { name: 'wait', kind: 'flag', help: 'stay, and go on by itself when what it waits for is there' },
      {
        name: 'evidence-dir',
        kind: 'directory',
        value: 'DIR',
        help: 'where the signed evidence is kept (default: that of the site)',
      },
      { name: 'tenant', kind: 'text', value: 'NAME', help: 'whose it is (default: default)' },
    ],
    examples: [['holdfast failover run citizen-portal --config site.yaml', 'As far as it goes']],
    load: async () => (await import('./failover.ts')).failoverRun,
  },
  {
    name: 'failover status',
    summary: 'how far a failover is, and what it waits for',
    details: PLAN_NOTE,
    args: [PLAN],
    options: [CONFIG],
    examples: [['holdfast failover status citizen-portal --config site.yaml', 'The newest of that plan']],
    load: async () => (await import('./failover.ts')).failoverStatus,
  },
  {
    name: 'failover undo',
    summary: 'undo a failover before the right to write was handed on',
    details: `${PLAN_NOTE} The old primary gets its right back. Afterwards the way back is a failback.`,
    args: [PLAN],
    options: [CONFIG, REASON],
    examples: [['holdfast failover undo citizen-portal --config site.yaml --reason "site a is back"', 'Before the grant']],
    load: async () => (await import('./failover.ts')).failoverUndo,
  },
  {
    name: 'failover decide',
    summary: 'say yes or no to what a failover waits for: a gate, a loss, a failure',
    details: `${PLAN_NOTE} ACTION is what "failover status" names.`,
    args: [PLAN, { name: 'ACTION', min: 1, max: 1, kind: 'text' }],
    options: [CONFIG, { name: 'yes', kind: 'flag', help: 'it goes on' }, { name: 'no', kind: 'flag', help: 'it does not' }, BY],
    examples: [['holdfast failover decide citizen-portal show-loss --yes --by wei --config site.yaml', 'Accept the loss']],
    load: async () => (await import('./failover.ts')).failoverDecide,
  },
  {
    name: 'failover break-glass',
    summary: 'go on without proof that the old primary is fenced: two people together',
    details: `${PLAN_NOTE} If the old primary still writes, two histories begin. The failover and its evidence are marked for good.`,
    args: [PLAN],
    options: [CONFIG, BY, REASON],
    examples: [
      [
        'holdfast failover break-glass citizen-portal --by wei --by lin --reason "seen burnt down" --config site.yaml',
        'Two people',
      ],
    ],
    load: async () => (await import('./failover.ts')).failoverBreakGlass,
  },
  {
    name: 'failover rejoin',
    summary: 'make the old primary a standby of the new one, after a failover',
    details: `${PLAN_NOTE} What it had written and the new one does not have is exported first.`,
    args: [PLAN],
    options: [CONFIG],
    examples: [['holdfast failover rejoin citizen-portal --config site.yaml', 'Once the old site is back']],
    load: async () => (await import('./failover.ts')).failoverRejoin,
  },
  {
    name: 'failover readiness',
    summary: 'whether a plan could be carried out now, and what has drifted',
    details:
      'Run it every day: the digest of the plan, sites, gates, standby and replica, routes, commands and the age of the last proof are looked at; nothing is changed. Exit status 3 when something is not ready.',
    args: [],
    options: [
      CONFIG,
      PLAN_FILE,
      { name: 'digest', kind: 'text', value: 'HEX', help: 'the digest on the runbook that was printed' },
      { name: 'evidence-dir', kind: 'directory', value: 'DIR', help: 'where evidence is kept (default: that of the site)' },
      {
        name: 'key',
        kind: 'file',
        many: true,
        value: 'FILE',
        help: 'a public key of evidence that is trusted, beside those of the sites',
      },
    ],
    examples: [['holdfast failover readiness --plan citizen-portal.yaml --config site.yaml --json', 'For a timer']],
    load: async () => (await import('./failover-readiness.ts')).failoverReadiness,
  },
];

// The verbs about plans of disaster recovery that the service holds; see verbs.ts.

import type { Option } from './option.ts';
import type { Verb } from './verb.ts';
import { argument, REASON, SERVICE } from './verbs-tenancy.ts';

const FOLLOW: Option = { name: 'follow', kind: 'flag', help: 'stay until it is over' };
const VERSION: Option = {
  name: 'version',
  kind: 'count',
  min: 1,
  value: 'N',
  help: 'a version that was (default: the one in force)',
};

export const REHEARSAL_VERBS: readonly Verb[] = [
  {
    name: 'plan list',
    summary: 'list the plans of the tenant, and whether each could be carried out now',
    args: [],
    options: SERVICE,
    examples: [['holdfast plan list', 'All']],
    load: async () => (await import('./service-plan.ts')).planList,
  },
  {
    name: 'plan get',
    summary: 'print a plan as it was put',
    args: [argument('NAME')],
    options: [...SERVICE, VERSION],
    examples: [['holdfast plan get citizen-portal > citizen-portal.yaml', 'Comments and all']],
    load: async () => (await import('./service-plan.ts')).planGet,
  },
  {
    name: 'plan put',
    summary: 'make or replace a plan of the tenant',
    details:
      'The version that the plan itself says is raised with every change. When it promises, proves or asks less than before, it waits for a second person.',
    args: [{ name: 'FILE', min: 1, max: 1, kind: 'path' }],
    options: [...SERVICE, REASON],
    examples: [['holdfast plan put policies/plans/citizen-portal.yaml', 'What is wrong with it is said line by line']],
    load: async () => (await import('./service-plan.ts')).planPut,
  },
  {
    name: 'plan versions',
    summary: 'list every version that a plan had',
    args: [argument('NAME')],
    options: SERVICE,
    examples: [['holdfast plan versions citizen-portal', 'Who changed it, and when']],
    load: async () => (await import('./service-plan.ts')).planVersions,
  },
  {
    name: 'plan runbook',
    summary: 'print the runbook of a plan of the tenant, for people (Markdown)',
    args: [argument('NAME')],
    options: [
      ...SERVICE,
      VERSION,
      { name: 'language', kind: 'choice', choices: ['en', 'zh'], value: 'LANGUAGE', help: 'en or zh (default: en)' },
    ],
    examples: [['holdfast plan runbook citizen-portal --language zh', 'In Chinese']],
    load: async () => (await import('./service-plan.ts')).planRunbook,
  },
  {
    name: 'plan check',
    summary: 'look now whether a plan could be carried out, from a host of the site that it leads to',
    details: 'It is looked at every day without that; "plan list" tells what was found last.',
    args: [argument('NAME')],
    options: [...SERVICE, FOLLOW],
    examples: [['holdfast plan check citizen-portal --follow', 'And wait for it']],
    load: async () => (await import('./service-rehearsal.ts')).planCheck,
  },
  {
    name: 'drill start',
    summary: 'have the service rehearse a plan, on a host of the site that it leads to',
    details:
      'An agent that was started with --site-config there does what "drill run" does by hand. "run cancel" ends it: then it is destroyed at once. A plan that says how often it is rehearsed needs nobody to start it.',
    args: [argument('PLAN')],
    options: [
      ...SERVICE,
      VERSION,
      { name: 'at', kind: 'text', value: 'TIME', help: 'when the disaster is said to have happened (default: now)' },
      FOLLOW,
    ],
    examples: [['holdfast drill start citizen-portal --follow', 'And wait for its end']],
    load: async () => (await import('./service-rehearsal.ts')).drillStart,
  },
  {
    name: 'drill list',
    summary: 'list the drills of the service, the newest first',
    args: [],
    options: SERVICE,
    examples: [['holdfast drill list', 'All']],
    load: async () => (await import('./service-rehearsal.ts')).drillList,
  },
  {
    name: 'evidence list',
    summary: 'list the evidence of drills and failovers that the service keeps',
    args: [],
    options: [...SERVICE, { name: 'plan', kind: 'text', value: 'NAME', help: 'only of this plan' }],
    examples: [['holdfast evidence list --plan citizen-portal', 'What was proven, and when']],
    load: async () => (await import('./service-rehearsal.ts')).evidenceList,
  },
  {
    name: 'evidence get',
    summary: 'fetch an evidence from the service, with all that lies beside it, to be verified offline',
    args: [argument('ID')],
    options: [...SERVICE, { name: 'output', kind: 'directory', value: 'DIR', help: 'a new directory for its files' }],
    examples: [
      [
        'holdfast evidence get drl_20261121t080000_0123456789ab --output /tmp/drill',
        'Then: holdfast evidence verify /tmp/drill/pack.json',
      ],
    ],
    load: async () => (await import('./service-rehearsal.ts')).evidenceGet,
  },
  {
    name: 'plan delete',
    summary: 'ask for the end of a plan; a second person approves',
    args: [argument('NAME')],
    options: [...SERVICE, REASON],
    examples: [['holdfast plan delete citizen-portal --reason "moved to another"', 'Its versions stay']],
    load: async () => (await import('./service-plan.ts')).planDelete,
  },
];

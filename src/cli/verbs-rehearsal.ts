// The verbs about plans of disaster recovery that the service holds; see verbs.ts.

import type { Option } from './option.ts';
import type { Verb } from './verb.ts';
import { argument, REASON, SERVICE } from './verbs-tenancy.ts';

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
    name: 'plan delete',
    summary: 'ask for the end of a plan; a second person approves',
    args: [argument('NAME')],
    options: [...SERVICE, REASON],
    examples: [['holdfast plan delete citizen-portal --reason "moved to another"', 'Its versions stay']],
    load: async () => (await import('./service-plan.ts')).planDelete,
  },
];

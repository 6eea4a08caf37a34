// The verbs about plans of disaster recovery that work without a service; see verbs.ts.

import type { Argument, Verb } from './verb.ts';

const FILE: Argument = { name: 'FILE', min: 1, max: 1, kind: 'path' };

export const PLAN_VERBS: readonly Verb[] = [
  {
    name: 'plan validate',
    summary: 'check plan files: form, names, order, proofs, limits of time',
    details: 'Exit status 2 when a file is not valid, 3 when its own limits do not keep what it promises.',
    args: [{ ...FILE, max: 1000 }],
    options: [],
    examples: [['holdfast plan validate policies/plans/citizen-portal.yaml', 'One']],
    load: async () => (await import('./plan.ts')).planValidate,
  },
  {
    name: 'plan render',
    summary: 'print the runbook of a plan, for people (Markdown)',
    details: 'Every step of it is one that the service carries out, in the same order: both are made from the plan.',
    args: [FILE],
    options: [{ name: 'language', kind: 'choice', choices: ['en', 'zh'], value: 'LANGUAGE', help: 'en or zh (default: en)' }],
    examples: [['holdfast plan render policies/plans/citizen-portal.yaml --language zh', 'In Chinese']],
    load: async () => (await import('./plan.ts')).planRender,
  },
  {
    name: 'plan diff',
    summary: 'compare what two plans mean',
    details: 'Each line is marked: ! promises, proves or asks less (two people must approve that), ~ everything else.',
    args: [
      { ...FILE, name: 'A' },
      { ...FILE, name: 'B' },
    ],
    options: [],
    examples: [['holdfast plan diff old.yaml new.yaml', 'What a change means']],
    load: async () => (await import('./plan.ts')).planDiffOf,
  },
  {
    name: 'plan schema',
    summary: 'print the JSON schema of plan files, for editors',
    args: [],
    options: [],
    examples: [['holdfast plan schema > plan.schema.json', 'Into a file that "# yaml-language-server: $schema=" names']],
    load: async () => (await import('./plan.ts')).planSchema,
  },
];

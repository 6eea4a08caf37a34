// The verbs about policies that work without a service; see verbs.ts.

import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

const FILE: Argument = { name: 'FILE', min: 1, max: 1, kind: 'path' };
const ABOVE: Option = {
  name: 'above',
  kind: 'file',
  many: true,
  value: 'FILE',
  help: 'a policy of a level above, which this one may only tighten; highest first',
};
const EXTENDS_NOTE = 'What a policy extends is looked for beside it, as NAME.yaml.';

export const POLICY_VERBS: readonly Verb[] = [
  {
    name: 'policy validate',
    summary: 'check policy files: form, values, promises that cannot be kept',
    details: `${EXTENDS_NOTE}\nExit status 2 when a file is not valid, 3 when a promise cannot be kept as it is written.`,
    args: [{ ...FILE, max: 1000 }],
    options: [ABOVE],
    examples: [
      ['holdfast policy validate policies/*.yaml', 'Some'],
      ['holdfast policy validate bureau.yaml --above city.yaml --above district.yaml', 'Under what others require'],
    ],
    load: async () => (await import('./policy.ts')).validate,
  },
  {
    name: 'policy simulate',
    summary: 'show what a policy runs and what it keeps over a span of time',
    details: EXTENDS_NOTE,
    args: [FILE],
    options: [
      ABOVE,
      { name: 'from', kind: 'text', value: 'TIME', help: 'where to begin: 2026-11-21 or 2026-11-21T08:00Z (default: now)' },
      { name: 'span', kind: 'text', value: 'TIME', help: 'how long: 36h, 90d, 2y (default: 90d)' },
      { name: 'asset', kind: 'text', value: 'ID', help: 'whose jitter and phases to show' },
      { name: 'svg', kind: 'file', value: 'FILE', help: 'write the picture as SVG, too' },
    ],
    examples: [
      ['holdfast policy simulate policies/gold.yaml', 'The next three months'],
      ['holdfast policy simulate mine.yaml --from 2026-01-01 --span 1y --svg mine.svg', 'A year, with a picture'],
    ],
    load: async () => (await import('./policy-simulate.ts')).simulate,
  },
  {
    name: 'policy diff',
    summary: 'compare what two policies mean',
    details: `${EXTENDS_NOTE}\nEach line is marked: + promises more, ! promises less (two people must approve that), ~ promises neither more nor less.`,
    args: [
      { ...FILE, name: 'A' },
      { ...FILE, name: 'B' },
    ],
    options: [],
    examples: [['holdfast policy diff policies/silver.yaml policies/gold.yaml', 'What gold is more']],
    load: async () => (await import('./policy.ts')).diff,
  },
  {
    name: 'policy schema',
    summary: 'print the JSON schema of policy files, for editors',
    args: [],
    options: [],
    examples: [['holdfast policy schema > policy.schema.json', 'Into a file that "# yaml-language-server: $schema=" names']],
    load: async () => (await import('./policy.ts')).schema,
  },
];

// The verbs about evidence of drills and failovers; see verbs.ts.

import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

const PACK: Argument = { name: 'PACK', min: 1, max: 1, kind: 'path' };
const KEY: Option = { name: 'key', kind: 'file', many: true, value: 'FILE', help: 'a public key that is trusted' };

export const EVIDENCE_VERBS: readonly Verb[] = [
  {
    name: 'evidence verify',
    summary: 'verify the signed evidence of a drill or a failover, offline',
    details:
      'Its signature, the chain of its measurements, the files beside it, and every sum that it claims are checked; whatever is wrong is named. Exit status 4 when something is, 3 when nobody vouches for its key or a page beside it says something else.',
    args: [PACK],
    options: [KEY],
    examples: [['holdfast evidence verify drill.json --key evidence-key.pub', 'With nothing but these two files']],
    load: async () => (await import('./evidence.ts')).evidenceVerify,
  },
  {
    name: 'evidence report',
    summary: 'make a page of evidence for people (HTML, fit for printing)',
    args: [PACK],
    options: [
      KEY,
      { name: 'output', short: 'o', kind: 'file', value: 'FILE', help: 'the page that is written' },
      { name: 'language', kind: 'choice', choices: ['en', 'zh'], value: 'LANGUAGE', help: 'en or zh (default: en)' },
    ],
    examples: [['holdfast evidence report drill.json --language zh --output drill.html', 'In Chinese']],
    load: async () => (await import('./evidence.ts')).evidenceReport,
  },
];

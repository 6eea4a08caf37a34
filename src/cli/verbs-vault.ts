// The verbs about locks and what they keep; see verbs.ts.

import { DRY_RUN, REPOSITORY } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const PARALLEL: Option = { name: 'parallel', kind: 'count', min: 1, value: 'N', help: 'requests at a time (default: 8)' };

export const VAULT_VERBS: readonly Verb[] = [
  {
    name: 'lock',
    summary: 'lock what can be restored, so that nobody can delete it for so many days',
    details:
      'In a bucket with Object Lock: compliance mode, which knows no exception, neither for the owner of the bucket. What recovery points still use is locked anew when less than the days remain, and then for longer by the slack, so most runs ask for little. A replica is locked by the same verb at its own place. Run it daily.',
    args: [],
    options: [
      ...REPOSITORY,
      { name: 'days', kind: 'count', min: 1, value: 'N', help: 'for how long from now on' },
      { name: 'slack', kind: 'count', min: 0, value: 'N', help: 'days more when something is locked (default: a third)' },
      { name: 'requests', kind: 'count', min: 1, value: 'N', help: 'so many objects a second at the most' },
      { name: 'all', kind: 'flag', help: 'forget what is known to be locked, and lock everything' },
      PARALLEL,
    ],
    examples: [['holdfast lock --days 30', 'Daily, after the backups']],
    load: async () => (await import('./lock.ts')).lock,
  },
  {
    name: 'undelete',
    summary: 'bring back what somebody has deleted or overwritten in a bucket that keeps versions',
    details:
      'Everything that the newest head names is looked at; of what was deleted or overwritten the version is brought back that can be proven to be the one that was stored. Nobody may back up or prune meanwhile. Take the stolen credentials away first, and run "holdfast verify --full" afterwards.',
    args: [],
    options: [...REPOSITORY, DRY_RUN, PARALLEL],
    examples: [['holdfast undelete --dry-run', 'What would come back, and what is lost']],
    load: async () => (await import('./undelete.ts')).undelete,
  },
];

// The verbs of a warm standby; see verbs.ts.

import { REPOSITORY, THREADS } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const ASSET: Option = {
  name: 'asset',
  kind: 'text',
  value: 'NAME',
  help: 'the cluster (needed when the repository holds several)',
};
const TARGET: Option = { name: 'target', short: 't', kind: 'directory', value: 'DIR', help: 'the data directory of the standby' };

export const STANDBY_VERBS: readonly Verb[] = [
  {
    name: 'standby make',
    summary: "make a warm standby of a PostgreSQL cluster from this site's own repository or replica",
    details:
      'The newest base backup whose log leads to the end of the timeline is restored, and set up to follow that log for ever, on that timeline only. The site daemon hands out the log, and its gate starts the server. What was interrupted goes on with the same command.',
    args: [],
    options: [
      ...REPOSITORY,
      ASSET,
      TARGET,
      {
        name: 'delta',
        kind: 'flag',
        help: 'the target is the data directory of this cluster, stopped, such as that of an old primary: fetch only what differs',
      },
      { name: 'timeline', kind: 'count', min: 1, value: 'N', help: 'the branch of history (default: the one captured last)' },
      {
        name: 'bin-dir',
        kind: 'directory',
        value: 'DIR',
        help: "the server's programs (default: where packages have that version's)",
      },
      {
        name: 'tablespace',
        kind: 'text',
        many: true,
        value: 'OID=DIR',
        help: 'where a tablespace goes (default: beside the target)',
      },
      THREADS,
    ],
    examples: [
      ['holdfast standby make --repo /srv/replica --asset pg/portal --target /var/lib/postgresql/15/portal', 'At the other site'],
      [
        'holdfast standby make --repo /srv/replica --asset pg/portal --target /var/lib/postgresql/15/portal --delta',
        'Of an old primary',
      ],
    ],
    load: async () => (await import('./standby.ts')).standbyMake,
  },
  {
    name: 'standby status',
    summary: 'tell how a warm standby is: its place, how far it is behind, and whether log is missing ahead of it',
    details:
      'SERVER is the standby: "host=/run/postgresql port=5432 user=postgres". Healthy: exit status 0. Lagging: 3. Gap ahead, stalled or broken: 4.',
    args: [{ name: 'SERVER', min: 1, max: 1, kind: 'text' }],
    options: [...REPOSITORY, TARGET],
    examples: [
      [
        'holdfast standby status "host=/run/postgresql user=postgres" --repo /srv/replica --target /var/lib/postgresql/15/portal',
        'At the other site',
      ],
    ],
    load: async () => (await import('./standby.ts')).standbyStatus,
  },
];

// The verbs of a repository's copy at another site; see verbs.ts.

import { REPOSITORY } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const TO: Option = { name: 'to', kind: 'directory', value: 'LOCATION', help: 'the replica; or set HOLDFAST_TO_REPO' };
const PARALLEL: Option = {
  name: 'parallel',
  kind: 'count',
  min: 1,
  value: 'N',
  help: 'objects on their way at a time (default: 8)',
};

export const REPLICA_VERBS: readonly Verb[] = [
  {
    name: 'replica run',
    summary: 'keep a copy of the repository at another site, until interrupted',
    details:
      'The copy is byte for byte: the same keys open it, and it can be restored from at every moment, as of the last head that was copied. Nobody else may write to it until "replica release". Killed, it goes on where it was. --upload-limit and --download-limit bound each place. Where its store needs other credentials than that of --repo: HOLDFAST_TO_AWS_ACCESS_KEY_ID, HOLDFAST_TO_AWS_SECRET_ACCESS_KEY, HOLDFAST_TO_AWS_REGION.',
    args: [],
    options: [
      ...REPOSITORY,
      TO,
      { name: 'once', kind: 'flag', help: 'end when everything that is there now is copied' },
      { name: 'interval', kind: 'count', min: 1, value: 'SECONDS', help: 'between two looks at the source (default: 1)' },
      { name: 'keep-all', kind: 'flag', help: 'delete nothing at the replica, whatever the source has deleted' },
      {
        name: 'rejoin',
        kind: 'flag',
        help: 'the place was the repository before a failover: it becomes a replica, and keeps what only it has',
      },
      {
        name: 'lock-days',
        kind: 'count',
        min: 1,
        value: 'N',
        help: 'lock what the replica holds for so many days from now, twice a day: see "holdfast lock"',
      },
      PARALLEL,
    ],
    examples: [
      ['holdfast replica run --to s3+https://s3.site-b.example.org/bucket/replica', 'As a service'],
      ['holdfast replica run --to /mnt/site-b/replica --once --upload-limit 10MiB', 'Once, with a limit'],
    ],
    load: async () => (await import('./replica.ts')).replicaRun,
  },
  {
    name: 'replica status',
    summary: 'show how far a replica is behind',
    details: 'Without --repo only what the replica says of itself: when the source is gone.',
    args: [],
    options: [...REPOSITORY, TO],
    examples: [['holdfast replica status --to /mnt/site-b/replica', 'Changes, packs and bytes that are missing there']],
    load: async () => (await import('./replica.ts')).replicaStatusOf,
  },
  {
    name: 'replica verify',
    summary: 'prove that a replica is whole and holds what the source holds',
    args: [],
    options: [...REPOSITORY, TO, { name: 'full', kind: 'flag', help: 'read every byte at the replica' }, PARALLEL],
    examples: [['holdfast replica verify --to /mnt/site-b/replica --full', 'Every byte']],
    load: async () => (await import('./replica.ts')).replicaVerify,
  },
  {
    name: 'replica repair',
    summary: 'take what is damaged or missing at a replica from the source',
    details: 'The other way round it is "holdfast repair --from REPLICA".',
    args: [],
    options: [...REPOSITORY, TO, PARALLEL],
    examples: [['holdfast replica repair --to /mnt/site-b/replica', 'Reads every byte there']],
    load: async () => (await import('./replica.ts')).replicaRepair,
  },
  {
    name: 'replica discard',
    summary: 'let go of what a place had that became a replica after a failover',
    details: 'STATE is named by "replica status". Until then nothing that only it has is deleted, and prunes refuse.',
    args: [{ name: 'STATE', min: 1, max: 1, kind: 'text' }],
    options: [...REPOSITORY, TO],
    examples: [['holdfast replica discard --to /srv/backup 0123456789abcdef0123', 'When its rows were looked at']],
    load: async () => (await import('./replica.ts')).replicaDiscard,
  },
  {
    name: 'replica release',
    summary: 'make a replica a repository of its own, because its source is gone',
    details: 'No replication changes it from then on, and backups may be written to it. It cannot be taken back.',
    args: [],
    options: [...REPOSITORY, TO, { name: 'reason', kind: 'text', value: 'TEXT', help: 'kept at the replica' }],
    examples: [['holdfast replica release --to /srv/replica --reason "site A burned down"', 'At the other site']],
    load: async () => (await import('./replica.ts')).replicaRelease,
  },
];

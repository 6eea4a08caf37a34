// The verbs about PostgreSQL; see verbs.ts.

import { REPOSITORY, THREADS } from './common-options.ts';
import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

const SERVER: Argument = { name: 'SERVER', min: 1, max: 1, kind: 'text' };
const SERVER_NOTE =
  'SERVER is "postgresql://user@host:port/database", or words: "host=/run/postgresql port=5432 user=backup". PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, PGSSLROOTCERT, PGSSLCERT and PGSSLKEY count where it says nothing, and the password file (PGPASSFILE, ~/.pgpass); "service=NAME", or PGSERVICE, is looked up in PGSERVICEFILE or ~/.pg_service.conf, and in pg_service.conf of PGSYSCONFDIR; sslmode=verify-full with sslrootcert=FILE proves the server, sslcert=FILE sslkey=FILE proves us. A role with REPLICATION is enough.';
const ASSET: Option = {
  name: 'asset',
  kind: 'text',
  value: 'NAME',
  help: 'what the cluster is called in the repository (default: pg/ and the host)',
};
const ONE_ASSET: Option = {
  name: 'asset',
  kind: 'text',
  value: 'NAME',
  help: 'the cluster (needed when the repository holds several)',
};
const SLOT: Option = { name: 'slot', kind: 'text', value: 'NAME', help: 'the replication slot (default: holdfast)' };
const TIMELINE: Option = {
  name: 'timeline',
  kind: 'count',
  min: 1,
  value: 'N',
  help: 'the branch of history (default: the one captured last)',
};
const TARGET: readonly Option[] = [
  { name: 'time', kind: 'text', value: 'TIME', help: 'as it was at this time, e.g. 2026-05-04T10:15:30+08:00' },
  { name: 'lsn', kind: 'text', value: 'LSN', help: 'as it was at this place of the log' },
  { name: 'xid', kind: 'count', value: 'XID', help: 'up to and with this transaction' },
  { name: 'name', kind: 'text', value: 'NAME', help: 'up to this restore point (pg_create_restore_point)' },
  { name: 'latest', kind: 'flag', help: 'as late as there is log' },
];
const PROGRAMS: Option = {
  name: 'bin-dir',
  kind: 'directory',
  value: 'DIR',
  help: "the server's programs (default: where packages have that version's)",
};
const HOST: Option = { name: 'host', kind: 'text', value: 'NAME', help: 'name of this host to be recorded' };
const LEVEL: Option = {
  name: 'compression',
  kind: 'text',
  value: 'LEVEL',
  help: 'fast, default, better, or a zstd level from -7 to 19',
};

export const PG_VERBS: readonly Verb[] = [
  {
    name: 'pg heartbeat',
    summary: 'write a signed row into a database every second, by which a recovery tells what was lost',
    details: `${SERVER_NOTE}\nThe row lies in holdfast.heartbeat, which is made when it is not there. The public key beside the secret one is what a reader trusts.`,
    args: [SERVER],
    options: [
      ASSET,
      { name: 'key-dir', kind: 'directory', value: 'DIR', help: 'where its key lies; made when there is none' },
      { name: 'once', kind: 'flag', help: 'one, and end' },
    ],
    examples: [
      ['holdfast pg heartbeat "host=/run/postgresql user=postgres" --asset pg/db1 --key-dir /etc/holdfast', 'As a service'],
    ],
    load: async () => (await import('./pg-heartbeat.ts')).pgHeartbeat,
  },
  {
    name: 'pg heartbeat-read',
    summary: 'tell the newest heartbeat in a recovered database, and whether it is signed',
    details: 'Exit status 4 when there is none, or none that a trusted key has signed for this cluster.',
    args: [SERVER],
    options: [ASSET, { name: 'key', kind: 'file', many: true, value: 'FILE', help: 'a public key that is trusted' }],
    examples: [['holdfast pg heartbeat-read "host=/tmp/recovered" --asset pg/db1 --key heartbeat-key.pub', 'After a restore']],
    load: async () => (await import('./pg-heartbeat.ts')).pgHeartbeatRead,
  },
  {
    name: 'pg preflight',
    summary: 'say what a PostgreSQL server lacks to be protected, and print the SQL that mends it',
    details: SERVER_NOTE,
    args: [SERVER],
    options: [SLOT],
    examples: [['holdfast pg preflight "host=/run/postgresql user=postgres"', 'A server on this machine']],
    load: async () => (await import('./pg-preflight.ts')).pgPreflight,
  },
  {
    name: 'pg backup',
    summary: 'make a base backup of a PostgreSQL cluster',
    details: `${SERVER_NOTE}\nOnly pages that have changed since the last one are stored. It can be restored by itself only together with the log of its own time: run "pg capture".`,
    args: [SERVER],
    options: [
      ...REPOSITORY,
      ASSET,
      { name: 'spread', kind: 'flag', help: 'let the checkpoint before it take its time' },
      {
        name: 'sha256',
        kind: 'flag',
        help: 'let the server send the files, with SHA-256 instead of CRC-32C to check each by: it needs several times as long',
      },
      { name: 'stream', kind: 'flag', help: 'let the server send the files, although they could be read here' },
      { name: 'keep-corrupt-pages', kind: 'flag', help: 'keep it even if there are pages with wrong checksums' },
      HOST,
      LEVEL,
      THREADS,
    ],
    examples: [['holdfast pg backup postgresql://backup@db1/postgres --asset pg/orders', 'Of a server elsewhere']],
    load: async () => (await import('./pg-backup.ts')).pgBackup,
  },
  {
    name: 'pg capture',
    summary: 'protect a PostgreSQL cluster: capture its log as it is written, make base backups when they are needed',
    details: `${SERVER_NOTE}\nRuns until it is interrupted. The server keeps what is not stored yet (in the slot). Every second of what was captured can be restored: see "pg window".\nSeveral may capture one cluster at once, from its primary and its standbys, under one --asset: one stores, the others are ready to. One process captures one cluster.`,
    args: [SERVER],
    options: [
      ...REPOSITORY,
      ASSET,
      SLOT,
      { name: 'ship-every', kind: 'count', min: 50, value: 'MS', help: 'store what was written at least so often (default 1000)' },
      {
        name: 'base-every',
        kind: 'count',
        min: 0,
        value: 'HOURS',
        help: 'make a base backup so often; 0: only when one is needed (default 24)',
      },
      {
        name: 'heartbeat',
        kind: 'count',
        min: 0,
        value: 'SECONDS',
        help: 'write a transaction of no effect so often; 0: never (default 10)',
      },
      HOST,
      LEVEL,
      THREADS,
    ],
    examples: [['holdfast pg capture "host=/run/postgresql user=postgres" --asset pg/orders', 'Until it is interrupted']],
    load: async () => (await import('./pg-capture.ts')).pgCapture,
  },
  {
    name: 'pg window',
    summary: 'list the intervals that a PostgreSQL cluster can be brought back to, and the gaps between them',
    args: [],
    options: [...REPOSITORY, ONE_ASSET, TIMELINE],
    examples: [['holdfast pg window --asset pg/orders', 'Of one cluster']],
    load: async () => (await import('./pg-window.ts')).pgWindow,
  },
  {
    name: 'pg restore',
    summary: 'bring a PostgreSQL cluster back to a time, into a new directory or over an old one',
    details:
      'One of --time, --lsn, --xid, --name or --latest says where to. A time is RFC 3339 with an offset; without one it is refused, and so is a place that the log has twice, also on a branch that was left. The server recovers in a sandbox (a socket of its own, no port, nothing archived); what it has reached is compared with what was planned. Then it is stopped and ready to be started, unless --leave-running says otherwise. What was interrupted goes on with the same command; until it is whole, no server starts in it as if it were.',
    args: [],
    options: [
      ...REPOSITORY,
      ONE_ASSET,
      { name: 'target', short: 't', kind: 'directory', value: 'DIR', help: 'the new data directory' },
      {
        name: 'delta',
        kind: 'flag',
        help: 'the target is the data directory of this cluster, stopped: fetch only what differs, remove what is not in the backup',
      },
      ...TARGET,
      TIMELINE,
      {
        name: 'pause',
        kind: 'flag',
        help: 'stop at the place without opening for writes, to look around (implies --leave-running)',
      },
      { name: 'leave-running', kind: 'flag', help: 'leave the server running in its sandbox' },
      PROGRAMS,
      {
        name: 'tablespace',
        kind: 'text',
        many: true,
        value: 'OID=DIR',
        help: 'where a tablespace goes (default: beside the target)',
      },
      { name: 'dry-run', short: 'n', kind: 'flag', help: 'say what would be done, and do nothing' },
      THREADS,
    ],
    examples: [
      ['holdfast pg restore --time 2026-05-04T10:15:30+08:00 --target /srv/restored', 'The second before the mistake'],
      ['holdfast pg restore --latest --target /srv/restored --leave-running', 'As late as possible'],
      ['holdfast pg restore --latest --target /var/lib/postgresql/15/main --delta', 'In the place of the cluster itself'],
    ],
    load: async () => (await import('./pg-restore.ts')).pgRestore,
  },
  {
    name: 'pg extract',
    summary: 'bring single tables, or a database, back as they were, beside what is there now',
    details:
      'The cluster is recovered in a sandbox, what was chosen is dumped there and loaded into the server of --into, which may be production itself: tables into a new schema, in one transaction; a database under a new name. Nothing that exists is changed. Foreign keys to other tables, triggers, rules and row policies do not come along with single tables, and are named.',
    args: [],
    options: [
      ...REPOSITORY,
      ONE_ASSET,
      ...TARGET,
      TIMELINE,
      { name: 'database', kind: 'text', value: 'NAME', help: 'the database, as it was called then' },
      {
        name: 'table',
        kind: 'text',
        many: true,
        value: 'NAME',
        help: 'a table of it, e.g. shop.orders (default: all of the database)',
      },
      { name: 'into', kind: 'text', value: 'SERVER', help: 'where it goes, e.g. "host=/run/postgresql dbname=shop"' },
      {
        name: 'as',
        kind: 'text',
        value: 'NAME',
        help: 'the new schema, or the new database (default: with "restored" and the time)',
      },
      {
        name: 'directory',
        kind: 'directory',
        value: 'DIR',
        help: 'where the sandbox lies meanwhile (default: the temporary directory)',
      },
      PROGRAMS,
      THREADS,
    ],
    examples: [
      [
        'holdfast pg extract --time 2026-05-04T10:15:30+08:00 --database shop --table public.orders --into "host=/run/postgresql dbname=shop"',
        'A table that was dropped, beside the others',
      ],
      ['holdfast pg extract --latest --database shop --into "host=/run/postgresql" --as shop_copy', 'A whole database'],
    ],
    load: async () => (await import('./pg-extract.ts')).pgExtract,
  },
  {
    name: 'pg prove',
    summary: 'prove that a PostgreSQL cluster can be brought back: do it, in a sandbox, and look at every page',
    details:
      'To a random instant of the window, or to the one that is named. What comes back is checked by its page checksums and by pg_amcheck, and by queries: "DATABASE: SQL => EXPECTED", rows as lines, values separated by "|". They are asked by a role that may only read. Nothing stays. Exit status 4: it is not proven.',
    args: [],
    options: [
      ...REPOSITORY,
      ONE_ASSET,
      ...TARGET,
      { name: 'query', kind: 'text', many: true, value: 'QUERY', help: 'a question to the copy, and its answer' },
      {
        name: 'directory',
        kind: 'directory',
        value: 'DIR',
        help: 'where the copy lies meanwhile (default: the temporary directory)',
      },
      PROGRAMS,
      THREADS,
    ],
    examples: [
      ['holdfast pg prove --asset pg/orders', 'A random instant'],
      ['holdfast pg prove --latest --query "shop: SELECT count(*) > 1000 FROM orders => t"', 'The latest, and the rows are there'],
    ],
    load: async () => (await import('./pg-prove.ts')).pgProve,
  },
  {
    name: 'pg fetch-wal',
    summary: 'hand a log file to a recovering server (its restore_command calls this)',
    details:
      'Exit status 0: the file is there. 77: it is proven that it is not part of the way. Anything else: nobody knows, and the server must stop.',
    args: [
      { name: 'FILE', min: 1, max: 1, kind: 'text' },
      { name: 'PATH', min: 1, max: 1, kind: 'path' },
    ],
    options: [{ name: 'plan', kind: 'file', value: 'FILE', help: 'what "pg restore" has written for it' }],
    examples: [
      [
        'holdfast pg fetch-wal --plan /tmp/holdfast-restore-x/plan.json 000000010000000000000003 pg_wal/RECOVERYXLOG',
        'As the server calls it',
      ],
    ],
    load: async () => (await import('./pg-fetch-wal.ts')).pgFetchWal,
  },
];

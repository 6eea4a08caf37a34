// Options that every verb has, and groups of options that several have.

import type { Option } from './option.ts';

export const COMMON: readonly Option[] = [
  { name: 'json', kind: 'flag', help: 'print one JSON object a line; the last is {"kind":"summary",...} or {"kind":"error",...}' },
  { name: 'quiet', short: 'q', kind: 'flag', help: 'print results, warnings and errors only' },
  { name: 'verbose', short: 'v', kind: 'flag', help: 'print more; progress also when it is not a terminal' },
  { name: 'no-progress', kind: 'flag', help: 'no progress line' },
  { name: 'help', short: 'h', kind: 'flag', help: 'show help of the verb' },
];

export const REPOSITORY: readonly Option[] = [
  {
    name: 'repo',
    short: 'r',
    kind: 'directory',
    value: 'LOCATION',
    help: 'a directory, or s3+https://host/bucket/prefix; or set HOLDFAST_REPO',
  },
  { name: 'passphrase-file', kind: 'file', value: 'FILE', help: 'file with the passphrase; or set HOLDFAST_PASSPHRASE_FILE' },
  { name: 'cache-dir', kind: 'directory', value: 'DIR', help: 'where the local index cache lies; or set HOLDFAST_CACHE_DIR' },
  { name: 'upload-limit', kind: 'bytes', value: 'RATE', help: 'bytes a second to the repository at the most, e.g. 10MiB' },
  { name: 'download-limit', kind: 'bytes', value: 'RATE', help: 'bytes a second from the repository at the most' },
];

export const THREADS: Option = {
  name: 'threads',
  kind: 'count',
  min: 1,
  value: 'N',
  help: 'worker threads (default: one a processor, 8 at the most)',
};
export const DRY_RUN: Option = { name: 'dry-run', short: 'n', kind: 'flag', help: 'say what would be done, and do nothing' };

/** Which snapshots. */
export const FILTERS: readonly Option[] = [
  { name: 'asset', kind: 'text', value: 'NAME', help: 'only snapshots of this asset' },
  { name: 'host', kind: 'text', value: 'NAME', help: 'only snapshots from this host' },
  { name: 'tag', kind: 'text', many: true, value: 'TAG', help: 'only snapshots with this tag (several: with all of them)' },
];

/** Of an agent that runs; the local one of a service, too. */
export const AT_EACH_START: readonly Option[] = [
  { name: 'allow-restore', kind: 'directory', many: true, value: 'DIR', help: 'restores may write below this directory' },
  {
    name: 'allow-hooks',
    kind: 'directory',
    many: true,
    value: 'DIR',
    help: 'commands of policies may be programs in this one',
  },
  {
    name: 'bin-dir',
    kind: 'directory',
    many: true,
    value: 'DIR',
    help: 'programs of PostgreSQL lie here, which are looked for in the usual places otherwise',
  },
  {
    name: 'site-config',
    kind: 'file',
    value: 'FILE',
    help: "the configuration of this host's site daemon: plans of its site are looked at, rehearsed and carried out here",
  },
  {
    name: 'drill-dir',
    kind: 'directory',
    value: 'DIR',
    help: 'where the clones of drills lie while there are any (default: temporary files)',
  },
];

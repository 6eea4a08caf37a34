// The verbs about a repository, those that people use every day; see verbs.ts. They are found without the tables of the others.

import { DRY_RUN, FILTERS, REPOSITORY, THREADS } from './common-options.ts';
import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

const SNAPSHOT: Argument = { name: 'SNAPSHOT', min: 1, max: 1, kind: 'snapshot' };
const ENTRY_KINDS = ['file', 'directory', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
const SNAPSHOT_NOTE =
  'A snapshot is named by its id, the first digits of it, "latest" (the newest that the filters let through), or "latest~N" for the N-th before it.';
/** What a prune leaves as it is. */
const PRUNE_LIMITS: readonly Option[] = [
  { name: 'max-unused', kind: 'text', value: 'SHARE', help: 'share of the packs that may stay unused (default 4%)' },
  {
    name: 'revoke-after',
    kind: 'count',
    min: 1,
    value: 'HOURS',
    help: 'give up backups that were silent for so long (default 24)',
  },
];

export const REPOSITORY_VERBS: readonly Verb[] = [
  {
    name: 'init',
    summary: 'make a repository',
    args: [],
    options: [...REPOSITORY, { name: 'label', kind: 'text', value: 'TEXT', help: 'name of its first key (default: first)' }],
    examples: [
      ['holdfast init --repo /srv/backup --passphrase-file /etc/holdfast/passphrase', 'In a directory, which is made'],
      [
        'holdfast init --repo s3+https://s3.example.org/bucket/prefix',
        'In a bucket; credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
      ],
    ],
    load: async () => (await import('./init.ts')).init,
  },
  {
    name: 'backup',
    summary: 'make a snapshot of files, a volume, or a stream',
    details:
      'Without --type: "-" is a stream; a block device alone is a volume, and so is a file alone of at least 1 MiB in whole sectors of 512 bytes that is named like a disk image (.img .raw .iso .qcow2 .vmdk .vdi .vhd .dd .dsk) or begins with a partition table, a file system or the header of an image; everything else is files.\nWhat has not changed since the last snapshot of the same asset is not read again. What is interrupted goes on where it was when the same command runs again.',
    args: [{ name: 'PATH', min: 1, max: 100_000, kind: 'path' }],
    options: [
      ...REPOSITORY,
      { name: 'type', kind: 'choice', choices: ['files', 'volume', 'stream'], help: 'what the paths are (guessed when absent)' },
      { name: 'name', kind: 'text', value: 'NAME', help: 'of a stream: what it is called (default: stdin)' },
      {
        name: 'asset',
        kind: 'text',
        value: 'NAME',
        help: 'what is protected (default: host and paths); snapshots of one asset build on each other',
      },
      { name: 'host', kind: 'text', value: 'NAME', help: 'name of the host to be recorded' },
      { name: 'tag', kind: 'text', many: true, value: 'TAG', help: 'a word to find the snapshot by' },
      {
        name: 'exclude',
        short: 'e',
        kind: 'text',
        many: true,
        value: 'PATTERN',
        help: 'leave out what matches, as in .gitignore; "/" is the root of PATH',
      },
      { name: 'exclude-file', kind: 'file', many: true, value: 'FILE', help: 'patterns, one a line' },
      { name: 'exclude-caches', kind: 'flag', help: 'leave out the content of directories with a CACHEDIR.TAG' },
      { name: 'one-file-system', short: 'x', kind: 'flag', help: 'do not enter other file systems' },
      {
        name: 'changed-ranges',
        kind: 'file',
        value: 'FILE',
        help: 'of a volume: read only these ranges, lines of "offset length"; all else is as in the last snapshot',
      },
      { name: 'force', short: 'f', kind: 'flag', help: 'read everything again, also what looks unchanged' },
      { name: 'compression', kind: 'text', value: 'LEVEL', help: 'fast, default, better, or a zstd level from -7 to 19' },
      THREADS,
    ],
    examples: [
      ['holdfast backup /etc /home --exclude "*.tmp"', 'Directories'],
      ['holdfast backup /dev/vg0/data', 'A volume; of an image file likewise'],
      ['holdfast backup disk.img --changed-ranges changed.txt', 'Only what a changed-block tracker has noted'],
      ['pg_dump shop | holdfast backup - --name shop.sql', 'A stream'],
    ],
    load: async () => (await import('./backup.ts')).backup,
  },
  {
    name: 'snapshots',
    summary: 'list snapshots',
    args: [],
    options: [...REPOSITORY, ...FILTERS],
    examples: [
      ['holdfast snapshots', 'All'],
      ['holdfast snapshots --host web1 --tag nightly --json', 'Some, for a program'],
    ],
    load: async () => (await import('./snapshots.ts')).snapshots,
  },
  {
    name: 'ls',
    summary: 'list what a snapshot holds',
    details: SNAPSHOT_NOTE,
    args: [SNAPSHOT, { name: 'PATH', min: 0, max: 1, kind: 'text' }],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      { name: 'long', short: 'l', kind: 'flag', help: 'modes, owners, sizes and times, too' },
      { name: 'flat', kind: 'flag', help: 'not what lies deeper than in PATH itself' },
    ],
    examples: [
      ['holdfast ls latest', 'Everything'],
      ['holdfast ls -l 4f0c1d2e /etc/ssh', 'A directory, in full'],
    ],
    load: async () => (await import('./ls.ts')).ls,
  },
  {
    name: 'restore',
    summary: 'restore a snapshot, or a part of it',
    details: `${SNAPSHOT_NOTE}\nOne directory that was backed up is restored into the target itself; several keep their absolute paths below it; a single file lands in it by its name. A volume or stream becomes the file that --target names (or lies in it by its name when that is a directory), or is written to a block device. While one restore is at work at a target, another to the same is refused (TARGET_OCCUPIED).`,
    args: [SNAPSHOT],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      {
        name: 'target',
        short: 't',
        kind: 'directory',
        value: 'PATH',
        help: 'where to; "-" is standard output, for one file, volume or stream',
      },
      { name: 'stdout', kind: 'flag', help: 'the same as --target -' },
      {
        name: 'path',
        kind: 'text',
        value: 'SUB',
        help: 'only this file or directory: as "ls" shows it, or the absolute path it had',
      },
      {
        name: 'delta',
        kind: 'flag',
        help: 'bring an existing target up to date: only what differs is fetched and replaced; nothing is deleted',
      },
      { name: 'verify', kind: 'flag', help: 'read everything again afterwards and compare' },
      THREADS,
    ],
    examples: [
      ['holdfast restore latest --target /srv/restored', 'Everything'],
      ['holdfast restore latest --path /etc/fstab --target /tmp', 'One file'],
      ['holdfast restore 4f0c1d2e --target /dev/vg0/data --delta --verify', 'A volume, writing only what differs'],
      ['holdfast restore latest --asset web1:shop.sql --stdout | psql shop', 'A stream, back to where it came from'],
    ],
    readsPacks: (options) => !options.flag('stdout') && options.text('target') !== undefined && options.text('target') !== '-',
    load: async () => (await import('./restore.ts')).restore,
  },
  {
    name: 'find',
    summary: 'find entries by name, in all snapshots or in one',
    details:
      'PATTERN is one of .gitignore: a name with * ? [a-z] is looked for everywhere, one with "/" from the root of the snapshot or as the absolute path that it had, one that ends with "/" among directories only. A file that was backed up alone, a volume and a stream are found by their names, too.',
    args: [{ name: 'PATTERN', min: 1, max: 1000, kind: 'text' }],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      { name: 'snapshot', short: 's', kind: 'text', value: 'SNAPSHOT', help: 'only in this one' },
      { name: 'type', kind: 'choice', choices: ENTRY_KINDS, help: 'only entries of this kind' },
      { name: 'long', short: 'l', kind: 'flag', help: 'modes, owners, sizes and times, too' },
    ],
    examples: [
      ['holdfast find "*.conf"', 'Everywhere'],
      ['holdfast find --snapshot latest --type directory "/home/*/.ssh"', 'In one snapshot'],
    ],
    load: async () => (await import('./find.ts')).find,
  },
  {
    name: 'diff',
    summary: 'compare two snapshots',
    details:
      'Of files: + added, - removed, M changed, m other metadata (-v says which). Of volumes: the ranges that differ, as lines of "offset length" that "backup --changed-ranges" reads.',
    args: [
      { name: 'A', min: 1, max: 1, kind: 'snapshot' },
      { name: 'B', min: 1, max: 1, kind: 'snapshot' },
    ],
    options: [...REPOSITORY, ...FILTERS],
    examples: [['holdfast diff 4f0c1d2e latest', 'What changed since']],
    load: async () => (await import('./diff.ts')).diff,
  },
  {
    name: 'forget',
    summary: 'drop snapshots that a retention policy does not keep, or that are named',
    details:
      'Rules add up: a snapshot is kept when any of them keeps it. They are applied to each asset by itself. What has a time in the future, by a clock that was ahead, stays and is not counted. Of a database whose log is captured, the bases that the window needs stay, and at least the newest one that can be restored. "prune" frees the space afterwards, or --prune in the same run.',
    args: [{ name: 'SNAPSHOT', min: 0, max: 10_000, kind: 'snapshot' }],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      { name: 'keep-last', kind: 'count', min: 0, value: 'N', help: 'keep the newest N' },
      { name: 'keep-hourly', kind: 'count', min: 0, value: 'N', help: 'keep the newest of each of N hours' },
      { name: 'keep-daily', kind: 'count', min: 0, value: 'N', help: 'of N days' },
      { name: 'keep-weekly', kind: 'count', min: 0, value: 'N', help: 'of N weeks' },
      { name: 'keep-monthly', kind: 'count', min: 0, value: 'N', help: 'of N months' },
      { name: 'keep-yearly', kind: 'count', min: 0, value: 'N', help: 'of N years' },
      {
        name: 'keep-within',
        kind: 'text',
        value: 'TIME',
        help: 'keep what is at most so much older than the newest: 36h, 14d, 1y6m',
      },
      {
        name: 'keep-window',
        kind: 'text',
        value: 'TIME',
        help: 'keep every state of so long until now: what began since, and the newest before; of a database with its log',
      },
      { name: 'keep-tag', kind: 'text', many: true, value: 'TAG[,TAG]', help: 'keep what has all of these tags' },
      { name: 'time-zone', kind: 'text', value: 'ZONE', help: 'where days begin, e.g. Asia/Shanghai (default: that of this host)' },
      { name: 'allow-empty', kind: 'flag', help: 'a policy that keeps nothing of an asset is meant so' },
      { name: 'prune', kind: 'flag', help: 'free the space afterwards, as "prune" does' },
      ...PRUNE_LIMITS,
      DRY_RUN,
    ],
    examples: [
      ['holdfast forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run', 'What a policy would keep, and why'],
      ['holdfast forget --keep-last 30 --prune', 'Forget, and free the space at once'],
      ['holdfast forget 4f0c1d2e', 'One snapshot'],
    ],
    load: async () => (await import('./forget.ts')).forget,
  },
  {
    name: 'prune',
    summary: 'free what no snapshot needs; backups may go on meanwhile',
    args: [],
    options: [...REPOSITORY, ...PRUNE_LIMITS, DRY_RUN],
    examples: [
      ['holdfast prune --dry-run', 'What it would do'],
      ['holdfast prune --max-unused 0%', 'All but trifles: a pack of which less than 2% is unused stays as it is'],
    ],
    load: async () => (await import('./prune.ts')).prune,
  },
  {
    name: 'verify',
    summary: 'prove that every snapshot can be restored',
    details:
      'Without an option: that all maps can be read and all that they refer to is in a pack that is there. Exit status 4 when something is damaged.',
    args: [],
    options: [
      ...REPOSITORY,
      { name: 'full', kind: 'flag', help: 'read and prove every byte of every pack' },
      { name: 'sample', kind: 'text', value: 'SHARE', help: 'read and prove a share of the packs, e.g. 5%' },
      { name: 'seed', kind: 'count', value: 'N', help: 'of the choice of the sample' },
      THREADS,
    ],
    examples: [
      ['holdfast verify', 'The structure'],
      ['holdfast verify --full', 'Everything'],
    ],
    readsPacks: (options) => options.flag('full') && !options.flag('sample'),
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'scrub',
    summary: 'prove without any key that stored objects are what they were',
    args: [],
    options: [...REPOSITORY.filter(({ name }) => name !== 'passphrase-file' && name !== 'cache-dir'), THREADS],
    examples: [['holdfast scrub', 'Where the keys are not']],
    load: async () => (await import('./scrub.ts')).scrub,
  },
  {
    name: 'repair',
    summary: 'mend what verify finds, and name what is lost',
    args: [],
    options: [
      ...REPOSITORY,
      {
        name: 'from',
        kind: 'directory',
        value: 'LOCATION',
        help: 'another copy of this repository: damaged packs are taken from there',
      },
      { name: 'quick', kind: 'flag', help: 'do not read every pack to find damage' },
      {
        name: 'rebuild-head',
        kind: 'flag',
        help: 'when the head is lost or damaged: make one from what the store lists. No backup and no prune may run anywhere meanwhile',
      },
      DRY_RUN,
      THREADS,
    ],
    examples: [
      ['holdfast repair --dry-run', 'What it would do'],
      ['holdfast repair --from /mnt/replica', 'With the help of a copy'],
    ],
    load: async () => (await import('./repair.ts')).repair,
  },
  {
    name: 'copy',
    summary: 'copy snapshots to another repository, only what is missing there',
    details:
      'The other repository has keys of its own. Snapshots keep their times, hosts, paths and tags, and get a tag that names their origin: a snapshot that was copied before is not copied again.',
    args: [{ name: 'SNAPSHOT', min: 0, max: 10_000, kind: 'snapshot' }],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      { name: 'to', kind: 'directory', value: 'LOCATION', help: 'the repository to copy to; or set HOLDFAST_TO_REPO' },
      {
        name: 'to-passphrase-file',
        kind: 'file',
        value: 'FILE',
        help: 'file with its passphrase; or set HOLDFAST_TO_PASSPHRASE_FILE',
      },
      { name: 'compression', kind: 'text', value: 'LEVEL', help: 'fast, default, better, or a zstd level from -7 to 19' },
      DRY_RUN,
      THREADS,
    ],
    examples: [
      ['holdfast copy --to s3+https://s3.example.org/bucket/copy --to-passphrase-file /etc/holdfast/copy', 'All snapshots'],
      ['holdfast copy latest --to /mnt/usb/backup --to-passphrase-file /etc/holdfast/usb', 'The newest'],
    ],
    load: async () => (await import('./copy.ts')).copy,
  },
  {
    name: 'export',
    summary: 'serve a snapshot over NBD, read-only, without restoring it',
    details:
      'Serves a volume, a stream, or with --path one file of a tree, until it is interrupted. Blocks are read from the repository when a client asks for them. There is no password: whoever can connect can read, so it listens on this machine only unless told otherwise.',
    args: [{ name: 'SNAPSHOT', min: 1, max: 1, kind: 'snapshot' }],
    options: [
      ...REPOSITORY,
      ...FILTERS,
      { name: 'path', kind: 'text', value: 'PATH', help: 'the file of a snapshot of files' },
      { name: 'listen', kind: 'text', value: 'HOST:PORT', help: 'where to listen; 127.0.0.1:10809 when absent' },
      { name: 'socket', kind: 'file', value: 'PATH', help: 'listen on a UNIX socket instead' },
    ],
    examples: [
      ['holdfast export latest --socket /run/disk.sock', 'The newest volume'],
      ["qemu-img convert 'nbd+unix:///?socket=/run/disk.sock' disk.qcow2", 'A client: another shell'],
    ],
    load: async () => (await import('./export.ts')).exportSnapshot,
  },
  {
    name: 'stats',
    summary: 'what the repository holds, and what dedup and compression save',
    args: [],
    options: [...REPOSITORY, ...FILTERS],
    examples: [['holdfast stats', 'All assets']],
    load: async () => (await import('./stats.ts')).stats,
  },
];

// The table of verbs: help, validation and completion are made from it, and a verb's code is loaded when it runs.

import { FILTERS, REPOSITORY, THREADS } from './common-options.ts';
import type { Argument, Verb } from './verb.ts';

const SNAPSHOT: Argument = { name: 'SNAPSHOT', min: 1, max: 1, kind: 'snapshot' };
const SNAPSHOT_NOTE =
  'A snapshot is named by its id, the first digits of it, or "latest" (the newest that the filters let through).';

export const VERBS: readonly Verb[] = [
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
      { name: 'exclude', short: 'e', kind: 'text', many: true, value: 'PATTERN', help: 'leave out what matches, as in .gitignore' },
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
    details: `${SNAPSHOT_NOTE}\nOne directory that was backed up is restored into the target itself; several keep their absolute paths below it; a single file lands in it by its name. A volume or stream becomes the file that --target names (or lies in it by its name when that is a directory), or is written to a block device.`,
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
    load: async () => (await import('./restore.ts')).restore,
  },
];

// The verbs about keys; see verbs.ts.

import { DRY_RUN, REPOSITORY } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const NEW_PASSPHRASE: Option = {
  name: 'new-passphrase-file',
  kind: 'file',
  value: 'FILE',
  help: 'file with the new passphrase; or set HOLDFAST_NEW_PASSPHRASE_FILE',
};
const LABEL: Option = { name: 'label', kind: 'text', value: 'TEXT', help: 'what the key is called' };

export const KEY_VERBS: readonly Verb[] = [
  {
    name: 'key list',
    summary: 'list the keys of the repository',
    args: [],
    options: REPOSITORY,
    examples: [['holdfast key list', 'All']],
    load: async () => (await import('./key.ts')).list,
  },
  {
    name: 'key add',
    summary: 'add a key with a passphrase of its own',
    details:
      "An owner's key opens everything. A writer's key makes backups of one asset and cannot read any content, not even what it wrote: it is for machines that may be broken into.",
    args: [],
    options: [
      ...REPOSITORY,
      NEW_PASSPHRASE,
      LABEL,
      { name: 'role', kind: 'choice', choices: ['owner', 'writer'], help: 'what it is for (default: owner)' },
      { name: 'asset', kind: 'text', value: 'NAME', help: "the asset that a writer's key writes" },
    ],
    examples: [
      ['holdfast key add --label "second admin" --new-passphrase-file /root/second', 'For another person'],
      ['holdfast key add --role writer --asset web1 --new-passphrase-file /root/web1', 'For a machine that only makes backups'],
    ],
    load: async () => (await import('./key.ts')).add,
  },
  {
    name: 'key remove',
    summary: 'remove a key; never the one that is in use',
    args: [{ name: 'KEY', min: 1, max: 1, kind: 'text' }],
    options: [...REPOSITORY, DRY_RUN],
    examples: [['holdfast key remove 5d1e', 'By the first digits of its id']],
    load: async () => (await import('./key.ts')).remove,
  },
  {
    name: 'key passwd',
    summary: 'change the passphrase of the key that is in use',
    args: [],
    options: [...REPOSITORY, NEW_PASSPHRASE, LABEL],
    examples: [['holdfast key passwd', 'Asks for the old and the new one']],
    load: async () => (await import('./key.ts')).passwd,
  },
  {
    name: 'key rotate',
    summary: 'seal the keys of all data anew, to a new pair',
    details:
      'For when an owner\'s key may have leaked: whoever has it cannot open any data any more, unless they have also copied the repository. It does not exchange the keys that names and maps are sealed with: for that, copy everything into a new repository. Other owners\' keys must be added again afterwards, and writers\' keys as well. What runs meanwhile with the keys of before (a backup; "pg capture" and "site run" for as long as they run) goes on sealing to the old pair: start it again, then rotate once more. What is interrupted goes on when the command runs again.',
    args: [],
    options: [
      ...REPOSITORY,
      {
        name: 'drop-other-owners',
        kind: 'flag',
        help: "remove other owners' keys, which would not open what is written from now on",
      },
      DRY_RUN,
    ],
    examples: [['holdfast key rotate --drop-other-owners', 'Only the key in use stays']],
    load: async () => (await import('./key.ts')).rotate,
  },
  {
    name: 'key export',
    summary: 'write the key in use as text that can be printed, for the safe',
    args: [{ name: 'FILE', min: 0, max: 1, kind: 'path' }],
    options: [
      ...REPOSITORY,
      {
        name: 'export-passphrase-file',
        kind: 'file',
        value: 'FILE',
        help: 'seal the text under this passphrase; without it whoever has the text can read every backup',
      },
    ],
    examples: [['holdfast key export | lp', 'On paper, and nowhere else']],
    load: async () => (await import('./key-safe.ts')).exportKey,
  },
  {
    name: 'key import',
    summary: 'make a key from an exported text, when every passphrase is lost',
    args: [{ name: 'FILE', min: 1, max: 1, kind: 'path' }],
    options: [
      ...REPOSITORY.filter(({ name }) => name !== 'passphrase-file'),
      NEW_PASSPHRASE,
      LABEL,
      { name: 'export-passphrase-file', kind: 'file', value: 'FILE', help: 'the passphrase that the text was sealed under' },
    ],
    examples: [['holdfast key import typed.txt --new-passphrase-file /etc/holdfast/passphrase', 'From the safe']],
    load: async () => (await import('./key-safe.ts')).importKey,
  },
];

// The verbs about the service's own catalogue and audit, which need no running service; see verbs.ts.

import { REPOSITORY } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const HOME: Option = {
  name: 'home',
  kind: 'directory',
  value: 'DIR',
  help: 'where the service keeps everything (default: ~/.local/share/holdfast, or HOLDFAST_HOME)',
};
const STORE: Option = {
  name: 'store',
  kind: 'directory',
  value: 'LOCATION',
  help: "where tenants' repositories lie, as given to the service (default: below --home, or HOLDFAST_STORE)",
};
const CACHE: readonly Option[] = REPOSITORY.filter(({ name }) => name !== 'repo' && name !== 'passphrase-file');
const LIMITS: readonly Option[] = CACHE.filter(({ name }) => name !== 'cache-dir');

export const CATALOG_VERBS: readonly Verb[] = [
  {
    name: 'catalog backup',
    summary: 'back up the catalogue and the secrets of the service',
    details:
      'Into a repository of its own beside those of the tenants, "_system", which the first backup makes; the service may run meanwhile. Its passphrase is in secrets/system.passphrase below the home: keep a copy in the safe. The store and that passphrase bring back everything. Of older backups the last 3 stay, and one of each of 14 days, 8 weeks and 12 months.',
    args: [],
    options: [
      HOME,
      STORE,
      ...CACHE,
      {
        name: 'drop-older-secrets',
        kind: 'flag',
        help: 'of the secrets keep this backup only: what was destroyed since the others must not come back',
      },
    ],
    examples: [['holdfast catalog backup', 'Of the service of this user']],
    load: async () => (await import('./catalog.ts')).backup,
  },
  {
    name: 'catalog restore',
    summary: 'bring the catalogue and the secrets of the service back',
    details:
      'Into a home that has no catalogue; nothing is ever replaced. Name the repository that "catalog backup" made. Sessions of people and enrolments that were open end, and what was revoked after that backup has to be revoked again. Run "holdfast catalog rebuild" afterwards: it adds the recovery points that were made since.',
    args: [],
    options: [
      ...REPOSITORY,
      HOME,
      { name: 'before', kind: 'text', value: 'TIME', help: 'the newest backup that began by then, e.g. 2026-11-21T08:00:00Z' },
    ],
    examples: [['holdfast catalog restore --repo /srv/backup/_system --passphrase-file /root/system', 'The newest one']],
    load: async () => (await import('./catalog.ts')).restore,
  },
  {
    name: 'catalog rebuild',
    summary: 'make the catalogue again from the repositories of tenants',
    details:
      'Needs the passphrases of tenants, secrets/TENANT.passphrase below the home ("catalog restore" brings them back), and looks for their repositories below --store and at every --at. A tenant that the catalogue does not know gets its assets, paused until their hosts enrol again, and its recovery points, all on hold until somebody releases them. Of one that it knows, what is missing is added and what was forgotten is taken away. People, tokens, policies and quotas are in no repository: they come back with "catalog restore" only.',
    args: [],
    options: [
      HOME,
      STORE,
      ...CACHE,
      {
        name: 'at',
        kind: 'directory',
        many: true,
        value: 'LOCATION',
        help: "a tenant's repository; its last part is the tenant's name",
      },
    ],
    examples: [
      ['holdfast catalog rebuild', 'After the catalogue was lost'],
      ['holdfast catalog rebuild --at s3+https://s3.example.org/backup/water-works', 'In a bucket, repository by repository'],
    ],
    load: async () => (await import('./catalog.ts')).rebuild,
  },
  {
    name: 'audit verify',
    summary: 'prove that nothing was removed from the audit or changed in it',
    details:
      'Follows the chain of hashes from the first entry to the last and compares it with the signed checkpoints in the store. FILE is a catalogue, a copy of one, or what "audit export" printed; without it the catalogue of the service is read. Only checkpoints can show that the end is missing or that everything was written anew: without any the result is a warning.',
    args: [{ name: 'FILE', min: 0, max: 1, kind: 'path' }],
    options: [
      HOME,
      STORE,
      ...LIMITS,
      {
        name: 'checkpoints',
        kind: 'directory',
        value: 'LOCATION',
        help: 'where checkpoints lie (default: "_audit" below --store)',
      },
      {
        name: 'key',
        kind: 'file',
        many: true,
        value: 'FILE',
        help: 'public key that signed them (default: secrets/audit-key.pub below --home; an auditor has a copy)',
      },
    ],
    examples: [
      ['holdfast audit verify', 'Of the service of this user'],
      ['holdfast audit verify audit.jsonl --key audit-key.pub --checkpoints s3+https://s3.example.org/backup/_audit', 'Elsewhere'],
    ],
    load: async () => (await import('./audit.ts')).verify,
  },
  {
    name: 'certificate verify',
    summary: "verify the certificate that a tenant's key was destroyed, offline",
    details:
      'Needs the certificate and the public key of the audit, which auditors have a copy of, and nothing of the service. Exit status 4 when the certificate is not what was signed, 3 when none of the keys is the one that it names.',
    args: [{ name: 'FILE', min: 1, max: 1, kind: 'path' }],
    options: [{ name: 'key', kind: 'file', many: true, value: 'FILE', help: 'a public key that is trusted: audit-key.pub' }],
    examples: [['holdfast certificate verify bureau-a.json --key audit-key.pub', 'With nothing but these two files']],
    load: async () => (await import('./certificate.ts')).certificateVerify,
  },
  {
    name: 'audit export',
    summary: 'print the audit, one JSON object a line',
    args: [],
    options: [HOME],
    examples: [['holdfast audit export > audit.jsonl', 'For an auditor; "audit verify" reads it']],
    load: async () => (await import('./audit.ts')).export_,
  },
];

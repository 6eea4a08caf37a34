// The verbs of a site's daemon; see verbs.ts.

import { REPOSITORY, THREADS } from './common-options.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';

const CONFIG: Option = { name: 'config', kind: 'file', value: 'FILE', help: 'the configuration of the site daemon' };

export const SITE_VERBS: readonly Verb[] = [
  {
    name: 'site init',
    summary: 'make the key and a commented configuration of a site daemon',
    details: 'Prints the line that the configurations of the other sites need. What is there already stays.',
    args: [],
    options: [
      { ...CONFIG, help: 'where it is written (default: site.yaml)' },
      { name: 'site', kind: 'text', value: 'NAME', help: 'the name of the site, as plans name it' },
      { name: 'state', kind: 'directory', value: 'DIR', help: "the daemon's directory (default: /var/lib/holdfast-site)" },
    ],
    examples: [['holdfast site init --site a --config /etc/holdfast/site.yaml', 'Once, at each site']],
    load: async () => (await import('./site.ts')).siteInit,
  },
  {
    name: 'site adopt',
    summary: 'enter a database in the register of writers, as written at this site',
    details: 'From then on its server starts through "holdfast site run" only. Said once, at the site that writes it now.',
    args: [],
    options: [CONFIG, { name: 'asset', kind: 'text', value: 'NAME', help: 'the database' }],
    examples: [['holdfast site adopt --config /etc/holdfast/site.yaml --asset pg/portal', 'Before the daemon is started']],
    load: async () => (await import('./site.ts')).siteAdopt,
  },
  {
    name: 'site lease',
    summary: 'change the lease of a database to what the configuration says',
    details:
      'At the site that writes it, with its daemon stopped: while nobody writes by the old lease. Write the same into the configurations of the other sites, and start their daemons again.',
    args: [],
    options: [CONFIG, { name: 'asset', kind: 'text', value: 'NAME', help: 'the database' }],
    examples: [['holdfast site lease --config /etc/holdfast/site.yaml --asset pg/portal', 'After the daemon was stopped']],
    load: async () => (await import('./site.ts')).siteLease,
  },
  {
    name: 'site run',
    summary: 'run the daemon of a site until it is told to stop',
    details:
      'It starts and stops the servers of its databases: one is written only while the register grants it here. It captures their log, or keeps the copy of the other site, and obeys signed commands of failovers.',
    args: [],
    options: [CONFIG, ...REPOSITORY.filter(({ name }) => name !== 'repo' && name !== 'passphrase-file'), THREADS],
    examples: [['holdfast site run --config /etc/holdfast/site.yaml', 'As a service of the host']],
    load: async () => (await import('./site.ts')).siteRun,
  },
  {
    name: 'site status',
    summary: 'show the databases of all sites, as their daemons see them',
    args: [],
    options: [CONFIG, { name: 'site', kind: 'text', value: 'NAME', help: 'only this site' }],
    examples: [['holdfast site status --config /etc/holdfast/site.yaml --json', 'Everything they know, for programs']],
    load: async () => (await import('./site.ts')).siteStatus,
  },
];

// The verbs of the service; see verbs.ts.

import { AT_EACH_START } from './common-options.ts';
import type { Verb } from './verb.ts';

export const SERVICE_VERBS: readonly Verb[] = [
  {
    name: 'serve',
    summary: 'run the service: API, scheduler and a local agent',
    details:
      'Nothing has to be configured: the catalogue, the repositories of tenants and their passphrases lie below --home. The first start makes a tenant "default" and prints the token of its administrator, once. SIGTERM or SIGINT stop it in an orderly way; what is stopped otherwise is taken up by the next start.',
    args: [],
    options: [
      {
        name: 'home',
        kind: 'directory',
        value: 'DIR',
        help: 'where the service keeps everything (default: ~/.local/share/holdfast)',
      },
      { name: 'listen', kind: 'text', value: 'HOST:PORT', help: 'where it listens (default: 127.0.0.1:8480; port 0: any)' },
      {
        name: 'store',
        kind: 'text',
        value: 'LOCATION',
        help: "where new tenants' repositories go: a directory, or s3+https://host/bucket/prefix (default: below --home)",
      },
      {
        name: 'copy',
        kind: 'text',
        many: true,
        value: 'SITE=LOCATION',
        help: 'where a site keeps copies of the repositories ("holdfast replica run"): they are looked at every minute (or HOLDFAST_COPIES, with commas)',
      },
      { name: 'public-url', kind: 'text', value: 'URL', help: 'how agents and people reach it (default: where it listens)' },
      {
        name: 'trusted-proxy',
        kind: 'text',
        many: true,
        value: 'CIDR',
        help: 'addresses of reverse proxies: their X-Forwarded-For says where a request comes from (or HOLDFAST_TRUSTED_PROXIES, with commas)',
      },
      {
        name: 'channels',
        kind: 'file',
        value: 'FILE',
        help: 'where events are sent to: webhook, mail, syslog; see ops/channels.example.yaml',
      },
      {
        name: 'take-over',
        kind: 'flag',
        help: 'serve repositories that another service, or another home, served before: be sure that it is stopped',
      },
      { name: 'no-local-agent', kind: 'flag', help: 'do not run an agent for this host' },
      ...AT_EACH_START,
      { name: 'no-scheduler', kind: 'flag', help: 'answer requests only; another process schedules' },
      {
        name: 'keep-history',
        kind: 'count',
        min: 30,
        value: 'DAYS',
        help: 'how long runs and events that are over are remembered (default: 400); audit and usage are kept for ever',
      },
      {
        name: 'erase-after',
        kind: 'count',
        min: 0,
        value: 'DAYS',
        help: "from the approval of a tenant's erasure to its beginning (default: 30); for as long it can be taken back",
      },
      { name: 'new-admin-token', kind: 'flag', help: 'print a new token of the administrator, when the first was lost' },
      { name: 'trace-endpoint', kind: 'text', value: 'URL', help: 'send OpenTelemetry traces there (OTLP over HTTP)' },
      {
        name: 'log-level',
        kind: 'choice',
        choices: ['debug', 'info', 'warn', 'error'],
        help: 'of the log on standard error (default: info)',
      },
    ],
    examples: [
      ['holdfast serve', 'On this machine, with everything embedded'],
      ['holdfast serve --listen 0.0.0.0:8480 --store s3+https://s3.example.org/backup', 'For other hosts, into a bucket'],
    ],
    load: async () => (await import('./serve.ts')).serve,
  },
];

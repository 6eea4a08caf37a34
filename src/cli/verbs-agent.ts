// The verb of host agents; see verbs.ts.

import { AT_EACH_START } from './common-options.ts';
import type { Verb } from './verb.ts';

export const AGENT_VERBS: readonly Verb[] = [
  {
    name: 'agent',
    summary: 'enrol this host with a service, or do what the service asks of it',
    details:
      'With --enroll the host is made known to the service, once; the token is one that an operator asked the service for, and works once. Without it the enrolled agent runs until SIGTERM or SIGINT: it asks the service for runs and does each in a process of its own. What is interrupted is taken up by the next attempt. Restores write below the home and below --allow-restore only.',
    args: [],
    options: [
      { name: 'enroll', kind: 'text', value: 'TOKEN', help: 'make this host known to the service, with a token that works once' },
      { name: 'service', kind: 'text', value: 'URL', help: 'where the service is; or set HOLDFAST_SERVICE when enrolling' },
      {
        name: 'home',
        kind: 'directory',
        value: 'DIR',
        help: 'where the agent keeps its key and state (default: ~/.local/share/holdfast-agent, or HOLDFAST_AGENT_HOME)',
      },
      { name: 'label', kind: 'text', value: 'TEXT', help: 'with --enroll: what people see (default: what the token says)' },
      { name: 'ca', kind: 'file', value: 'FILE', help: "with --enroll: PEM certificates that the service's is to be trusted by" },
      ...AT_EACH_START,
      {
        name: 'production',
        kind: 'text',
        many: true,
        value: 'ASSET=SERVER',
        help: 'drills compare this production before and after, by a role that may only look',
      },
      {
        name: 'standby',
        kind: 'text',
        many: true,
        value: 'ASSET=SERVER',
        help: 'drills see that this standing standby goes on meanwhile',
      },
      { name: 'concurrency', kind: 'count', min: 1, value: 'N', help: 'runs at the same time (default: 2)' },
      {
        name: 'log-level',
        kind: 'choice',
        choices: ['debug', 'info', 'warn', 'error'],
        help: 'of the log on standard error (default: info)',
      },
    ],
    examples: [
      ['holdfast agent --enroll hf_... --service https://backup.example.org', 'Once, on a new host'],
      ['holdfast agent --allow-restore /srv/restored', 'From then on'],
    ],
    load: async () => (await import('./agent.ts')).agent,
  },
];

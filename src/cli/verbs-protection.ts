// The verbs about what is protected, and how: agents, assets, the service's policies, runs; see verbs.ts.

import { RUN_KINDS } from '../model/run-kind.ts';
import { RUN_STATES } from '../model/run-state.ts';
import type { Option } from './option.ts';
import type { Verb } from './verb.ts';
import { argument, LABEL, REASON, SERVICE } from './verbs-tenancy.ts';

const SOURCE: readonly Option[] = [
  {
    name: 'include',
    kind: 'text',
    many: true,
    value: 'DIRECTORY',
    help: "on the agent's host: a directory or file to be protected",
  },
  { name: 'exclude', short: 'e', kind: 'text', many: true, value: 'PATTERN', help: 'leave out what matches, as in .gitignore' },
  { name: 'one-file-system', short: 'x', kind: 'flag', help: 'do not enter other file systems' },
  { name: 'volume', kind: 'text', value: 'PATH', help: "on the agent's host: a block device or disk image" },
  {
    name: 'postgres',
    kind: 'text',
    value: 'CONNECTION',
    help: 'a PostgreSQL cluster as the agent reaches it, without the password: "host=/run/postgresql user=holdfast"',
  },
  { name: 'secret', kind: 'text', value: 'NAME', help: "file in <agent's home>/secrets with the password of the database" },
  { name: 'slot', kind: 'text', value: 'NAME', help: 'replication slot in the database (default: holdfast)' },
];
const AGENT: Option = {
  name: 'agent',
  kind: 'text',
  value: 'AGENT',
  help: 'by id, label or host name (not needed when there is one only)',
};
const FOLLOW: Option = { name: 'follow', kind: 'flag', help: 'stay until it is over' };
const LIMIT: Option = { name: 'limit', kind: 'count', min: 1, value: 'N', help: 'how many at the most' };

const SITE: Option = { name: 'site', kind: 'text', value: 'NAME', help: 'where its host is (default: at none)' };

export const PROTECTION_VERBS: readonly Verb[] = [
  {
    name: 'agents list',
    summary: 'list the agents',
    args: [],
    options: SERVICE,
    examples: [['holdfast agents list', 'With their last sign of life']],
    load: async () => (await import('./service-asset.ts')).agentsList,
  },
  {
    name: 'agents enroll',
    summary: 'make a token with which one agent enrols',
    args: [],
    options: [...SERVICE, LABEL, SITE, { name: 'minutes', kind: 'count', min: 1, value: 'N', help: 'of life (default: 60)' }],
    examples: [['holdfast agents enroll --label web1', 'Then, on web1: holdfast agent --service URL --enroll TOKEN']],
    load: async () => (await import('./service-asset.ts')).agentsEnroll,
  },
  {
    name: 'agents place',
    summary: 'say at which site the host of an agent is',
    args: [argument('AGENT')],
    options: [...SERVICE, SITE],
    examples: [['holdfast agents place web1 --site north', 'Limits "perSite" of policies count what runs there']],
    load: async () => (await import('./service-asset.ts')).agentsPlace,
  },
  {
    name: 'agents revoke',
    summary: 'revoke an agent at once',
    args: [argument('AGENT')],
    options: SERVICE,
    examples: [['holdfast agents revoke web1', 'By label, host name or id']],
    load: async () => (await import('./service-asset.ts')).agentsRevoke,
  },
  {
    name: 'asset list',
    summary: 'list what is protected',
    args: [],
    options: SERVICE,
    examples: [['holdfast asset list', 'All']],
    load: async () => (await import('./service-asset.ts')).assetList,
  },
  {
    name: 'asset show',
    summary: 'show an asset',
    args: [argument('ASSET')],
    options: SERVICE,
    examples: [['holdfast asset show web1/etc', 'By name or id']],
    load: async () => (await import('./service-asset.ts')).assetShow,
  },
  {
    name: 'asset create',
    summary: 'protect directories or a volume of a host',
    args: [argument('NAME')],
    options: [...SERVICE, LABEL, AGENT, ...SOURCE, { name: 'policy', kind: 'text', value: 'NAME', help: 'the policy to attach' }],
    examples: [
      ['holdfast asset create web1/etc --agent web1 --include /etc --policy gold', 'A directory'],
      ['holdfast asset create web1/data --agent web1 --volume /dev/vg0/data', 'A volume'],
    ],
    load: async () => (await import('./service-asset.ts')).assetCreate,
  },
  {
    name: 'asset change',
    summary: 'change an asset; pause and resume it',
    details: 'A change by which less is promised than before waits for a second person.',
    args: [argument('ASSET')],
    options: [
      ...SERVICE,
      LABEL,
      AGENT,
      ...SOURCE,
      { name: 'policy', kind: 'text', value: 'NAME', help: 'attach this policy' },
      { name: 'no-policy', kind: 'flag', help: 'attach none' },
      { name: 'pause', kind: 'flag', help: 'no runs until it is resumed' },
      { name: 'resume', kind: 'flag', help: 'runs again' },
      REASON,
    ],
    examples: [['holdfast asset change web1/etc --pause', 'For a while']],
    load: async () => (await import('./service-asset.ts')).assetChange,
  },
  {
    name: 'asset retire',
    summary: 'ask for the end of its protection; a second person approves',
    args: [argument('ASSET')],
    options: [...SERVICE, REASON],
    examples: [['holdfast asset retire web1/etc --reason "web1 is gone"', 'What was backed up stays as its policy says']],
    load: async () => (await import('./service-asset.ts')).assetRetire,
  },
  {
    name: 'policy list',
    summary: 'list the policies of the tenant',
    args: [],
    options: SERVICE,
    examples: [['holdfast policy list', 'All']],
    load: async () => (await import('./service-policy.ts')).policyList,
  },
  {
    name: 'policy get',
    summary: 'print a policy as it was put',
    args: [argument('NAME')],
    options: SERVICE,
    examples: [['holdfast policy get gold > gold.yaml', 'Comments and all']],
    load: async () => (await import('./service-policy.ts')).policyGet,
  },
  {
    name: 'policy put',
    summary: 'make or replace a policy of the tenant',
    details: 'When it promises less than before, it waits for a second person.',
    args: [{ name: 'FILE', min: 1, max: 1, kind: 'path' }],
    options: [
      ...SERVICE,
      { name: 'name', kind: 'text', value: 'NAME', help: 'as the file says it when absent' },
      {
        name: 'level',
        kind: 'choice',
        choices: ['tenant', 'asset'],
        help: 'for all assets, or (default) for those that it is attached to',
      },
      REASON,
    ],
    examples: [
      ['holdfast policy put policies/gold.yaml', 'A shipped one'],
      ['holdfast policy put strict.yaml --level tenant', 'For everything of the tenant'],
    ],
    load: async () => (await import('./service-policy.ts')).policyPut,
  },
  {
    name: 'policy attach',
    summary: 'attach a policy to an asset',
    args: [argument('POLICY'), argument('ASSET')],
    options: [...SERVICE, REASON],
    examples: [['holdfast policy attach gold web1/etc', 'From the next due time on']],
    load: async () => (await import('./service-policy.ts')).policyAttach,
  },
  {
    name: 'policy delete',
    summary: 'delete a policy that no asset names',
    args: [argument('NAME')],
    options: [...SERVICE, REASON],
    examples: [['holdfast policy delete bronze', 'One for the whole tenant needs approval']],
    load: async () => (await import('./service-policy.ts')).policyDelete,
  },
  {
    name: 'policy effective',
    summary: 'show what is in force for an asset',
    args: [argument('ASSET')],
    options: SERVICE,
    examples: [['holdfast policy effective web1/etc', 'City, district, tenant and its own policy put together']],
    load: async () => (await import('./service-policy.ts')).policyEffective,
  },
  {
    name: 'run list',
    summary: 'list runs, the newest first',
    args: [],
    options: [
      ...SERVICE,
      { name: 'asset', kind: 'text', value: 'ASSET', help: 'only of this one' },
      {
        name: 'kind',
        kind: 'choice',
        choices: RUN_KINDS,
        help: 'only of this kind',
      },
      {
        name: 'state',
        kind: 'choice',
        choices: RUN_STATES,
        help: 'only in this state',
      },
      LIMIT,
    ],
    examples: [['holdfast run list --state failed', 'What went wrong']],
    load: async () => (await import('./service-run.ts')).runList,
  },
  {
    name: 'run start',
    summary: 'start a run now (backup, restore-test, verify, forget or prune), or hasten the same that waits',
    args: [argument('KIND'), argument('ASSET', 0)],
    options: [
      ...SERVICE,
      { name: 'priority', kind: 'count', min: 0, value: 'N', help: '0 to 100, greater goes first (default: 70)' },
      { name: 'mode', kind: 'choice', choices: ['structure', 'sampled', 'full', 'scrub'], help: 'of verify' },
      FOLLOW,
    ],
    examples: [
      ['holdfast run start backup web1/etc --follow', 'And wait for its end'],
      ['holdfast run start verify --mode full', 'The whole repository'],
    ],
    load: async () => (await import('./service-run.ts')).runStart,
  },
  {
    name: 'run show',
    summary: 'show a run',
    args: [argument('RUN')],
    options: SERVICE,
    examples: [['holdfast run show run_01jd...', 'With its fault, if it failed']],
    load: async () => (await import('./service-run.ts')).runShow,
  },
  {
    name: 'run follow',
    summary: 'stay with a run until it is over',
    args: [argument('RUN')],
    options: SERVICE,
    examples: [['holdfast run follow run_01jd...', 'Exit status as of the same work offline']],
    load: async () => (await import('./service-run.ts')).runFollow,
  },
  {
    name: 'run cancel',
    summary: 'cancel a run',
    args: [argument('RUN')],
    options: SERVICE,
    examples: [['holdfast run cancel run_01jd...', 'A queued one at once, a running one is asked to stop']],
    load: async () => (await import('./service-run.ts')).runCancel,
  },
];

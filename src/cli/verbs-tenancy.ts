// The verbs about who may do what: sessions, tenants, people, tokens; see verbs.ts.

import type { Option } from './option.ts';
import type { Argument, Verb } from './verb.ts';

export const SERVICE: readonly Option[] = [
  {
    name: 'service',
    kind: 'text',
    value: 'URL',
    help: 'where the service is; or set HOLDFAST_SERVICE (default: http://127.0.0.1:8480)',
  },
  { name: 'tenant', kind: 'text', value: 'NAME', help: 'which tenant; or set HOLDFAST_TENANT (not needed when there is one only)' },
];
export const REASON: Option = { name: 'reason', kind: 'text', value: 'TEXT', help: 'for whoever approves, and for the audit' };
export const ALL: Option = { name: 'all', kind: 'flag', help: 'of the whole service: for administrators of the provider' };
export const LABEL: Option = { name: 'label', kind: 'text', value: 'TEXT', help: 'what people see' };
export const argument = (name: string, min = 1, max = 1): Argument => ({ name, min, max, kind: 'text' });

const [URL_OPTION] = SERVICE;
const ROLE: Option = {
  name: 'role',
  kind: 'choice',
  many: true,
  choices: ['viewer', 'restorer', 'operator', 'owner', 'auditor'],
  help: 'in the tenant',
};
const GRANT: Option = {
  name: 'grant',
  kind: 'text',
  many: true,
  value: 'ROLE[@TENANT]',
  help: 'for the security administrator: system-admin, security-admin, audit-admin, or a role in a tenant',
};
const QUOTA: readonly Option[] = [
  { name: 'logical-max', kind: 'bytes', value: 'BYTES', help: 'what its assets may hold' },
  { name: 'stored-max', kind: 'bytes', value: 'BYTES', help: 'what it may store' },
];
const PASSWORD: Option = {
  name: 'password-file',
  kind: 'file',
  value: 'FILE',
  help: 'file with the password (asked for when absent)',
};

export const TENANCY_VERBS: readonly Verb[] = [
  {
    name: 'login',
    summary: 'begin a session with the service, as a person',
    details: 'The session lasts 12 hours and lies in the file that HOLDFAST_TOKEN_FILE names (default: ~/.config/holdfast/token).',
    args: [argument('LOGIN')],
    options: [URL_OPTION!, PASSWORD, { name: 'code', kind: 'text', value: 'DIGITS', help: 'of the second factor' }],
    examples: [['holdfast login anna@bureau-a', 'Asks for the password']],
    load: async () => (await import('./service-login.ts')).login,
  },
  {
    name: 'logout',
    summary: 'end the session',
    args: [],
    options: [URL_OPTION!],
    examples: [['holdfast logout', 'The session counts no more']],
    load: async () => (await import('./service-login.ts')).logout,
  },
  {
    name: 'whoami',
    summary: 'show who the token is of, and its roles',
    args: [],
    options: [URL_OPTION!],
    examples: [['HOLDFAST_TOKEN_FILE=/etc/holdfast/token holdfast whoami', 'Of a service token']],
    load: async () => (await import('./service-login.ts')).whoami,
  },
  {
    name: 'password',
    summary: 'change the own password; all other sessions end',
    args: [],
    options: [
      URL_OPTION!,
      PASSWORD,
      { name: 'new-password-file', kind: 'file', value: 'FILE', help: 'file with the new one (asked for when absent)' },
    ],
    examples: [['holdfast password', 'Asks for the old and the new one']],
    load: async () => (await import('./service-login.ts')).password,
  },
  {
    name: 'totp enrol',
    summary: 'get a secret for an authenticator, as second factor',
    args: [],
    options: [URL_OPTION!],
    examples: [['holdfast totp enrol', 'Shows the secret; nothing changes before it is confirmed']],
    load: async () => (await import('./service-login.ts')).totpEnrol,
  },
  {
    name: 'totp confirm',
    summary: 'use one-time codes from now on, proved by a first one',
    args: [argument('CODE')],
    options: [URL_OPTION!, PASSWORD],
    examples: [['holdfast totp confirm 123456', 'The six digits that the authenticator shows']],
    load: async () => (await import('./service-login.ts')).totpConfirm,
  },
  {
    name: 'totp remove',
    summary: 'do without one-time codes, proved by a last one',
    args: [argument('CODE')],
    options: [URL_OPTION!, PASSWORD],
    examples: [['holdfast totp remove 123456', 'Asks for the password']],
    load: async () => (await import('./service-login.ts')).totpRemove,
  },
  {
    name: 'tenant list',
    summary: 'list tenants',
    args: [],
    options: [URL_OPTION!],
    examples: [['holdfast tenant list', 'All that this token sees']],
    load: async () => (await import('./service-tenant.ts')).tenantList,
  },
  {
    name: 'tenant show',
    summary: 'show a tenant',
    args: [],
    options: SERVICE,
    examples: [['holdfast tenant show --tenant bureau-a', 'One']],
    load: async () => (await import('./service-tenant.ts')).tenantShow,
  },
  {
    name: 'tenant create',
    summary: 'make a tenant and its repository',
    args: [argument('NAME')],
    options: [
      URL_OPTION!,
      LABEL,
      { name: 'city', kind: 'text', value: 'NAME', help: 'whose policies it has to keep' },
      { name: 'district', kind: 'text', value: 'NAME', help: 'of that city' },
      ...QUOTA,
    ],
    examples: [['holdfast tenant create bureau-a --label "Bureau A" --stored-max 10T', 'For a system administrator']],
    load: async () => (await import('./service-tenant.ts')).tenantCreate,
  },
  {
    name: 'tenant change',
    summary: 'change label, quota or state of a tenant',
    args: [],
    options: [
      ...SERVICE,
      LABEL,
      ...QUOTA,
      { name: 'state', kind: 'choice', choices: ['active', 'suspended'], help: 'a suspended one can only be looked at' },
    ],
    examples: [['holdfast tenant change --tenant bureau-a --stored-max 20T', 'More room']],
    load: async () => (await import('./service-tenant.ts')).tenantChange,
  },
  {
    name: 'tenant allow',
    summary: 'say from which addresses people, tokens and agents may come',
    args: [argument('CIDR', 0, 200)],
    options: SERVICE,
    examples: [
      ['holdfast tenant allow 10.0.0.0/8 2001:db8::/32', 'From these only'],
      ['holdfast tenant allow', 'From everywhere'],
    ],
    load: async () => (await import('./service-tenant.ts')).tenantAllow,
  },
  {
    name: 'tenant close',
    summary: 'ask for the end of a tenant; a second person approves',
    args: [],
    options: [...SERVICE, REASON],
    examples: [['holdfast tenant close --tenant bureau-a --reason "moved away"', 'Nothing happens before it is approved']],
    load: async () => (await import('./service-tenant.ts')).tenantClose,
  },
  {
    name: 'tenant erase',
    summary: 'ask for the destruction of the key of a closed tenant; a second person approves',
    details:
      'For an owner, or for a system administrator of the provider; another owner approves. What the tenant has stored can never be opened again. After the approval a run of the kind "erase" waits (30 days, or as "serve --erase-after" says) and can be canceled until it begins.',
    args: [],
    options: [
      ...SERVICE,
      REASON,
      {
        name: 'handed-over',
        kind: 'text',
        value: 'TEXT',
        help: 'what of the data was handed over, and to whom: for the certificate',
      },
    ],
    examples: [
      [
        'holdfast tenant erase --tenant bureau-a --reason "moved away" --handed-over "all, on tape 17, to Anna"',
        'Nothing happens at once',
      ],
    ],
    load: async () => (await import('./service-tenant.ts')).tenantErase,
  },
  {
    name: 'tenant certificate',
    summary: 'show the certificate that the key of a tenant was destroyed',
    args: [],
    options: [...SERVICE, { name: 'output', short: 'o', kind: 'file', value: 'FILE', help: 'where to write it, as JSON' }],
    examples: [['holdfast tenant certificate --tenant bureau-a --output bureau-a.json', 'To be handed over']],
    load: async () => (await import('./service-tenant.ts')).tenantCertificate,
  },
  {
    name: 'person list',
    summary: 'list people',
    args: [],
    options: [...SERVICE, ALL],
    examples: [['holdfast person list', 'Of the tenant']],
    load: async () => (await import('./service-tenant.ts')).personList,
  },
  {
    name: 'person create',
    summary: 'make a person',
    details: 'A person of a tenant logs in as LOGIN@TENANT. With --grant it is one of the provider, who logs in as LOGIN.',
    args: [argument('LOGIN')],
    options: [...SERVICE, LABEL, ROLE, GRANT, PASSWORD],
    examples: [
      ['holdfast person create anna --role owner --label "Anna"', 'In the tenant'],
      ['holdfast person create berta --grant system-admin', 'For a security administrator'],
    ],
    load: async () => (await import('./service-tenant.ts')).personCreate,
  },
  {
    name: 'person change',
    summary: 'change the roles of a person, or disable one',
    args: [argument('PERSON')],
    options: [
      ...SERVICE,
      LABEL,
      ROLE,
      { name: 'no-roles', kind: 'flag', help: 'none at all in the tenant' },
      { name: 'state', kind: 'choice', choices: ['active', 'disabled'], help: 'a disabled person cannot log in' },
    ],
    examples: [['holdfast person change per_01jd... --role viewer --role restorer', 'These and no others']],
    load: async () => (await import('./service-tenant.ts')).personChange,
  },
  {
    name: 'token list',
    summary: 'list service tokens',
    args: [],
    options: [...SERVICE, ALL],
    examples: [['holdfast token list', 'Of the tenant']],
    load: async () => (await import('./service-tenant.ts')).tokenList,
  },
  {
    name: 'token create',
    summary: 'make a service token; its secret is printed once',
    args: [argument('LABEL')],
    options: [...SERVICE, ROLE, GRANT, { name: 'days', kind: 'count', min: 1, value: 'N', help: 'of life (default: 90)' }],
    examples: [
      ['holdfast token create monitoring --role viewer --days 365', 'In the tenant'],
      ['holdfast token create prometheus --grant system-admin', 'For a security administrator'],
    ],
    load: async () => (await import('./service-tenant.ts')).tokenCreate,
  },
  {
    name: 'token revoke',
    summary: 'revoke a service token at once',
    args: [argument('TOKEN')],
    options: [...SERVICE, ALL],
    examples: [['holdfast token revoke tok_01jd...', 'By its id']],
    load: async () => (await import('./service-tenant.ts')).tokenRevoke,
  },
];

// Tenants, people and service tokens.

import { writeFileSync } from 'node:fs';
import { Fault } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import type { Grant, Token } from '../client/generated.ts';
import type { ServiceClient } from '../client/service-client.ts';
import { showCertificate } from './certificate.ts';
import { usage } from './option.ts';
import { readPassphrase } from './passphrase.ts';
import { type Service, withService } from './service-call.ts';
import { showApproval, showList, showOne, whenOf } from './service-show.ts';
import type { Invocation } from './verb.ts';

type TenantRole = 'viewer' | 'restorer' | 'operator' | 'owner' | 'auditor';

export function tenantList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client }) => {
    const { body: me } = await client.call('me', {});
    const isProvider = me.grants.some(({ tenantId }) => tenantId === undefined);
    const columns = [
      { title: 'name' },
      { title: 'id' },
      { title: 'state' },
      { title: 'stored at most', align: 'right' as const },
      { title: 'label' },
    ];
    await showList(
      invocation.output,
      'tenant',
      isProvider ? client.each('listTenants', {}) : me.tenants,
      columns,
      ({ name, id, state, quota, label }) => [
        name,
        id,
        state,
        quota.storedBytesMax === undefined ? '-' : formatBytes(quota.storedBytesMax),
        label,
      ],
    );
    return 0;
  });
}

export function tenantCreate(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client }) => {
    const body = {
      name: args[0]!,
      label: options.text('label') ?? args[0]!,
      city: options.text('city'),
      district: options.text('district'),
      quota: quotaOf(invocation),
    };
    const answer = await client.call('createTenant', { body });
    showOne(output, 'tenant', answer.body);
    return 0;
  });
}

export function tenantShow(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('getTenant', { tenant: (await tenant()).id });
    showOne(invocation.output, 'tenant', body);
    return 0;
  });
}

export function tenantChange(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const id = (await tenant()).id;
    const { body: before, etag } = await client.call('getTenant', { tenant: id });
    const quota = quotaOf(invocation);
    const state = options.text('state') as 'active' | 'suspended' | undefined;
    const change = { label: options.text('label'), state, quota: quota === undefined ? undefined : { ...before.quota, ...quota } };
    const { body } = await client.call('changeTenant', { tenant: id, body: change, ifMatch: etag! });
    showOne(output, 'tenant', body);
    return 0;
  });
}

/** Without arguments: from everywhere. */
export function tenantAllow(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const id = (await tenant()).id;
    const { etag } = await client.call('getTenant', { tenant: id });
    const { body } = await client.call('setAllowedSources', {
      tenant: id,
      body: { allowedSources: invocation.args },
      ifMatch: etag!,
    });
    showOne(invocation.output, 'tenant', body);
    return 0;
  });
}

export function tenantClose(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('closeTenant', { tenant: (await tenant()).id, body: { reason: reasonOf(invocation) } });
    showApproval(invocation.output, body);
    return 0;
  });
}

export function tenantErase(invocation: Invocation): Promise<number> {
  const handedOver = invocation.options.text('handed-over');
  if (handedOver === undefined)
    throw usage('"holdfast tenant erase" needs --handed-over', 'Say what of the data was handed over and to whom, or "nothing".');
  return withService(invocation, async ({ client, tenant }) => {
    const { body } = await client.call('eraseTenant', {
      tenant: (await tenant()).id,
      body: { reason: reasonOf(invocation), handedOver },
    });
    showApproval(invocation.output, body);
    return 0;
  });
}

export function tenantCertificate(invocation: Invocation): Promise<number> {
  const { options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const { id, name } = await tenant();
    const [certificate] = (await client.call('listCertificates', { tenant: id })).body.items;
    if (certificate === undefined)
      throw new Fault('CERTIFICATE_MISSING', `There is no certificate of ${name}: its key has not been destroyed`);
    const file = options.text('output');
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(certificate, undefined, 2)}\n`);
    output.record('certificate', certificate);
    showCertificate(output, certificate);
    if (file !== undefined) output.notice(`Written to ${file}; "holdfast certificate verify" proves it anywhere`);
    return 0;
  });
}

export function personList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const people = invocation.options.flag('all')
      ? client.each('listPeople', {})
      : client.each('listTenantPeople', { tenant: (await tenant()).id });
    const columns = [
      { title: 'login' },
      { title: 'id' },
      { title: 'state' },
      { title: '2nd factor' },
      { title: 'roles' },
      { title: 'label' },
    ];
    await showList(invocation.output, 'person', people, columns, ({ login, id, state, hasTotp, grants, label }) => [
      login,
      id,
      state,
      hasTotp ? 'yes' : 'no',
      rolesText(grants),
      label,
    ]);
    return 0;
  });
}

export function personCreate(invocation: Invocation): Promise<number> {
  const { args, options, output, environment } = invocation;
  return withService(invocation, async (service) => {
    const source = {
      file: options.text('password-file'),
      fileVariable: 'HOLDFAST_NEW_PASSWORD_FILE',
      variable: 'HOLDFAST_NEW_PASSWORD',
    };
    const password = Buffer.from(
      await readPassphrase({ ...source, prompt: `New password of ${args[0]}`, isNew: true }, environment, output),
    ).toString();
    const person = { login: args[0]!, label: options.text('label') ?? args[0]!, password };
    const roles = options.texts('role') as readonly TenantRole[];
    const grants = await grantsOf(invocation, service.client);
    const { body } =
      grants.length > 0
        ? await service.client.call('createPerson', { body: { ...person, grants } })
        : await service.client.call('createTenantPerson', { tenant: (await service.tenant()).id, body: { ...person, roles } });
    showOne(output, 'person', body);
    return 0;
  });
}

export function personChange(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }) => {
    const given = options.texts('role') as readonly TenantRole[];
    const change = {
      roles: options.flag('no-roles') ? [] : given.length > 0 ? given : undefined,
      state: options.text('state') as 'active' | 'disabled' | undefined,
      label: options.text('label'),
    };
    const { id } = await tenant();
    const { etag } = await client.call('getTenantPerson', { tenant: id, person: args[0]! });
    const { body } = await client.call('changeTenantPerson', { tenant: id, person: args[0]!, body: change, ifMatch: etag! });
    showOne(output, 'person', body);
    return 0;
  });
}

export function tokenList(invocation: Invocation): Promise<number> {
  return withService(invocation, async ({ client, tenant }) => {
    const tokens = invocation.options.flag('all')
      ? client.each('listTokens', {})
      : client.each('listTenantTokens', { tenant: (await tenant()).id });
    const columns = [
      { title: 'id' },
      { title: 'state' },
      { title: 'expires' },
      { title: 'last used' },
      { title: 'roles' },
      { title: 'label' },
    ];
    await showList(invocation.output, 'token', tokens, columns, (token: Token) => [
      token.id,
      token.revokedAt === undefined ? 'active' : 'revoked',
      whenOf(token.expiresAt),
      whenOf(token.lastUsedAt),
      token.personId === undefined ? rolesText(token.grants) : '(session)',
      token.label,
    ]);
    return 0;
  });
}

export function tokenCreate(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async (service) => {
    const days = options.count('days');
    const grants = await grantsOf(invocation, service.client);
    const roles = options.texts('role') as readonly TenantRole[];
    if (grants.length === 0 && roles.length === 0) throw usage('A token needs a role', 'Give --role, e.g. --role operator.');
    const { body } =
      grants.length > 0
        ? await service.client.call('createToken', { body: { label: args[0]!, grants, days } })
        : await service.client.call('createTenantToken', {
            tenant: (await service.tenant()).id,
            body: { label: args[0]!, roles, days },
          });
    output.record('token', body);
    output.notice(`Token ${body.token.id}, until ${whenOf(body.token.expiresAt)}; its secret is shown this once:`);
    output.line(body.secret);
    return 0;
  });
}

export function tokenRevoke(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  return withService(invocation, async ({ client, tenant }: Service) => {
    if (options.flag('all')) await client.call('revokeToken', { token: args[0]! });
    else await client.call('revokeTenantToken', { tenant: (await tenant()).id, token: args[0]! });
    output.line(`Revoked ${args[0]}`);
    return 0;
  });
}

export function reasonOf({ options, verb }: Invocation): string {
  const reason = options.text('reason');
  if (reason === undefined) throw usage(`"holdfast ${verb.name}" needs --reason`, 'A second person reads it before approving.');
  return reason;
}

/** "system-admin", or "owner@tenant". */
async function grantsOf({ options }: Invocation, client: ServiceClient): Promise<readonly Grant[]> {
  const texts = options.texts('grant');
  if (texts.length === 0) return [];
  const ids = new Map<string, string>();
  if (texts.some((text) => text.includes('@')))
    for await (const { id, name } of client.each('listTenants', {})) ids.set(name, id).set(id, id);
  return texts.map((text) => {
    const [role = '', tenant] = text.split('@');
    if (tenant === undefined) return { role: role as Grant['role'] };
    const tenantId = ids.get(tenant);
    if (tenantId === undefined) throw usage(`There is no tenant "${tenant}"`, 'See "holdfast tenant list".');
    return { role: role as Grant['role'], tenantId };
  });
}

function quotaOf({ options }: Invocation) {
  const [logicalBytesMax, storedBytesMax] = [options.bytes('logical-max'), options.bytes('stored-max')];
  return logicalBytesMax === undefined && storedBytesMax === undefined ? undefined : { logicalBytesMax, storedBytesMax };
}

function rolesText(grants: readonly Grant[]): string {
  return grants.map(({ role }) => role).join(',');
}

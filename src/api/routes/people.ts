// People. Those of a tenant are named login@tenant by its owner, so that making one tells nothing about others'; those of the provider, and
// anybody's roles anywhere, are the security administrator's.

import { Fault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import type { PersonSecrets } from '../../catalog/catalog.ts';
import { Label, newId } from '../../model/identifier.ts';
import { instantOf } from '../../model/instant.ts';
import { Grant, Person, type Role, TENANT_ROLES } from '../../model/principal.ts';
import { hashPassword, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, weaknessOf } from '../../trust/password.ts';
import { faultOfGrants } from '../../trust/roles.ts';
import { answerPage } from '../page.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Answer, type Call, route } from '../route.ts';
import { PAGE_QUERY, pageSchema } from '../schema.ts';
import { answerVersioned, changed, checkVersion } from '../versioned.ts';

const Password = Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX });
const LocalLogin = Type.String({
  pattern: '^[a-z0-9][a-z0-9._-]{0,29}$',
  description: 'the person logs in as login@name-of-the-tenant',
});
const TenantRole = Type.Unsafe<Role>(Type.Union(TENANT_ROLES.map((role) => Type.Literal(role))));
const Roles = Type.Array(TenantRole, { maxItems: 5, uniqueItems: true });
const State = Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('disabled')]));
const closed = { additionalProperties: false } as const;

const NewTenantPerson = Type.Object(
  { login: LocalLogin, label: Label, password: Password, roles: Roles },
  { ...closed, $id: 'NewTenantPerson' },
);
const TenantPersonChange = Type.Object(
  { label: Type.Optional(Label), roles: Type.Optional(Roles), state: State, password: Type.Optional(Password) },
  { ...closed, minProperties: 1, $id: 'TenantPersonChange' },
);
const NewPerson = Type.Object(
  { login: Person.properties.login, label: Label, password: Password, grants: Type.Array(Grant, { maxItems: 100 }) },
  { ...closed, $id: 'NewPerson' },
);
const PersonChange = Type.Object(
  {
    label: Type.Optional(Label),
    grants: Type.Optional(Type.Array(Grant, { maxItems: 100 })),
    state: State,
    password: Type.Optional(Password),
    removeTotp: Type.Optional(Type.Literal(true)),
  },
  { ...closed, minProperties: 1, $id: 'PersonChange' },
);
const ONE = { 200: { description: 'The person', schema: Person, headers: { ETag: 'its version' } } };
const MADE = { 201: { description: 'Made', schema: Person, headers: { ETag: 'its version' } } };

type Change = {
  readonly label?: string;
  readonly grants?: readonly Grant[];
  readonly state?: Person['state'];
  readonly password?: string;
  readonly removeTotp?: true;
};

export const PEOPLE_ROUTES = [
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/people',
    name: 'listTenantPeople',
    tag: 'people',
    summary: 'List the people with a role in the tenant',
    action: 'person.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Person) } },
    handle: (call) =>
      answerPage(
        call,
        'people',
        (page) => call.catalog.people.list(page, call.tenant.id),
        (person) => asSeenBy(person, call.tenant.id),
      ),
  }),
  route({
    method: 'POST',
    path: '/v1/tenants/{tenant}/people',
    name: 'createTenantPerson',
    tag: 'people',
    summary: 'Make a person of the tenant',
    action: 'person.change',
    body: NewTenantPerson,
    bodyBytesMax: 8192,
    answers: MADE,
    handle: async (call) => {
      const { login, roles, ...rest } = call.body;
      const grants = roles.map((role) => ({ role, tenantId: call.tenant.id }));
      return createPerson(call, { ...rest, login: `${login}@${call.tenant.name}`, grants });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tenants/{tenant}/people/{person}',
    name: 'getTenantPerson',
    tag: 'people',
    summary: 'Show a person with a role in the tenant',
    action: 'person.read',
    answers: ONE,
    handle: async (call) => {
      const person = await personOfTenant(call);
      return answerVersioned(person, 200, asSeenBy(person, call.tenant.id));
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/tenants/{tenant}/people/{person}',
    name: 'changeTenantPerson',
    tag: 'people',
    summary: 'Change the roles of a person in the tenant; label, state and password only of people of the tenant itself',
    action: 'person.change',
    body: TenantPersonChange,
    isConditional: true,
    bodyBytesMax: 8192,
    answers: ONE,
    handle: async (call) => {
      const { roles, ...rest } = call.body;
      const person = await personOfTenant(call);
      if (Object.keys(rest).length > 0 && !isOfTenant(person, call))
        throw new Fault('REQUEST_CONFLICT', 'This person belongs to the provider; here only the roles can be changed');
      const others = person.grants.filter(({ tenantId }) => tenantId !== call.tenant.id);
      const grants = roles === undefined ? undefined : [...others, ...roles.map((role) => ({ role, tenantId: call.tenant.id }))];
      return changePerson(call, person, { ...rest, ...(grants === undefined ? {} : { grants }) });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/people',
    name: 'listPeople',
    tag: 'people',
    summary: 'List everybody',
    action: 'provider.person.read',
    query: PAGE_QUERY,
    answers: { 200: { description: 'A page', schema: pageSchema(Person) } },
    handle: (call) => answerPage(call, 'people', (page) => call.catalog.people.list(page)),
  }),
  route({
    method: 'POST',
    path: '/v1/people',
    name: 'createPerson',
    tag: 'people',
    summary: 'Make a person with roles of the provider or of tenants',
    action: 'provider.person.change',
    body: NewPerson,
    bodyBytesMax: 32_768,
    answers: MADE,
    handle: (call) => createPerson(call, call.body),
  }),
  route({
    method: 'GET',
    path: '/v1/people/{person}',
    name: 'getPerson',
    tag: 'people',
    summary: 'Show a person',
    action: 'provider.person.read',
    answers: ONE,
    handle: async ({ catalog, params }) => {
      const person = await catalog.people.get(params['person']!);
      if (person === undefined) throw notFound();
      return answerVersioned(person);
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/people/{person}',
    name: 'changePerson',
    tag: 'people',
    summary: 'Change roles, label, state or password of a person; take away a second factor that was lost',
    action: 'provider.person.change',
    body: PersonChange,
    isConditional: true,
    bodyBytesMax: 32_768,
    answers: ONE,
    handle: async (call) => {
      const person = await call.catalog.people.get(call.params['person']!);
      if (person === undefined) throw notFound();
      return changePerson(call, person, call.body);
    },
  }),
];

type NewPersonParts = {
  readonly login: string;
  readonly label: string;
  readonly password: string;
  readonly grants: readonly Grant[];
};

async function createPerson(call: Call, { login, label, password, grants }: NewPersonParts): Promise<Answer> {
  await checkGrants(call, grants);
  checkPassword(password, login);
  const person: Person = {
    id: newId('person', call.at, call.random),
    login,
    label,
    grants: [...grants],
    state: 'active',
    hasTotp: false,
    createdAt: instantOf(call.at),
    version: 1,
  };
  const passwordHash = await hashPassword(password, call.random);
  return call.change({ action: 'person.create', subject: person.id, details: { login, grants } }, async ({ people }) => {
    if ((await people.add(person, { passwordHash })) === 'exists')
      throw new Fault('REQUEST_CONFLICT', `The login "${login}" is taken`);
    return answerVersioned(person, 201);
  });
}

async function changePerson(call: Call, before: Person, { password, removeTotp, grants, ...fields }: Change): Promise<Answer> {
  checkVersion(call, before);
  if (grants !== undefined) await checkGrants(call, grants);
  if (before.id === call.principal.id && (grants !== undefined || fields.state === 'disabled'))
    throw new Fault('REQUEST_CONFLICT', 'Nobody changes their own roles or state');
  const after: Person = { ...before, ...fields, ...(grants === undefined ? {} : { grants: [...grants] }) };
  let secrets: PersonSecrets | undefined;
  if (password !== undefined || removeTotp === true) {
    const found = await call.catalog.people.byLogin(before.login);
    if (found === undefined) throw notFound();
    if (password !== undefined) checkPassword(password, before.login);
    const passwordHash = password === undefined ? found.secrets.passwordHash : await hashPassword(password, call.random);
    const { totpSecret } = found.secrets;
    secrets = { passwordHash, ...(removeTotp === true || totpSecret === undefined ? {} : { totpSecret }) };
    if (removeTotp === true) after.hasTotp = false;
  }
  const details = {
    ...fields,
    ...(grants === undefined ? {} : { grants }),
    hasNewPassword: password !== undefined,
    removeTotp: removeTotp === true,
  };
  return call.change({ action: 'person.change', subject: before.id, details }, async ({ people, tokens }) => {
    const done = changed(await people.change(after, secrets));
    if (password !== undefined) await tokens.revokeSessions(before.id, instantOf(call.at));
    return answerVersioned(done, 200, call.tenant === undefined ? done : asSeenBy(done, call.tenant.id));
  });
}

async function checkGrants({ catalog }: Call, grants: readonly Grant[]): Promise<void> {
  const wrong = faultOfGrants(grants);
  if (wrong !== undefined) throw fieldFault('body/grants', wrong);
  for (const tenantId of new Set(grants.map((grant) => grant.tenantId)))
    if (tenantId !== undefined && (await catalog.tenants.get(tenantId)) === undefined)
      throw fieldFault('body/grants', `names no tenant: ${tenantId}`);
}

function checkPassword(password: string, login: string): void {
  const weakness = weaknessOf(password, login);
  if (weakness !== undefined) throw fieldFault('body/password', `is too weak: ${weakness}`);
}

async function personOfTenant({ catalog, params, tenant }: Call): Promise<Person> {
  const person = await catalog.people.get(params['person']!);
  if (person === undefined || !person.grants.some(({ tenantId }) => tenantId === tenant.id)) throw notFound();
  return person;
}

function isOfTenant({ login, grants }: Person, { tenant }: Call): boolean {
  return login.endsWith(`@${tenant.name}`) && grants.every(({ tenantId }) => tenantId === tenant.id);
}

/** Roles elsewhere are nobody's business here. */
function asSeenBy(person: Person, tenantId: string): Person {
  return { ...person, grants: person.grants.filter((grant) => grant.tenantId === tenantId) };
}

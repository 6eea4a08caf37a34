// Logging in and out, and what people change about themselves.

import { Fault, isFault } from '../../base/faults.ts';
import { Type } from '../../base/type.ts';
import { instantOf } from '../../model/instant.ts';
import { Grant, Person } from '../../model/principal.ts';
import { Tenant } from '../../model/tenant.ts';
import { isSourceAllowed } from '../../trust/allowed-sources.ts';
import { appendAudit } from '../../trust/audit-chain.ts';
import { hashPassword, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, weaknessOf } from '../../trust/password.ts';
import { tenantsOf } from '../../trust/roles.ts';
import { acceptedStep, newTotpSecret, totpUri } from '../../trust/totp.ts';
import { fieldFault, notFound } from '../problem.ts';
import { type Call, route } from '../route.ts';
import { changed } from '../versioned.ts';

const Password = Type.String({ minLength: 1, maxLength: PASSWORD_CHARS_MAX });
const Code = Type.String({ pattern: '^\\d{6}$' });
const NewPassword = Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX });
const LoginBody = Type.Object(
  { login: Person.properties.login, password: Password, code: Type.Optional(Code) },
  { additionalProperties: false, $id: 'LoginRequest' },
);
const SessionAnswer = Type.Object(
  { secret: Type.String({ description: 'for "Authorization: Bearer"' }), expiresAt: Type.String(), person: Person },
  { additionalProperties: false, $id: 'Session' },
);
const Me = Type.Object(
  {
    kind: Type.Union([Type.Literal('person'), Type.Literal('token')]),
    id: Type.String(),
    label: Type.String(),
    grants: Type.Array(Grant),
    tenants: Type.Array(Tenant, {
      description: 'in which this principal has a role and which let requests from here in; 200 at the most',
    }),
  },
  { additionalProperties: false, $id: 'Me' },
);
const TotpOffer = Type.Object(
  { secret: Type.String(), uri: Type.String({ description: 'for an authenticator, as text or QR code' }) },
  { additionalProperties: false, $id: 'TotpOffer' },
);
const TotpProof = Type.Object(
  { secret: Type.String({ pattern: '^[A-Z2-7]{32}$' }), code: Code, password: Password },
  { additionalProperties: false, $id: 'TotpProof' },
);
const TENANTS_SHOWN_MAX = 200;
const NOTHING = { 204: { description: 'Done' } };

export const LOGIN_ROUTES = [
  route({
    method: 'POST',
    path: '/v1/login',
    name: 'login',
    tag: 'login',
    summary: 'Begin a session of a person',
    description: 'Attempts are limited by login and by address. A session ends after 12 hours.',
    action: 'public',
    body: LoginBody,
    bodyBytesMax: 4096,
    answers: { 200: { description: 'A session', schema: SessionAnswer } },
    handle: async (call) => {
      const proved = await prove(call);
      const { person, step } = proved;
      const actor = { name: `person:${person.id}`, label: person.label };
      return call.change({ action: 'login', subject: person.id, actor }, async (tables) => {
        const { secret, expiresAt } = await call.login.begin(tables, person, step);
        return { status: 200, body: { secret, expiresAt, person } };
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/logout',
    name: 'logout',
    tag: 'login',
    summary: 'End the session that this request is of',
    action: 'signed-in',
    answers: NOTHING,
    handle: async (call) => {
      if (call.principal.kind !== 'person') throw new Fault('REQUEST_CONFLICT', 'A service token does not log out; revoke it');
      return call.change({ action: 'logout', subject: call.principal.id }, async ({ tokens }) => {
        await tokens.revoke(call.token.id, instantOf(call.at));
        return { status: 204 };
      });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/me',
    name: 'me',
    tag: 'login',
    summary: 'Who this is, and in which tenants',
    action: 'signed-in',
    answers: { 200: { description: 'The principal', schema: Me } },
    handle: async ({ principal, catalog, source }) => {
      const { kind, id, label } = principal;
      const grants = principal.kind === 'person' || principal.kind === 'token' ? principal.grants : [];
      const found = await Promise.all(
        tenantsOf(principal)
          .slice(0, TENANTS_SHOWN_MAX)
          .map((tenant) => catalog.tenants.get(tenant)),
      );
      return {
        status: 200,
        body: {
          kind,
          id,
          label,
          grants,
          tenants: found.filter((tenant) => tenant !== undefined && isSourceAllowed(tenant.allowedSources, source)),
        },
      };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/me/password',
    name: 'changeMyPassword',
    tag: 'login',
    summary: 'Change the own password; all other sessions end',
    action: 'signed-in',
    body: Type.Object({ password: Password, newPassword: NewPassword }, { additionalProperties: false, $id: 'PasswordChange' }),
    bodyBytesMax: 4096,
    answers: NOTHING,
    handle: async (call) => {
      const { person, secrets } = await myself(call, call.body.password);
      const weakness = weaknessOf(call.body.newPassword, person.login);
      if (weakness !== undefined) throw fieldFault('body/newPassword', `is too weak: ${weakness}`);
      const passwordHash = await hashPassword(call.body.newPassword, call.random);
      return call.change({ action: 'person.change-password', subject: person.id }, async ({ people, tokens }) => {
        changed(await people.change(person, { ...secrets, passwordHash }));
        // Whoever had the old one may have a session.
        await tokens.revokeSessions(person.id, instantOf(call.at), call.token.id);
        return { status: 204 };
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/me/totp',
    name: 'offerTotp',
    tag: 'login',
    summary: 'Get a secret for an authenticator; it counts once it was confirmed',
    action: 'signed-in',
    answers: { 200: { description: 'To be confirmed with PUT', schema: TotpOffer } },
    handle: async (call) => {
      if (call.principal.kind !== 'person') throw notFound();
      const person = await call.catalog.people.get(call.principal.id);
      if (person === undefined) throw notFound();
      const secret = newTotpSecret(call.random);
      return { status: 200, body: { secret, uri: totpUri(person.login, secret) } };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/me/totp',
    name: 'confirmTotp',
    tag: 'login',
    summary: 'Use one-time codes from now on, proved by a first one',
    action: 'signed-in',
    body: TotpProof,
    bodyBytesMax: 4096,
    answers: NOTHING,
    handle: async (call) => {
      const { secret, code, password } = call.body;
      const { person, secrets } = await myself(call, password);
      if (person.hasTotp) throw new Fault('REQUEST_CONFLICT', 'There is a second factor already; remove it first');
      if (acceptedStep(secret, code, call.at) === undefined) throw fieldFault('body/code', 'is not the code of this secret now');
      return call.change({ action: 'person.add-totp', subject: person.id }, async ({ people }) => {
        changed(await people.change({ ...person, hasTotp: true }, { ...secrets, totpSecret: secret }));
        return { status: 204 };
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/me/totp/remove',
    name: 'removeTotp',
    tag: 'login',
    summary: 'Do without one-time codes, proved by a last one',
    action: 'signed-in',
    body: Type.Object({ password: Password, code: Code }, { additionalProperties: false, $id: 'TotpRemoval' }),
    bodyBytesMax: 4096,
    answers: NOTHING,
    handle: async (call) => {
      const { person, secrets } = await myself(call, call.body.password, call.body.code);
      return call.change({ action: 'person.remove-totp', subject: person.id }, async ({ people }) => {
        changed(await people.change({ ...person, hasTotp: false }, { passwordHash: secrets.passwordHash }));
        return { status: 204 };
      });
    },
  }),
];

/** A refused login is in the audit, too, without what was tried. */
async function prove(call: Call<unknown, { login: string; password: string; code?: string }>) {
  try {
    return await call.login.prove(call.body, call.source);
  } catch (error) {
    if (isFault(error, 'LOGIN_REFUSED'))
      await call.catalog.transaction((tables) =>
        appendAudit(tables, {
          at: instantOf(call.at),
          actor: 'nobody',
          actorLabel: call.body.login,
          source: call.source,
          action: 'login',
          outcome: 'failed',
          details: {},
        }),
      );
    throw error;
  }
}

/** Who changes a secret of their own proves once more who they are; attempts are limited as at the login. */
async function myself({ principal, catalog, login, source }: Call, password: string, code?: string) {
  if (principal.kind !== 'person') throw notFound();
  const person = await catalog.people.get(principal.id);
  const found = person === undefined ? undefined : await catalog.people.byLogin(person.login);
  if (found === undefined) throw notFound();
  if (code !== undefined) await login.prove({ login: found.person.login, password, code }, source);
  else await login.provePassword(found.person.login, password, source);
  return found;
}

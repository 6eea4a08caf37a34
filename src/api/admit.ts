// The door: who asks, whether they may, and from where - before a byte of the body is read, so that nothing about a tenant shows to who has
// no business there, not even by which field of a request is wrong.

import type { FastifyRequest } from 'fastify';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { instantOf } from '../model/instant.ts';
import type { Principal, Token } from '../model/principal.ts';
import type { Tenant } from '../model/tenant.ts';
import { isSourceAllowed, plainAddress } from '../trust/allowed-sources.ts';
import { ADDRESS_LIMITS, Attempts } from '../trust/attempts.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import type { Authenticator } from '../trust/authenticate.ts';
import { judge, nameOf } from '../trust/roles.ts';
import { bearerOf } from '../trust/tokens.ts';
import { notFound } from './problem.ts';
import type { Route } from './route.ts';

export type Admission = { readonly principal: Principal; readonly token: Token; readonly tenant?: Tenant };

export class Door {
  readonly #catalog: Catalog;
  readonly #authenticator: Authenticator;
  readonly #now: () => Date;
  readonly #strangers: Attempts;

  constructor(catalog: Catalog, authenticator: Authenticator, now: () => Date) {
    this.#catalog = catalog;
    this.#authenticator = authenticator;
    this.#now = now;
    this.#strangers = new Attempts(ADDRESS_LIMITS, now);
  }

  /** Undefined: a public route. Throws REQUEST_UNAUTHENTICATED, REQUEST_NOT_FOUND, REQUEST_FORBIDDEN, REQUEST_SOURCE_REFUSED. */
  async admit(route: Route, request: FastifyRequest): Promise<Admission | undefined> {
    if (route.action === 'public') return undefined;
    const address = plainAddress(request.ip);
    const { principal, token } = await this.#identify(request, address);
    if (route.action === 'signed-in') return { principal, token };
    const tenantId = (request.params as Record<string, string | undefined>)['tenant'];
    const verdict = judge(principal, route.action, tenantId);
    if (verdict === 'hidden') throw notFound();
    const tenant = tenantId === undefined ? undefined : await this.#catalog.tenants.get(tenantId);
    if (tenantId !== undefined && tenant === undefined) throw notFound();
    if (verdict === 'forbidden') return this.#refuse(route, principal, address, tenant, 'REQUEST_FORBIDDEN');
    if (tenant === undefined) return { principal, token };
    if (actsInTenant(principal, tenant) && !isSourceAllowed(tenant.allowedSources, address))
      return this.#refuse(route, principal, address, tenant, 'REQUEST_SOURCE_REFUSED');
    // What is suspended or closed can be looked at; the provider's own work goes on.
    const isOpen =
      tenant.state === 'active' || request.method === 'GET' || (tenant.state === 'closed' && route.isForClosed === true);
    if (!isOpen && actsInTenant(principal, tenant))
      throw new Fault('REQUEST_CONFLICT', `The tenant is ${tenant.state}: nothing in it can be changed`);
    return { principal, token, tenant };
  }

  async #identify(request: FastifyRequest, address: string): Promise<{ principal: Principal; token: Token }> {
    if (this.#strangers.waitMs(address) > 0)
      throw new Fault('REQUEST_RATE_LIMITED', 'Too many requests with wrong secrets came from this address');
    const secret = bearerOf(request.headers.authorization);
    const authenticated = secret === undefined ? undefined : await this.#authenticator.authenticate(secret);
    if (authenticated !== undefined) return authenticated;
    if (secret !== undefined) this.#strangers.failed(address);
    throw new Fault('REQUEST_UNAUTHENTICATED', 'This needs a token, and none that counts was sent');
  }

  /** Who tries what they may not leaves a line in the audit. */
  async #refuse(
    route: Route,
    principal: Principal,
    source: string,
    tenant: Tenant | undefined,
    code: 'REQUEST_FORBIDDEN' | 'REQUEST_SOURCE_REFUSED',
  ): Promise<never> {
    await this.#catalog.transaction((tables) =>
      appendAudit(tables, {
        at: instantOf(this.#now()),
        ...(tenant === undefined ? {} : { tenantId: tenant.id }),
        actor: nameOf(principal),
        actorLabel: principal.label,
        source,
        action: route.action,
        outcome: 'denied',
        details: { code, route: route.name },
      }),
    );
    const what =
      code === 'REQUEST_FORBIDDEN'
        ? `"${route.action}" is not allowed to ${nameOf(principal)}`
        : `Requests from ${source} are not allowed here`;
    throw new Fault(code, what);
  }
}

/** Acts by a role in the tenant, not by one of the provider. */
function actsInTenant(principal: Principal, tenant: Tenant): boolean {
  return (
    (principal.kind === 'person' || principal.kind === 'token') && principal.grants.some(({ tenantId }) => tenantId === tenant.id)
  );
}

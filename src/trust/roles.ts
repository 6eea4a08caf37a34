// Who may do what: one table, and what is not in it nobody may. Five roles in a tenant; three of the provider that are separated, so that no
// action which changes or reveals anything is open to two of them: the system administrator makes tenants and rooms for them but gives
// nobody rights and reads no audit; the security administrator gives rights but runs nothing; the audit administrator only reads the audit.
// None of the three sees into a tenant.

import type { Grant, Principal, Role } from '../model/principal.ts';
import { PROVIDER_ROLES, TENANT_ROLES } from '../model/principal.ts';

const ALL_IN_TENANT = ['viewer', 'restorer', 'operator', 'owner', 'auditor'] as const;
const OPERATING = ['operator', 'owner'] as const;

export const ACTIONS = {
  // Of a tenant
  'tenant.read': [...ALL_IN_TENANT, ...PROVIDER_ROLES],
  'tenant.change-sources': ['owner'],
  'tenant.close': ['owner'],
  // Of a closed tenant, in which an owner decides: the provider may ask, and never does it alone.
  'tenant.erase': ['owner', 'system-admin'],
  'person.read': ['owner', 'auditor'],
  'person.change': ['owner'],
  'token.read': ['owner', 'auditor'],
  'token.change': ['owner'],
  'agent.read': ALL_IN_TENANT,
  'agent.enrol': OPERATING,
  'agent.revoke': OPERATING,
  'asset.read': ALL_IN_TENANT,
  'asset.change': OPERATING,
  'asset.retire': OPERATING,
  'policy.read': ALL_IN_TENANT,
  'policy.change': OPERATING,
  'plan.read': ALL_IN_TENANT,
  'plan.change': OPERATING,
  'plan.check': OPERATING,
  'drill.start': OPERATING,
  'evidence.read': ALL_IN_TENANT,
  'failover.read': ALL_IN_TENANT,
  'failover.request': OPERATING,
  'failover.decide': OPERATING,
  'run.read': ALL_IN_TENANT,
  'run.start': OPERATING,
  'run.cancel': OPERATING,
  'point.read': ALL_IN_TENANT,
  'point.tag': OPERATING,
  'point.hold': OPERATING,
  'point.release': OPERATING,
  'point.delete': OPERATING,
  'restore.request': ['restorer', 'owner'],
  'approval.read': ['restorer', 'operator', 'owner', 'auditor'],
  'approval.decide': ['owner'],
  'audit.read': ['owner', 'auditor'],
  'usage.read': ['operator', 'owner', 'auditor'],
  'event.read': ALL_IN_TENANT,
  'promise.read': ALL_IN_TENANT,
  // Of the provider
  'provider.tenant.list': PROVIDER_ROLES,
  'provider.tenant.create': ['system-admin'],
  'provider.tenant.change': ['system-admin'],
  'provider.policy.read': ['system-admin'],
  'provider.policy.change': ['system-admin'],
  'provider.metrics.read': ['system-admin'],
  'provider.usage.read': ['system-admin'],
  'provider.person.read': ['security-admin'],
  'provider.person.change': ['security-admin'],
  'provider.token.read': ['security-admin'],
  'provider.token.change': ['security-admin'],
  'provider.audit.read': ['audit-admin'],
} as const satisfies Readonly<Record<string, readonly Role[]>>;

export type Action = keyof typeof ACTIONS;

/** Only of who a tenant is; everybody who works for all of them has to know that. */
export const SHARED_BY_PROVIDERS: readonly Action[] = ['tenant.read', 'provider.tenant.list'];

/** 'hidden': the principal may not even know that the tenant exists. */
export type Verdict = 'allowed' | 'forbidden' | 'hidden';

/** `tenantId` absent: an action of the provider. */
export function judge(principal: Principal, action: Action, tenantId?: string): Verdict {
  const allowed: readonly Role[] = ACTIONS[action];
  const grants = grantsOf(principal);
  const here = grants.filter((grant) => isOfProvider(grant) || (tenantId !== undefined && isIn(tenantId, grant)));
  if (here.some(({ role }) => allowed.includes(role))) return 'allowed';
  return tenantId === undefined || here.length > 0 ? 'forbidden' : 'hidden';
}

export function isOfProvider({ role, tenantId }: Grant): boolean {
  return tenantId === undefined && (PROVIDER_ROLES as readonly Role[]).includes(role);
}

function isIn(tenant: string, { role, tenantId }: Grant): boolean {
  return tenantId === tenant && (TENANT_ROLES as readonly Role[]).includes(role);
}

/** The tenants in which a principal has a role. */
export function tenantsOf(principal: Principal): string[] {
  return [...new Set(grantsOf(principal).flatMap(({ tenantId }) => (tenantId === undefined ? [] : [tenantId])))];
}

/** What is wrong with a set of grants, or undefined. */
export function faultOfGrants(grants: readonly Grant[]): string | undefined {
  const ofProvider = new Set(
    grants.filter(({ role }) => (PROVIDER_ROLES as readonly Role[]).includes(role)).map(({ role }) => role),
  );
  if (ofProvider.size > 1) return 'the three administrators of the provider are separated: at most one of these roles';
  for (const grant of grants) {
    const isProvider = (PROVIDER_ROLES as readonly Role[]).includes(grant.role);
    if (isProvider && grant.tenantId !== undefined) return `the role ${grant.role} is of the provider, not of a tenant`;
    if (!isProvider && grant.tenantId === undefined) return `the role ${grant.role} needs the tenant that it is for`;
  }
  return undefined;
}

/** "person:per_...": as the audit and requests name a principal. */
export function nameOf(principal: Principal): string {
  return principal.kind === 'system' ? 'system' : `${principal.kind}:${principal.id}`;
}

function grantsOf(principal: Principal): readonly Grant[] {
  // Agents have a protocol of their own and no business here; the system itself never comes from outside.
  return principal.kind === 'person' || principal.kind === 'token' ? principal.grants : [];
}

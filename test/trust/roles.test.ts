import { describe, expect, it } from 'vitest';
import type { Grant, Principal, Role } from '../../src/model/principal.ts';
import { PROVIDER_ROLES, TENANT_ROLES } from '../../src/model/principal.ts';
import { ACTIONS, type Action, faultOfGrants, judge, SHARED_BY_PROVIDERS } from '../../src/trust/roles.ts';

const A = 'ten_0000000000000000000000000a';
const B = 'ten_0000000000000000000000000b';
const actions = Object.keys(ACTIONS) as Action[];
const token = (...grants: Grant[]): Principal => ({ kind: 'token', id: 'tok_1', label: 'a token', grants });

/** Who may what, written down a second time: whoever changes the table has to mean it. */
const MATRIX: Readonly<Record<Role, readonly string[]>> = {
  viewer: [
    'tenant.read',
    'agent.read',
    'asset.read',
    'policy.read',
    'plan.read',
    'evidence.read',
    'failover.read',
    'run.read',
    'point.read',
    'event.read',
    'promise.read',
  ],
  restorer: [
    'tenant.read',
    'agent.read',
    'asset.read',
    'policy.read',
    'plan.read',
    'evidence.read',
    'failover.read',
    'run.read',
    'point.read',
    'restore.request',
    'approval.read',
    'event.read',
    'promise.read',
  ],
  operator: [
    'tenant.read',
    'agent.read',
    'agent.enrol',
    'agent.revoke',
    'asset.read',
    'asset.change',
    'asset.retire',
    'policy.read',
    'policy.change',
    'plan.read',
    'evidence.read',
    'failover.read',
    'plan.change',
    'plan.check',
    'drill.start',
    'failover.request',
    'failover.decide',
    'run.read',
    'run.start',
    'run.cancel',
    'point.read',
    'point.tag',
    'point.hold',
    'point.release',
    'point.delete',
    'approval.read',
    'usage.read',
    'event.read',
    'promise.read',
  ],
  owner: actions.filter((action) => !action.startsWith('provider.')),
  auditor: [
    'tenant.read',
    'person.read',
    'token.read',
    'agent.read',
    'asset.read',
    'policy.read',
    'plan.read',
    'evidence.read',
    'failover.read',
    'run.read',
    'point.read',
    'approval.read',
    'audit.read',
    'usage.read',
    'event.read',
    'promise.read',
  ],
  'system-admin': [
    'tenant.read',
    'tenant.erase',
    'provider.tenant.list',
    'provider.tenant.create',
    'provider.tenant.change',
    'provider.policy.read',
    'provider.policy.change',
    'provider.metrics.read',
    'provider.usage.read',
  ],
  'security-admin': [
    'tenant.read',
    'provider.tenant.list',
    'provider.person.read',
    'provider.person.change',
    'provider.token.read',
    'provider.token.change',
  ],
  'audit-admin': ['tenant.read', 'provider.tenant.list', 'provider.audit.read'],
};

describe.each([...TENANT_ROLES, ...PROVIDER_ROLES])('the role %s', (role) => {
  const isProvider = (PROVIDER_ROLES as readonly Role[]).includes(role);
  const principal = token(isProvider ? { role } : { role, tenantId: A });

  it.each(actions)('may %s, or may not, as it is written down', (action) => {
    const tenantId = action.startsWith('provider.') ? undefined : A;
    expect(judge(principal, action, tenantId) === 'allowed').toBe(MATRIX[role].includes(action));
  });

  it('does not even see another tenant, unless it is of the provider', () => {
    for (const action of actions) {
      if (action.startsWith('provider.')) continue;
      const verdict = judge(principal, action, B);
      if (isProvider) expect(verdict).toBe(MATRIX[role].includes(action) ? 'allowed' : 'forbidden');
      else expect(verdict).toBe('hidden');
    }
  });
});

describe('deny by default', () => {
  it('holds for who has no role', () => {
    for (const action of actions) {
      expect(judge(token(), action)).toBe('forbidden');
      expect(judge(token(), action, A)).toBe('hidden');
    }
  });

  it('holds for agents and for the system itself: they do not come this way', () => {
    const others: Principal[] = [
      { kind: 'agent', id: 'agt_1', label: 'an agent', tenantId: A },
      { kind: 'system', id: 'system', label: 'system' },
    ];
    for (const principal of others) for (const action of actions) expect(judge(principal, action, A)).toBe('hidden');
  });

  it('does not take a tenant role without its tenant, nor a role of the provider within one', () => {
    expect(judge(token({ role: 'owner' }), 'asset.change', A)).toBe('hidden');
    expect(judge(token({ role: 'system-admin', tenantId: A }), 'provider.tenant.create')).toBe('forbidden');
    expect(judge(token({ role: 'system-admin', tenantId: A }), 'provider.tenant.create', A)).toBe('hidden');
  });
});

describe('the three administrators', () => {
  it('share nothing but knowing which tenants there are', () => {
    for (const action of actions) {
      const able = PROVIDER_ROLES.filter((role) => (ACTIONS[action] as readonly Role[]).includes(role));
      expect(able.length, action).toBeLessThanOrEqual(SHARED_BY_PROVIDERS.includes(action) ? 3 : 1);
    }
  });

  it('cannot be one person', () => {
    expect(faultOfGrants([{ role: 'system-admin' }, { role: 'audit-admin' }])).toContain('separated');
    expect(faultOfGrants([{ role: 'security-admin' }, { role: 'owner', tenantId: A }])).toBeUndefined();
    expect(faultOfGrants([{ role: 'security-admin', tenantId: A }])).toContain('of the provider');
    expect(faultOfGrants([{ role: 'viewer' }])).toContain('needs the tenant');
  });
});

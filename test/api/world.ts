// Two tenants with one of everything each, so that every route can be asked for either's.

import { createHash, randomBytes } from 'node:crypto';
import { stringify } from 'yaml';
import { newId } from '../../src/model/identifier.ts';
import { TENANT_ROLES } from '../../src/model/principal.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { packText } from '../support/evidence.ts';
import { portalPlan } from '../support/portal-plan.ts';
import type { ServiceUnderTest } from './service-under-test.ts';

/** A value for every name that stands in paths. */
export type Things = Readonly<Record<string, string>> & { readonly tenant: string };

export const POLICY_TEXT = (name: string): string => `name: ${name}
# A comment that stays.
objectives:
  rpo: 24h
schedule:
  - cron: "0 3 * * *"
    timeZone: UTC
retention:
  daily: 7
`;

export async function populate(service: ServiceUnderTest, tenant: Tenant): Promise<Things> {
  const { catalog, clock } = service;
  const at = clock.toISOString();
  const agent = await service.addAgent(tenant, `host-of-${tenant.name}`);
  const asset = await service.addAsset(tenant, agent, `${tenant.name}/etc`);
  const policy = `policy-of-${tenant.name}`;
  const person = await service.addPerson(`somebody@${tenant.name}`, 'a long secret of somebody', {
    role: 'viewer',
    tenantId: tenant.id,
  });
  const token = newId('token', clock, randomBytes);
  await catalog.tokens.add(
    {
      id: token,
      label: `token of ${tenant.name}`,
      grants: [{ role: 'viewer', tenantId: tenant.id }],
      createdBy: 'system',
      createdAt: at,
    },
    randomBytes(32).toString('hex'),
  );
  await catalog.policies.add({
    id: newId('policy', clock, randomBytes),
    tenantId: tenant.id,
    name: policy,
    level: 'asset',
    text: POLICY_TEXT(policy),
    version: 1,
    changedAt: at,
    changedBy: 'system',
  });
  const plan = `plan-of-${tenant.name}`;
  await catalog.plans.put(
    {
      tenantId: tenant.id,
      name: plan,
      version: 1,
      text: stringify({ ...portalPlan({ name: 'orders', command: ['/bin/true'], limit: '30s' }), name: plan }),
      digest: '0'.repeat(64),
      changedAt: at,
      changedBy: 'system',
    },
    undefined,
  );
  const run = newId('run', clock, randomBytes);
  await catalog.runs.add(
    {
      id: run,
      tenantId: tenant.id,
      assetId: asset,
      agentId: agent,
      kind: 'backup',
      key: `first ${run}`,
      // Nothing that anybody asks for is the same.
      parameters: { of: 'world' },
      priority: 50,
      dueAt: at,
      notBefore: at,
      attemptsMax: 3,
      requestedBy: 'scheduler',
    },
    at,
  );
  const snapshot = createHash('sha256').update(tenant.id).digest('hex').slice(0, 20);
  await catalog.recoveryPoints.put({
    snapshot,
    tenantId: tenant.id,
    assetId: asset,
    assetName: `${tenant.name}/etc`,
    startedAt: at,
    endedAt: at,
    bytesScanned: 10,
    bytesStored: 5,
    hasWarnings: false,
    tags: [],
    isHeld: false,
    isSound: true,
  });
  const evidence = `drl_of_${tenant.name.replaceAll('-', '_')}`;
  const pack = Buffer.from(packText());
  await catalog.evidence.add(
    {
      id: evidence,
      tenantId: tenant.id,
      plan,
      planVersion: 1,
      planDigest: '0'.repeat(64),
      kind: 'drill',
      outcome: 'succeeded',
      createdAt: at,
      receivedAt: at,
      runId: run,
      agentId: agent,
      keyId: '0123456789abcdef',
      publicKey: randomBytes(32).toString('base64url'),
      levels: [],
      files: [{ name: 'pack.json', bytes: pack.length }],
    },
    [{ name: 'pack.json', content: pack }],
  );
  const approval = newId('approval', clock, randomBytes);
  await catalog.approvals.add({
    id: approval,
    tenantId: tenant.id,
    action: 'hold.release',
    request: { snapshot },
    reason: 'no longer needed',
    requestedBy: 'token:elsewhere',
    requestedAt: at,
    expiresAt: new Date(clock.getTime() + 3_600_000).toISOString(),
    state: 'pending',
  });
  const failover = newId('failover', clock, randomBytes);
  await catalog.failovers.add({
    id: failover,
    tenantId: tenant.id,
    plan,
    planVersion: 1,
    planDigest: '0'.repeat(64),
    kind: 'planned',
    reason: 'works',
    agentId: agent,
    requestedBy: 'token:elsewhere',
    requestedAt: at,
    approvalId: approval,
    approvers: [],
    state: 'waiting',
  });
  await catalog.events.add(
    { tenantId: tenant.id, kind: 'run.failed', severity: 'warning', message: `something of ${tenant.name}` },
    at,
  );
  return { tenant: tenant.id, agent, asset, policy, plan, evidence, failover, person, token, run, snapshot, approval };
}

/** Ids that look right and are of nothing. */
export function nothings(service: ServiceUnderTest): Things {
  const { clock } = service;
  const id = (kind: 'tenant' | 'agent' | 'asset' | 'person' | 'token' | 'run' | 'approval' | 'failover'): string =>
    newId(kind, clock, randomBytes);
  return {
    tenant: id('tenant'),
    agent: id('agent'),
    asset: id('asset'),
    policy: 'policy-of-nobody',
    plan: 'plan-of-nobody',
    evidence: 'drl_of_nobody',
    failover: id('failover'),
    person: id('person'),
    token: id('token'),
    run: id('run'),
    snapshot: '0123456789abcdef0123',
    approval: id('approval'),
  };
}

export function everyRole(tenant: Tenant): { role: (typeof TENANT_ROLES)[number]; tenantId: string }[] {
  return TENANT_ROLES.map((role) => ({ role, tenantId: tenant.id }));
}

// Things for tests that need a catalogue with something in it. Every call makes another.

import type { Catalog, NewRun } from '../../src/catalog/catalog.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { Asset } from '../../src/model/asset.ts';
import type { AuditEntry } from '../../src/model/audit-entry.ts';
import { type IdKind, newId } from '../../src/model/identifier.ts';
import { type Instant, instantOf } from '../../src/model/instant.ts';
import type { RecoveryPoint } from '../../src/model/recovery-point.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { auditEntries } from '../../src/trust/audit-checkpoint.ts';
import { seededRandom } from './seeded-random.ts';

export const START = new Date('2026-11-21T08:00:00.000Z');

/** Seconds after START. */
export function moment(seconds: number): Instant {
  return instantOf(new Date(START.getTime() + seconds * 1000));
}

export type Things = {
  id(kind: IdKind): string;
  random(bytes: number): Uint8Array;
  tenant(more?: Partial<Tenant>): Tenant;
  agent(tenantId: string, more?: Partial<Agent>): Agent;
  asset(tenantId: string, agentId: string, more?: Partial<Asset>): Asset;
  run(tenantId: string, more?: Partial<NewRun>): NewRun;
  point(tenantId: string, more?: Partial<RecoveryPoint>): RecoveryPoint;
  /** A tenant with an agent and an asset, in the catalogue. */
  seed(catalog: Catalog): Promise<{ readonly tenant: Tenant; readonly agent: Agent; readonly asset: Asset }>;
};

export function catalogThings(seed = 1): Things {
  const chance = seededRandom(seed);
  let count = 0;
  const random = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => chance() * 256);
  // Ids in the order of their making.
  const id = (kind: IdKind): string => newId(kind, new Date(START.getTime() + count++), random);
  const things: Things = {
    id,
    random,
    tenant: (more) => {
      const made = id('tenant');
      const name = `tenant-${count}-${seed}`;
      const quota = { storedBytesMax: 10 };
      return {
        id: made,
        name,
        label: 'A bureau',
        quota,
        allowedSources: ['10.0.0.0/8'],
        state: 'active',
        createdAt: moment(0),
        version: 1,
        ...more,
      };
    },
    agent: (tenantId, more) => {
      const host = { hostname: 'host', platform: 'linux', version: '0.1.0', cpus: 2, memoryBytes: 1024 };
      const publicKey = Buffer.from(random(32)).toString('base64url');
      return { id: id('agent'), tenantId, label: 'An agent', publicKey, host, state: 'active', enrolledAt: moment(0), ...more };
    },
    asset: (tenantId, agentId, more) => {
      const made = id('asset');
      const source = { kind: 'files' as const, paths: ['/etc'] };
      return {
        id: made,
        tenantId,
        agentId,
        name: `host/asset-${count}`,
        source,
        state: 'active',
        createdAt: moment(0),
        version: 1,
        ...more,
      };
    },
    run: (tenantId, more) => {
      const made = id('run');
      const times = { dueAt: moment(0), notBefore: moment(0) };
      return {
        id: made,
        tenantId,
        kind: 'backup',
        key: `key-${made}`,
        parameters: { a: [1] },
        priority: 50,
        ...times,
        attemptsMax: 3,
        requestedBy: 'system',
        ...more,
      };
    },
    point: (tenantId, more) => {
      const snapshot = Buffer.from(random(10)).toString('hex');
      const times = { startedAt: moment(0), endedAt: moment(5) };
      return {
        snapshot,
        tenantId,
        assetName: 'host/asset',
        ...times,
        bytesScanned: 2 ** 40,
        bytesStored: 7,
        hasWarnings: false,
        tags: ['a'],
        isHeld: false,
        isSound: true,
        ...more,
      };
    },
    seed: async (catalog) => {
      const tenant = things.tenant();
      const agent = things.agent(tenant.id);
      const asset = things.asset(tenant.id, agent.id);
      await catalog.tenants.add(tenant);
      await catalog.agents.add(agent);
      await catalog.assets.add(asset);
      return { tenant, agent, asset };
    },
  };
  return things;
}

export async function auditOf(catalog: Catalog): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for await (const entry of auditEntries(catalog)) entries.push(entry);
  return entries;
}

// A control plane for tests, small but real: the SQLite catalogue in a directory and the routes of agents on a port of the loopback.

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type FastifyInstance, fastify } from 'fastify';
import { pino } from 'pino';
import type { Catalog, NewRun } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { type AgentRoutesOptions, agentRoutes } from '../../src/gateway/agent-routes.ts';
import { AgentWaker } from '../../src/gateway/agent-waker.ts';
import { sessionRoutes } from '../../src/gateway/session-routes.ts';
import type { Asset, AssetSource } from '../../src/model/asset.ts';
import { newId } from '../../src/model/identifier.ts';
import type { Run } from '../../src/model/run.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { openStore } from '../../src/store/open.ts';
import { TenantRepositories } from '../../src/tenants/tenant-repositories.ts';
import { processFacts } from './repository.ts';

export type ControlPlaneOptions = {
  readonly directory: string;
  readonly now?: () => Date;
  readonly routes?: Partial<AgentRoutesOptions>;
  /** With a repository of the tenant, and the routes of sessions. */
  readonly hasData?: boolean;
  /** Sees every request. */
  readonly onRequest?: (path: string) => void;
  readonly tenant?: Partial<Tenant>;
};

export type ControlPlane = {
  readonly url: string;
  readonly catalog: Catalog;
  readonly waker: AgentWaker;
  readonly tenant: Tenant;
  /** Runs whose end was told, as the callback saw them. */
  readonly ended: Run[];
  token: (lifeMs?: number) => Promise<string>;
  asset: (agentId: string, source: AssetSource) => Promise<Asset>;
  /** Queues a run and wakes its agent. */
  queue: (run: Partial<NewRun> & { readonly agentId: string }) => Promise<Run>;
  run: (id: string) => Promise<Run>;
  /** Resolves when the run is in one of the states. Leases that ran out are given up meanwhile. */
  runIs: (id: string, ...states: readonly Run['state'][]) => Promise<Run>;
  stop: () => Promise<void>;
};

const random = (bytes: number): Uint8Array => randomBytes(bytes);

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { directory, now = () => new Date() } = options;
  mkdirSync(directory, { recursive: true });
  const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random });
  const tenant = await someTenant(catalog, now(), options.tenant);
  const waker = new AgentWaker();
  const log = pino({ level: 'silent' });
  const ended: Run[] = [];
  const onRunEnded = async (_: unknown, run: Run): Promise<void> => void ended.push(run);
  const tenants = options.hasData === true ? await repositories(catalog, tenant, directory) : undefined;
  const app: FastifyInstance = fastify({ forceCloseConnections: true });
  app.addHook('onRequest', async ({ url }) => options.onRequest?.(url));
  await app.register(async (scope) => {
    await scope.register(agentRoutes({ catalog, now, random, log, wake: waker, onRunEnded, ...options.routes }));
    if (tenants !== undefined) await scope.register(sessionRoutes({ catalog, tenants, now, random, log, onRunEnded }));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const run = async (id: string): Promise<Run> => (await catalog.runs.get(tenant.id, id))!;
  return {
    url,
    catalog,
    waker,
    tenant,
    ended,
    run,
    token: async (lifeMs = 60_000) => {
      const secret = `hf_${randomBytes(32).toString('base64url')}`;
      const id = newId('enrolment', now(), random);
      const expiresAt = new Date(now().getTime() + lifeMs).toISOString();
      const enrolment = { id, tenantId: tenant.id, label: 'a host', expiresAt, createdBy: 'person:test' };
      await catalog.tokens.addEnrolment(enrolment, createHash('sha256').update(secret).digest('hex'));
      return secret;
    },
    asset: async (agentId, source) => {
      const id = newId('asset', now(), random);
      const asset: Asset = {
        id,
        tenantId: tenant.id,
        agentId,
        name: `host/${id.slice(-6)}`,
        source,
        state: 'active',
        createdAt: now().toISOString(),
        version: 1,
      };
      await catalog.assets.add(asset);
      return asset;
    },
    queue: async (details) => {
      const id = newId('run', now(), random);
      const at = now().toISOString();
      const base = { id, tenantId: tenant.id, kind: 'backup' as const, key: id, parameters: {}, priority: 50 };
      const run: NewRun = { ...base, dueAt: at, notBefore: at, attemptsMax: 3, requestedBy: 'person:test', ...details };
      const added = await catalog.runs.add(run, at);
      waker.wake(details.agentId);
      return added.run;
    },
    runIs: async (id, ...states) => {
      for (;;) {
        const at = now().toISOString();
        await catalog.runs.expire(at, at, 100);
        const current = await run(id);
        if (states.includes(current.state)) return current;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: async () => {
      await app.close();
      await tenants?.close();
      await catalog.close();
    },
  };
}

async function repositories(catalog: Catalog, tenant: Tenant, directory: string): Promise<TenantRepositories> {
  const tenants = repositoriesBelow(directory, catalog, random);
  await tenants.create(tenant);
  return tenants;
}

/** Of all tenants, in directories. */
export function repositoriesBelow(directory: string, catalog: Catalog, bytes: (count: number) => Uint8Array): TenantRepositories {
  return new TenantRepositories({
    catalog,
    home: directory,
    baseLocation: join(directory, 'repositories'),
    secretsDirectory: join(directory, 'secrets'),
    cacheDirectory: join(directory, 'cache'),
    environment: {},
    openStore: (location, create) => openStore(location, { create }),
    process: processFacts(),
    random: bytes,
  });
}

async function someTenant(catalog: Catalog, at: Date, details: Partial<Tenant> = {}): Promise<Tenant> {
  const known = await catalog.tenants.byName(details.name ?? 'bureau');
  if (known !== undefined) return known;
  const tenant: Tenant = {
    id: newId('tenant', at, random),
    name: 'bureau',
    label: 'A bureau',
    quota: {},
    allowedSources: [],
    state: 'active',
    createdAt: at.toISOString(),
    version: 1,
    ...details,
  };
  await catalog.tenants.add(tenant);
  return tenant;
}

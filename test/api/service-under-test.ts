// The real API over a real catalogue in a scratch directory, spoken to as from outside.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { type ApiOptions, buildApi } from '../../src/api/app.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { newId } from '../../src/model/identifier.ts';
import type { Grant, Role } from '../../src/model/principal.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { hashPassword } from '../../src/trust/password.ts';
import { expiryOf, newSecret } from '../../src/trust/tokens.ts';

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came over the line
  readonly json: any;
};
export type Asking = {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
};

export class ServiceUnderTest {
  readonly app: FastifyInstance;
  readonly catalog: Catalog;
  readonly woken: (string | undefined)[] = [];
  readonly repositories: string[] = [];
  readonly logged: string[] = [];
  /** Moved by tests. */
  clock = new Date('2026-11-21T08:00:00.000Z');

  private constructor(app: FastifyInstance, catalog: Catalog) {
    this.app = app;
    this.catalog = catalog;
  }

  static async start(options: Partial<ApiOptions> = {}): Promise<ServiceUnderTest> {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-api-'));
    const parts: { service?: ServiceUnderTest } = {};
    const now = (): Date => parts.service?.clock ?? new Date('2026-11-21T08:00:00.000Z');
    const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random: randomBytes });
    const logged: string[] = [];
    const app = await buildApi({
      catalog,
      now,
      random: randomBytes,
      log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) }),
      wake: (agentId) => void parts.service?.woken.push(agentId),
      tenants: { create: async ({ name }) => void parts.service?.repositories.push(name) },
      logs: {
        of: async () => ({ readAt: 0, incarnation: undefined, timeline: 1, intervals: [], gaps: [], isAnchored: false, end: 0 }),
        plan: async () => ({ kind: 'refused', reason: 'no log of it is stored yet' }),
      },
      ...options,
    });
    const service = (parts.service = new ServiceUnderTest(app, catalog));
    Object.assign(service, { logged });
    service.#close = async () => {
      await app.close();
      await catalog.close();
      rmSync(directory, { recursive: true });
    };
    return service;
  }

  #close: () => Promise<void> = async () => {};

  close(): Promise<void> {
    return this.#close();
  }

  async ask(method: string, url: string, { token, body, headers = {}, from }: Asking = {}): Promise<Reply> {
    const answer = await this.app.inject({
      method: method as 'GET',
      url,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { payload: body as string | object }),
      ...(from === undefined ? {} : { remoteAddress: from }),
    });
    let json: unknown;
    try {
      json = JSON.parse(answer.body);
    } catch {
      // Not JSON: the test looks at the text.
    }
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, json };
  }

  async addTenant(name: string, more: Partial<Tenant> = {}): Promise<Tenant> {
    const tenant: Tenant = {
      id: newId('tenant', this.clock, randomBytes),
      name,
      label: name,
      quota: {},
      allowedSources: [],
      state: 'active',
      createdAt: this.clock.toISOString(),
      version: 1,
      ...more,
    };
    await this.catalog.tenants.add(tenant);
    return tenant;
  }

  async addToken(...grants: Grant[]): Promise<string> {
    const { secret, digest } = newSecret(randomBytes);
    const id = newId('token', this.clock, randomBytes);
    await this.catalog.tokens.add(
      { id, label: 'test', grants, createdBy: 'system', createdAt: this.clock.toISOString(), expiresAt: expiryOf(this.clock, 30) },
      digest,
    );
    return secret;
  }

  tokenFor(tenant: Tenant, role: Role): Promise<string> {
    return this.addToken({ role, tenantId: tenant.id });
  }

  async addPerson(login: string, password: string, ...grants: Grant[]): Promise<string> {
    const id = newId('person', this.clock, randomBytes);
    await this.catalog.people.add(
      { id, login, label: login, grants, state: 'active', hasTotp: false, createdAt: this.clock.toISOString(), version: 1 },
      { passwordHash: await hashPassword(password, randomBytes) },
    );
    return id;
  }

  /** A person with a session; answers its secret. */
  async sessionOf(login: string, ...grants: Grant[]): Promise<string> {
    const password = `a long secret ${randomBytes(6).toString('hex')}`;
    await this.addPerson(login, password, ...grants);
    const { status, json } = await this.ask('POST', '/v1/login', { body: { login, password } });
    if (status !== 200) throw new Error(`login failed: ${JSON.stringify(json)}`);
    return json.secret;
  }

  async addAgent(tenant: Tenant, label = 'host', hostname = label): Promise<string> {
    const id = newId('agent', this.clock, randomBytes);
    await this.catalog.agents.add({
      id,
      tenantId: tenant.id,
      label,
      publicKey: randomBytes(32).toString('base64url'),
      host: { hostname, platform: 'linux', version: '0.1.0', cpus: 2, memoryBytes: 1024 },
      state: 'active',
      enrolledAt: this.clock.toISOString(),
    });
    return id;
  }

  async addAsset(tenant: Tenant, agentId: string, name = 'web1/etc'): Promise<string> {
    const id = newId('asset', this.clock, randomBytes);
    await this.catalog.assets.add({
      id,
      tenantId: tenant.id,
      agentId,
      name,
      source: { kind: 'files', paths: ['/etc'] },
      state: 'active',
      createdAt: this.clock.toISOString(),
      version: 1,
    });
    return id;
  }
}

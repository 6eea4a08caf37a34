// A catalogue on disk with a tenant, an agent and assets, a clock that a test sets, and a scheduler's parts over them.

import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { Asset } from '../../src/model/asset.ts';
import type { Event } from '../../src/model/event.ts';
import { instantOf } from '../../src/model/instant.ts';
import type { Run } from '../../src/model/run.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { Scheduler, type SchedulerOptions } from '../../src/scheduler/scheduler.ts';
import { catalogThings, type Things } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';

export const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

/** A log whose errors fail the test that made it. */
export function strictLog(): { readonly log: SchedulerOptions['log']; readonly errors: unknown[] } {
  const errors: unknown[] = [];
  const log = { ...SILENT, error: (...what: unknown[]) => void errors.push(what) };
  onTestFinished(() => {
    if (errors.length > 0) throw new Error(`The scheduler logged errors: ${JSON.stringify(errors, errorText)}`);
  });
  return { log: log as SchedulerOptions['log'], errors };
}

function errorText(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.stack : value;
}

export class TestClock {
  ms: number;
  steadyMs = 0;
  constructor(at: string) {
    this.ms = Date.parse(at);
  }
  readonly now = (): Date => new Date(this.ms);
  readonly monotonic = (): number => this.steadyMs;
  /** Time passes. */
  pass(ms: number): void {
    this.ms += ms;
    this.steadyMs += ms;
  }
  /** Somebody sets the clock: no time passes. */
  jump(ms: number): void {
    this.ms += ms;
  }
}

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export type Scene = {
  readonly directory: string;
  readonly catalogPath: string;
  readonly catalog: Catalog;
  readonly clock: TestClock;
  readonly things: Things;
  readonly tenant: Tenant;
  readonly agent: Agent;
  readonly asset: Asset;
};

export async function newScene(policyText: string | undefined, at = '2026-11-21T08:00:00.000Z'): Promise<Scene> {
  const directory = scratchDirectory();
  const clock = new TestClock(at);
  const catalogPath = join(directory, 'catalog.sqlite');
  const things = catalogThings();
  const catalog = await openSqliteCatalog({ path: catalogPath, now: clock.now, random: things.random });
  onTestFinished(() => catalog.close());
  const tenant = things.tenant({ createdAt: at });
  const agent = things.agent(tenant.id, { enrolledAt: at });
  await catalog.tenants.add(tenant);
  await catalog.agents.add(agent);
  if (policyText !== undefined) await addTenantPolicy(catalog, things, tenant, policyText, at);
  const asset = things.asset(tenant.id, agent.id, { createdAt: at });
  await catalog.assets.add(asset);
  return { directory, catalogPath, catalog, clock, things, tenant, agent, asset };
}

export async function addTenantPolicy(catalog: Catalog, things: Things, tenant: Tenant, text: string, at: string): Promise<void> {
  await catalog.policies.add({
    id: things.id('policy'),
    tenantId: tenant.id,
    name: 'plan',
    level: 'tenant',
    scope: tenant.id,
    text,
    version: 1,
    changedAt: at,
    changedBy: 'test',
  });
}

export function newScheduler(scene: Scene, more: Partial<SchedulerOptions> = {}): Scheduler {
  const { directory, catalog, clock, things } = scene;
  return new Scheduler({
    catalog,
    tenants: {
      place: async () => {
        throw new Error('no repository in this test');
      },
      use: async () => {
        throw new Error('no repository in this test');
      },
      useStore: async () => {
        throw new Error('no repository in this test');
      },
      destroyPassphrase: async () => {
        throw new Error('no repository in this test');
      },
    },
    erasure: {
      certify: async () => {
        throw new Error('no erasure in this test');
      },
      program: 'test',
    },
    now: clock.now,
    monotonic: clock.monotonic,
    random: things.random,
    log: strictLog().log,
    name: 'service:test',
    program: { command: '/bin/false', environment: {} },
    service: { home: directory },
    readSecret: async () => 'secret',
    catalogTenant: async () => undefined,
    limits: { heavyMax: 0, lightMax: 0 },
    ...more,
  });
}

export async function runsOf(
  { catalog, tenant }: Scene,
  filter: Parameters<Catalog['runs']['list']>[1] = {},
): Promise<readonly Run[]> {
  const { items } = await catalog.runs.list(tenant.id, filter, { limit: 500 });
  return items.toReversed();
}

export async function eventsOf({ catalog }: Scene, kind?: string): Promise<readonly Event[]> {
  const events = await catalog.events.after(0, undefined, 1000);
  return events.filter((event) => kind === undefined || event.kind === kind);
}

/** As an agent: claims the best run and ends it. */
export async function workOff(
  scene: Scene,
  scheduler: Scheduler,
  end: Partial<Parameters<Catalog['runs']['end']>[3]> = {},
  now = scene.clock.now(),
): Promise<Run | undefined> {
  const { catalog, agent } = scene;
  const at = instantOf(now);
  const run = await catalog.runs.claim({
    by: `agent:${agent.id}`,
    kinds: ['backup', 'restore', 'restore-test'],
    agentId: agent.id,
    at,
    leaseMs: 60_000,
    perAgentMax: 10,
    perTenantMax: 10,
    totalMax: 10,
  });
  if (run === undefined) return undefined;
  return catalog.transaction(async (tables) => {
    const ended = await tables.runs.end(run.id, run.fence, at, { state: 'succeeded', ...end });
    if (ended === 'fenced') throw new Error('fenced');
    await scheduler.onRunEnded(tables, ended);
    return ended;
  });
}

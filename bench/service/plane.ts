// The process that is measured: the catalogue and the routes of agents, as in the service, and a queue that is fed at a steady rate. Told
// what to do by bench/service/agents.ts over the channel between them.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fastify } from 'fastify';
import { pino } from 'pino';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { agentRoutes } from '../../src/gateway/agent-routes.ts';
import { AgentWaker } from '../../src/gateway/agent-waker.ts';
import type { Agent } from '../../src/model/agent.ts';
import { newId } from '../../src/model/identifier.ts';

export type ToPlane =
  | { readonly kind: 'prepare'; readonly publicKeys: readonly string[] }
  | { readonly kind: 'begin'; readonly runsPerMinute: number }
  | { readonly kind: 'count' }
  | { readonly kind: 'end' };

export type PlaneFigures = {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  readonly heapBytes: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  readonly queued: number;
  readonly ended: number;
};

export type FromPlane =
  | { readonly kind: 'ready'; readonly url: string }
  | { readonly kind: 'prepared'; readonly agentIds: readonly string[] }
  | { readonly kind: 'figures'; readonly figures: PlaneFigures };

const random = (bytes: number): Uint8Array => randomBytes(bytes);
const now = (): Date => new Date();
const directory = process.argv[2]!;
const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random });
const waker = new AgentWaker();
let ended = 0;
let queued = 0;
const app = fastify({ forceCloseConnections: true });
await app.register(async (scope) => {
  const log = pino({ level: 'silent' });
  await scope.register(agentRoutes({ catalog, now, random, log, wake: waker, onRunEnded: async () => void ended++ }));
});
const url = await app.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
const delay = monitorEventLoopDelay({ resolution: 10 });
let agentIds: string[] = [];
let timer: NodeJS.Timeout | undefined;
let cpuAtBegin = process.cpuUsage();

async function prepare(publicKeys: readonly string[]): Promise<readonly string[]> {
  const at = now().toISOString();
  const tenantId = newId('tenant', now(), random);
  const allowedSources = ['127.0.0.0/8'];
  await catalog.tenants.add({
    id: tenantId,
    name: 'bench',
    label: 'b',
    quota: {},
    allowedSources,
    state: 'active',
    createdAt: at,
    version: 1,
  });
  const host = { hostname: 'h', platform: 'linux', version: '0', cpus: 2, memoryBytes: 1 };
  const agents = publicKeys.map((publicKey): Agent => {
    const id = newId('agent', now(), random);
    return { id, tenantId, label: 'a', publicKey, host, state: 'active', enrolledAt: at };
  });
  await Promise.all(agents.map((agent) => catalog.agents.add(agent)));
  await Promise.all(
    agents.map(({ id: agentId }) => {
      const id = newId('asset', now(), random);
      const source = { kind: 'files' as const, paths: ['/etc'] };
      return catalog.assets.add({ id, tenantId, agentId, name: `h/${id}`, source, state: 'active', createdAt: at, version: 1 });
    }),
  );
  assets = (await allAssets(tenantId)).map(({ id, agentId }) => ({ id, agentId }));
  tenant = tenantId;
  agentIds = agents.map(({ id }) => id);
  return agentIds;
}

let tenant = '';
let assets: { readonly id: string; readonly agentId: string }[] = [];

async function allAssets(tenantId: string): Promise<{ readonly id: string; readonly agentId: string }[]> {
  const all: { readonly id: string; readonly agentId: string }[] = [];
  for (let after: string | undefined; ; ) {
    const page = await catalog.assets.list(tenantId, { limit: 500, ...(after === undefined ? {} : { after }) });
    all.push(...page.items);
    if (page.next === undefined) return all;
    after = page.next;
  }
}

async function queueOne(): Promise<void> {
  // One after the other: of one asset one backup runs at a time, and a wait for that would be measured as ours.
  const asset = assets[(queued * 7919) % assets.length]!;
  queued++;
  const at = now().toISOString();
  const id = newId('run', now(), random);
  const base = {
    id,
    tenantId: tenant,
    assetId: asset.id,
    agentId: asset.agentId,
    kind: 'backup' as const,
    key: id,
    parameters: {},
  };
  await catalog.runs.add({ ...base, priority: 50, dueAt: at, notBefore: at, attemptsMax: 3, requestedBy: 'bench' }, at);
  waker.wake(asset.agentId);
}

function figures(): PlaneFigures {
  const { user, system } = process.cpuUsage(cpuAtBegin);
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  const { rss, heapUsed } = process.memoryUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    rssBytes: rss,
    peakRssBytes: Number(peak?.[1] ?? 0) * 1024,
    heapBytes: heapUsed,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
    loopDelayMaxMs: delay.max / 1e6,
    queued,
    ended,
  };
}

const say = (message: FromPlane): void => void process.send!(message);

process.on('message', async (message: ToPlane) => {
  if (message.kind === 'prepare') say({ kind: 'prepared', agentIds: await prepare(message.publicKeys) });
  else if (message.kind === 'begin') {
    cpuAtBegin = process.cpuUsage();
    delay.enable();
    timer = setInterval(() => void queueOne(), 60_000 / message.runsPerMinute);
  } else if (message.kind === 'count') say({ kind: 'figures', figures: figures() });
  else {
    clearInterval(timer);
    await app.close();
    await catalog.close();
    process.exit(0);
  }
});
process.once('disconnect', () => process.exit(1));
say({ kind: 'ready', url });

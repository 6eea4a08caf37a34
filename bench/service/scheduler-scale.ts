// What a scheduler costs with many assets: the first look, a minute in which a share of them is due, and the judgement of all promises.
//
//   bin/node bench/service/scheduler-scale.ts [assets] [points of each]

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { catalogThings } from '../../test/support/catalog-things.ts';

const [assets, points] = [Number(process.argv[2] ?? 10_000), Number(process.argv[3] ?? 48)];
const TENANTS = 50;
const MINUTE = 60_000;
const HALF_HOUR = 30 * MINUTE;
const POLICY = `name: plan
objectives: { rpo: 1h, proofAge: 8d }
recoveryWindow: 1d
schedule:
  - cron: "*/30 * * * *"
    jitter: 25m
retention: { within: 2d }
verify: { sampled: { every: 1d, share: 5% }, restoreTest: { every: 7d } }
`;

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
let nowMs = Date.parse('2026-11-21T08:10:00.000Z');
const now = (): Date => new Date(nowMs);
const things = catalogThings();
const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random: randomBytes });
try {
  await fill();
  const scheduler = new Scheduler({
    catalog,
    tenants: { place: never, use: never, useStore: never, destroyPassphrase: never },
    erasure: { certify: never, program: 'bench' },
    now,
    monotonic: () => nowMs,
    random: randomBytes,
    log: { info: () => {}, warn: () => {}, error: (what: unknown) => console.error(what) } as never,
    name: 'service:bench',
    program: { command: '/bin/false', environment: {} },
    service: { home: directory },
    readSecret: never,
    catalogTenant: async () => undefined,
    limits: { heavyMax: 0, lightMax: 0 },
  });
  await measure('first look: all assets planned and judged', () => scheduler.tick());
  await pass('a minute in which nothing is due', 1);
  await pass('a minute in which all assets are due', 20);
  await pass('a minute in which nothing is due', 1);
  console.log(`runs: ${JSON.stringify(await catalog.runs.counts())}`);
  console.log(`memory: ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`);

  async function pass(name: string, minutes: number): Promise<void> {
    nowMs += minutes * MINUTE;
    await measure(name, () => scheduler.tick());
  }
} finally {
  await catalog.close();
  rmSync(directory, { recursive: true });
}

async function fill(): Promise<void> {
  for (let t = 0; t < TENANTS; t++) {
    const tenant = things.tenant({ createdAt: now().toISOString() });
    const agent = things.agent(tenant.id);
    await catalog.tenants.add(tenant);
    await catalog.agents.add(agent);
    const at = now().toISOString();
    const policy = {
      id: things.id('policy'),
      tenantId: tenant.id,
      name: 'plan',
      level: 'tenant' as const,
      scope: tenant.id,
      text: POLICY,
    };
    await catalog.policies.add({ ...policy, version: 1, changedAt: at, changedBy: 'bench' });
    await catalog.transaction(async (tables) => {
      for (let a = 0; a < assets / TENANTS; a++) {
        const asset = things.asset(tenant.id, agent.id, { createdAt: new Date(nowMs - 40 * 86_400_000).toISOString() });
        await tables.assets.add(asset);
        for (let p = 0; p < points; p++) {
          const time = new Date(nowMs - p * HALF_HOUR).toISOString();
          const snapshot = randomBytes(10).toString('hex');
          const { provenAt: _, ...point } = things.point(tenant.id, {
            assetId: asset.id,
            snapshot,
            startedAt: time,
            endedAt: time,
          });
          await tables.recoveryPoints.put({ ...point, isSound: true });
        }
      }
    });
  }
}

async function measure(name: string, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  let longest = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    longest = Math.max(longest, performance.now() - last - 5);
    last = performance.now();
  }, 5);
  await work();
  clearInterval(watch);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `${name}: ${Math.round(performance.now() - begun)} ms, CPU ${Math.round((user + system) / 1000)} ms, event loop held ${Math.round(longest)} ms at most`,
  );
}

async function never(): Promise<never> {
  throw new Error('not in this bench');
}

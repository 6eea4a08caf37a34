// How fast the embedded catalogue is when it is full: 10,000 agents, 100,000 queued runs, and a history beside them.
//
//   bin/node bench/service/catalog.ts [--agents 10000] [--runs 100000] [--work DIR]

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Catalog, Claim } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { newId } from '../../src/model/identifier.ts';
import { RUN_KINDS } from '../../src/model/run-kind.ts';
import { appendAudit } from '../../src/trust/audit-chain.ts';

const TENANTS = 100;
const AT = '2026-11-21T08:00:00.000Z';
const LATER = '2026-11-21T09:00:00.000Z';
const FAR = '2026-12-21T09:00:00.000Z';

const now = (): Date => new Date();
const id = (kind: Parameters<typeof newId>[0]): string => newId(kind, now(), randomBytes);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      agents: { type: 'string', default: '10000' },
      runs: { type: 'string', default: '100000' },
      work: { type: 'string', default: tmpdir() },
    },
  });
  const directory = mkdtempSync(join(values.work, 'holdfast-bench-catalog-'));
  try {
    const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random: randomBytes });
    const { tenants, agents } = await fill(catalog, Number(values.agents), Number(values.runs));
    await measure(catalog, tenants, agents, directory);
    await catalog.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function fill(catalog: Catalog, agentCount: number, runCount: number) {
  const tenants: string[] = [];
  const agents: { readonly id: string; readonly tenantId: string; readonly assetId: string }[] = [];
  await catalog.transaction(async (tables) => {
    for (let n = 0; n < TENANTS; n++) {
      const tenant = { id: id('tenant'), name: `t${n}`, label: 't', quota: {}, allowedSources: [], createdAt: AT, version: 1 };
      await tables.tenants.add({ ...tenant, state: 'active' });
      tenants.push(tenant.id);
    }
    for (let n = 0; n < agentCount; n++) {
      const agent = { id: id('agent'), tenantId: tenants[n % TENANTS]!, assetId: id('asset') };
      const host = { hostname: `h${n}`, platform: 'linux', version: '1', cpus: 2, memoryBytes: 1 };
      const publicKey = randomBytes(32).toString('base64url');
      const { assetId, ...known } = agent;
      await tables.agents.add({ ...known, label: 'a', publicKey, host, state: 'active', enrolledAt: AT });
      const source = { kind: 'files' as const, paths: ['/etc'] };
      const asset = {
        id: assetId,
        tenantId: agent.tenantId,
        agentId: agent.id,
        name: `h${n}/etc`,
        source,
        createdAt: AT,
        version: 1,
      };
      await tables.assets.add({ ...asset, state: 'active' });
      agents.push(agent);
    }
  });
  for (let done = 0; done < runCount; done += 10_000) {
    await catalog.transaction(async (tables) => {
      for (let n = done; n < Math.min(runCount, done + 10_000); n++) {
        // The last thousandth belongs to the service, and of the agents every tenth has nothing.
        const agent = agents[n % agents.length]!;
        const isOfService = n % 1000 === 999;
        if (!isOfService && n % 10 === 0) continue;
        const times = { dueAt: AT, notBefore: n % 7 === 0 ? LATER : AT };
        const common = { id: id('run'), tenantId: agent.tenantId, parameters: {}, priority: n % 100, ...times, attemptsMax: 3 };
        const who = isOfService
          ? { kind: 'prune' as const }
          : { kind: 'backup' as const, agentId: agent.id, assetId: agent.assetId };
        await tables.runs.add({ ...common, ...who, key: `${n}`, requestedBy: 'system' }, AT);
      }
    });
  }
  return { tenants, agents };
}

async function measure(
  catalog: Catalog,
  tenants: readonly string[],
  agents: readonly { readonly id: string }[],
  directory: string,
): Promise<void> {
  const limits = { leaseMs: 60_000, perAgentMax: 2, perTenantMax: 1_000_000, totalMax: 1_000_000 };
  const claimOf = (agentId: string | undefined): Claim => ({
    by: 'bench',
    kinds: RUN_KINDS,
    at: AT,
    ...limits,
    ...(agentId === undefined ? {} : { agentId }),
  });
  const idle = agents.filter((_, n) => n % 10 === 0);
  const busy = agents.filter((_, n) => n % 10 !== 0);
  await timed('polls of agents that have nothing queued', 20_000, (n) => catalog.runs.claim(claimOf(idle[n % idle.length]!.id)));
  const held: { readonly id: string; readonly fence: number }[] = [];
  await timed('claims of agents, one after the other', 1000, async (n) => {
    const run = await catalog.runs.claim(claimOf(busy[n]!.id));
    if (run !== undefined) held.push(run);
  });
  await together('claims of agents, 200 at once', 2000, 200, async (n) => {
    const run = await catalog.runs.claim(claimOf(busy[1000 + n]!.id));
    if (run !== undefined) held.push(run);
  });
  await timed('claims of the service, one after the other', 50, () => catalog.runs.claim(claimOf(undefined)));
  await together('extensions of leases with progress, 200 at once', 5000, 200, (n) => {
    const run = held[n % held.length]!;
    return catalog.runs.extend(run.id, run.fence, AT, 60_000, { phase: 'reading', bytesDone: n, at: AT });
  });
  await together('ends, 200 at once', held.length, 200, (n) =>
    catalog.runs.end(held[n]!.id, held[n]!.fence, LATER, { state: 'succeeded' }),
  );
  await timed('signs of life', 20_000, (n) => catalog.agents.seen(agents[n % agents.length]!.id, LATER));
  const entry = { at: AT, actor: 'person:a', actorLabel: 'A', action: 'x', outcome: 'done' as const, details: {} };
  await timed('transactions with an entry in the audit, one after the other', 500, (n) =>
    catalog.transaction(async (tables) => {
      await tables.settings.set('n', `${n}`);
      await appendAudit(tables, entry);
    }),
  );
  await timed('pages of 100 runs', 200, (n) => catalog.runs.list(tenants[n % tenants.length]!, {}, { limit: 100 }));
  await timed('looking for runs to expire', 200, () => catalog.runs.expire(AT, AT, 100));
  await timed('counts for metrics', 2000, () => catalog.runs.counts());
  // The worst queue of the service: everything that is queued may not start yet.
  const fresh = tenants[0]!;
  await catalog.transaction(async (tables) => {
    for (let n = 0; n < 50_000; n++) {
      const run = {
        id: id('run'),
        tenantId: fresh,
        kind: 'verify' as const,
        key: `w${n}`,
        parameters: {},
        priority: 99,
        dueAt: AT,
      };
      await tables.runs.add({ ...run, notBefore: FAR, attemptsMax: 3, requestedBy: 'x' }, AT);
    }
  });
  await timed('polls of the service behind 50,000 that may not start yet', 50, () =>
    catalog.runs.claim({ ...claimOf(undefined), kinds: ['verify'] }),
  );
  await timed('backups of the catalogue', 1, () => catalog.backUpTo(join(directory, 'copy')));
}

async function timed(what: string, count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  const begin = performance.now();
  for (let n = 0; n < count; n++) await work(n);
  report(what, count, performance.now() - begin);
}

async function together(what: string, count: number, width: number, work: (n: number) => Promise<unknown>): Promise<void> {
  const begin = performance.now();
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, one));
  report(what, count, performance.now() - begin);
}

function report(what: string, count: number, durationMs: number): void {
  const each = (durationMs / count).toFixed(3);
  console.log(
    `${what.padEnd(62)} ${Math.round((count / durationMs) * 1000)
      .toString()
      .padStart(8)} /s ${each.padStart(9)} ms each`,
  );
}

await main();

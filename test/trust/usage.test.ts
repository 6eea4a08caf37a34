import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { meterUsage, spanOfMonth, usageCsv, usageOf } from '../../src/trust/usage.ts';
import { catalogThings, moment } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';

it('measures each tenant each day and adds up a month, as JSON and as CSV', async () => {
  const things = catalogThings();
  let now = new Date('2026-11-21T10:00:00.000Z');
  const catalog = await openSqliteCatalog({
    path: join(scratchDirectory(), 'catalog.sqlite'),
    now: () => now,
    random: things.random,
  });
  onTestFinished(() => catalog.close());
  const [a, b] = [await things.seed(catalog), await things.seed(catalog)];
  const second = things.asset(a.tenant.id, a.agent.id);
  await catalog.assets.add(second);
  const point = { assetId: a.asset.id, bytesScanned: 100 };
  await catalog.recoveryPoints.put(things.point(a.tenant.id, { ...point, bytesScanned: 7, startedAt: moment(0) }));
  await catalog.recoveryPoints.put(things.point(a.tenant.id, { ...point, startedAt: moment(1) }));
  await catalog.recoveryPoints.put(
    things.point(a.tenant.id, { ...point, startedAt: moment(2), isSound: false, bytesScanned: 999 }),
  );
  await catalog.recoveryPoints.put(things.point(a.tenant.id, { assetId: second.id, bytesScanned: 23 }));
  await catalog.runs.add(things.run(a.tenant.id), '2026-11-20T23:59:59.999Z');
  await catalog.runs.add(things.run(a.tenant.id), '2026-11-21T00:00:00.000Z');
  await catalog.usage.addEgress(a.tenant.id, '2026-11-21', 5);
  let stored: number | undefined = 60;
  const meter = () => meterUsage({ catalog, now: () => now, storedBytesOf: async ({ id }) => (id === a.tenant.id ? stored : 0) });
  await meter();
  stored = undefined;
  await meter();
  // After the last measure of the day: a drill with two hours before midnight and one after it, and one that never begins.
  const drill = { kind: 'drill', agentId: a.agent.id, dueAt: moment(0), notBefore: moment(0) } as const;
  for (const _ of [1, 2]) await catalog.runs.add(things.run(a.tenant.id, drill), '2026-11-21T21:59:00.000Z');
  const limits = { leaseMs: 1000, perAgentMax: 9, perTenantMax: 9, totalMax: 9 };
  const at = '2026-11-21T22:00:00.000Z';
  const claimed = await catalog.runs.claim({ by: 'agent', kinds: ['drill'], agentId: a.agent.id, at, ...limits });
  await catalog.runs.end(claimed!.id, 1, '2026-11-22T01:00:00.000Z', { state: 'succeeded' });
  now = new Date('2026-11-22T10:00:00.000Z');
  stored = 50;
  await meter();
  now = new Date('2026-12-01T00:00:00.000Z');
  await meter();
  const report = await usageOf(catalog, spanOfMonth('2026-11'));
  expect(report.tenants.map(({ tenant }) => tenant)).toEqual([a.tenant.name, b.tenant.name]);
  expect(report.tenants[0]).toEqual({
    tenantId: a.tenant.id,
    tenant: a.tenant.name,
    protectedByteDays: 246,
    storedByteDays: 110,
    protectedBytesMax: 123,
    storedBytesMax: 60,
    egressBytes: 5,
    runs: 3,
    drillSeconds: 3 * 3600,
    days: [
      { day: '2026-11-21', protectedBytes: 123, storedBytes: 60, egressBytes: 5, runs: 3, drillSeconds: 7200 },
      { day: '2026-11-22', protectedBytes: 123, storedBytes: 50, egressBytes: 0, runs: 0, drillSeconds: 3600 },
    ],
  });
  const ofOne = await usageOf(catalog, spanOfMonth('2026-11'), a.tenant.id);
  expect(ofOne.tenants).toEqual([report.tenants[0]]);
  expect(usageCsv(ofOne)).toBe(
    'tenantId,tenant,day,protectedBytes,storedBytes,egressBytes,runs,drillSeconds\r\n' +
      `${a.tenant.id},${a.tenant.name},2026-11-21,123,60,5,3,7200\r\n${a.tenant.id},${a.tenant.name},2026-11-22,123,50,0,0,3600\r\n`,
  );
  const odd = { ...report, tenants: [{ ...report.tenants[0]!, tenant: 'a "b", c' }] };
  expect(usageCsv(odd)).toContain(',"a ""b"", c",');
});

import { describe, expect, it } from 'vitest';
import { recoveryPointOf } from '../../src/model/recovery-point.ts';
import { LogWindows } from '../../src/scheduler/log-windows.ts';
import { ASSET, makeBase, newLogWriter, RECORD, timeAt, writeLog } from '../support/log-asset.ts';
import { withRepository } from './repository-scene.ts';

describe('The window of a database', () => {
  it('promises nothing from a base backup in which damage was found, and a restore begins there only where no other leads', async () => {
    const { catalog, tenants, tenant } = await withRepository('rpo: 1h');
    const asset = { id: 'asset', tenantId: tenant.id, name: ASSET };
    const [older, newer] = await tenants.use(tenant.id, async (repository) => {
      await writeLog(newLogWriter(repository), 20 * RECORD);
      return [await makeBase(repository, { start: 2 * RECORD }), await makeBase(repository, { start: 10 * RECORD })];
    });
    for (const base of [older, newer]) await catalog.recoveryPoints.put(recoveryPointOf(base, { tenantId: tenant.id }));
    const windows = () => new LogWindows({ catalog, tenants, now: () => new Date() });
    const begins = async (): Promise<number | undefined> => (await windows().of(asset)).intervals[0]?.from.time;
    const baseOf = async (record: number): Promise<string> => {
      const plan = await windows().plan(asset, { kind: 'time', time: timeAt(record * RECORD) });
      return plan.kind === 'plan' ? plan.base.snapshot : plan.reason;
    };
    expect(await begins()).toBe(timeAt(3 * RECORD));
    expect([await baseOf(5), await baseOf(15)]).toEqual([older.id, newer.id]);

    const damaged = async (snapshot: string): Promise<void> => {
      const point = await catalog.recoveryPoints.get(tenant.id, snapshot);
      await catalog.recoveryPoints.put({ ...point!, isSound: false });
    };
    await damaged(newer.id);
    expect([await baseOf(5), await baseOf(15)]).toEqual([older.id, older.id]);
    expect((await windows().of(asset)).isAnchored).toBe(true);
    await damaged(older.id);
    expect([await baseOf(5), await baseOf(15)]).toEqual([older.id, newer.id]);
    expect(await windows().of(asset)).toMatchObject({ intervals: [], isAnchored: false });
  });
});

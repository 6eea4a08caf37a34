// Ways back for a database through the service, beside a time: a place in the log, a transaction, a named point; over an older restore by
// comparison; on another host than it was captured on; and single tables or a database into the server that lives. Real PostgreSQL.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { hasClients, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { enrolAgentIn, startAgentIn, tenantBase } from '../support/postgres-agent.ts';
import { Served } from '../support/served.ts';

const programs = postgresPrograms();

type Window = { readonly intervals: readonly { readonly log?: { readonly to: string } }[] };
type Plan = { readonly target: string; readonly log?: { readonly requested: string } };

test.skipIf(programs === undefined)(
  'a database comes back to a place, a transaction, a named point, by comparison, on another host, and in parts into the living server',
  async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch, 'production', {});
    onTestFinished(() => server.stop('SIGQUIT'));
    await server.sql('CREATE TABLE ledger (n int)');
    const service = await Served.start(join(scratch, 'service'), { args: ['--no-local-agent'] });
    const base = await tenantBase(service);
    const agentId = await enrolAgentIn(service, scratch);
    startAgentIn(service, scratch);
    const source = { kind: 'postgres', connection: server.connectionString };
    const asset = await service.post<{ id: string }>(`${base}/assets`, { name: 'pg/orders', agentId, source, policy: 'gold' });
    const windowIs = (what: string, is: (window: Window) => boolean): Promise<Window> =>
      service.until(what, async () => {
        const window = await service.get<Window>(`${base}/assets/${asset.id}/recovery-window`);
        return is(window) ? window : undefined;
      });
    await windowIs('the first interval', ({ intervals }) => intervals.length > 0);

    const one = async (sql: string): Promise<string> => ((await server.sql(sql)) as [[string]])[0][0];
    await server.sql('INSERT INTO ledger VALUES (1)');
    const lsn = await one('SELECT pg_current_wal_insert_lsn()');
    const xid = Number(await one('INSERT INTO ledger VALUES (2) RETURNING pg_current_xact_id()'));
    await server.sql('INSERT INTO ledger VALUES (3)');
    await server.sql("SELECT pg_create_restore_point('before-release')");
    await server.sql('INSERT INTO ledger VALUES (4)');
    await server.sql('DROP TABLE ledger');
    const end = await one('SELECT pg_current_wal_flush_lsn()');
    await windowIs(`the log up to ${end}`, ({ intervals }) => numberOf(intervals.at(-1)?.log?.to) >= numberOf(end));

    const ended = (run: Run): Promise<Run> =>
      service.until(`the end of ${run.id}`, async () => {
        const now = await service.get<Run>(`${base}/runs/${run.id}`);
        return isOver(now.state) ? now : undefined;
      });
    const ask = async (order: object): Promise<{ readonly plan: Plan; readonly run: Run }> => {
      const { plan, run } = await service.post<{ plan: Plan; run: Run }>(`${base}/restores`, { assetId: asset.id, ...order });
      const over = await ended(run);
      expect(over, JSON.stringify(over.fault)).toMatchObject({ state: 'succeeded' });
      return { plan, run: over };
    };
    const target = join(scratch, 'restores', 'copy');
    /** The rows of the ledger there; the server is stopped again. */
    const rowsAt = async (order: object): Promise<readonly string[]> => {
      const { run } = await ask({ target, ...order });
      const { socketDirectory: host, port, user, processId } = run.result!['server'] as Address;
      const sql = await PgConnection.open({
        address: { host, port, user, password: undefined, database: 'postgres', tls: 'disable' },
      });
      try {
        return (await sql.query('SELECT n FROM ledger ORDER BY n')).rows.map(([n]) => n!);
      } finally {
        sql.close();
        process.kill(processId, 'SIGINT');
        await service.until('the end of the restored server', async () => (isAlive(processId) ? undefined : true));
      }
    };
    expect(await rowsAt({ point: { lsn } })).toEqual(['1']);
    // What is there is brought to another place by comparison; without leave nothing is touched.
    const { run: occupied } = await service.post<{ run: Run }>(`${base}/restores`, { assetId: asset.id, target, point: { xid } });
    expect(await ended(occupied)).toMatchObject({ state: 'failed', fault: { code: 'TARGET_OCCUPIED' } });
    expect(await rowsAt({ point: { xid }, delta: true })).toEqual(['1', '2']);
    expect(await rowsAt({ point: { name: 'before-release' }, delta: true })).toEqual(['1', '2', '3']);
    for (const point of [{ name: 'never-made' }, { xid: 4_000_000_000 }, { lsn: 'FF/0' }])
      expect(await service.ask('POST', `${base}/restores`, { assetId: asset.id, target, point })).toMatchObject({
        status: 422,
        body: { code: 'RECOVERY_REFUSED' },
      });

    // Another host, which never saw the server.
    const other = serverScratch();
    onTestFinished(() => removeScratch(other));
    const otherId = await enrolAgentIn(service, other);
    startAgentIn(service, other);
    const { run: far } = await ask({
      agentId: otherId,
      target: join(other, 'restores', 'copy'),
      point: { xid },
      handOver: 'stopped',
    });
    expect(far).toMatchObject({ agentId: otherId, result: { achieved: { xid } } });

    const extract = { database: 'postgres', tables: ['public.ledger'], as: 'then', secret: 'loader' };
    if (hasClients(programs, 'pg_dump', 'psql')) {
      // The dropped table, beside whatever lives: through a role of its own, which the host knows.
      await server.sql('CREATE TABLE ledger (other text)');
      writeFileSync(join(scratch, 'agent/secrets/loader'), server.connectionString, { mode: 0o600 });
      const { plan, run } = await ask({ point: { name: 'before-release' }, extract });
      expect(plan.target).toBe('the schema "then" in the database "postgres" of pg/orders');
      expect(run.result).toMatchObject({ schema: 'then', tables: 1, rows: 3 });
      expect(await server.sql('SELECT n FROM "then".ledger ORDER BY n')).toEqual([['1'], ['2'], ['3']]);
      expect(await server.sql('SELECT * FROM public.ledger')).toEqual([]);
      const { run: again } = await service.post<{ run: Run }>(`${base}/restores`, { assetId: asset.id, extract });
      expect(await ended(again)).toMatchObject({ state: 'failed', fault: { code: 'TARGET_OCCUPIED' } });
      const whole = await ask({ point: { xid }, extract: { database: 'postgres', as: 'postgres_then' } });
      expect(whole.run.result).toMatchObject({ database: 'postgres_then', rows: 2 });
    }
    // Where and what are one question: an order that answers it twice, or never, is refused.
    for (const wrong of [{}, { extract, target }, { extract, handOver: 'paused' }])
      expect(await service.ask('POST', `${base}/restores`, { assetId: asset.id, ...wrong })).toMatchObject({ status: 400 });

    // Retired, by two people: its server keeps no log for it any more.
    const slots = 'SELECT count(*) FROM pg_replication_slots';
    expect(await one(slots)).toBe('1');
    const session = async (login: string): Promise<Record<string, string>> => {
      const password = 'correct horse battery';
      await service.post(`${base}/people`, { login, label: login, password, roles: ['owner'] });
      const { secret } = await service.post<{ secret: string }>('/v1/login', { login: `${login}@default`, password });
      return { authorization: `Bearer ${secret}` };
    };
    const [anna, berta] = [await session('anna'), await session('berta')];
    const wish = { reason: 'the bureau has moved' };
    const approval = await service.post<{ id: string }>(`${base}/assets/${asset.id}/retire`, wish, anna);
    expect((await service.ask('POST', `${base}/approvals/${approval.id}/approve`, undefined, berta)).status).toBe(200);
    await service.until('the end of the slot', async () => ((await one(slots)) === '0' ? true : undefined));
  },
  280_000,
);

type Address = { readonly socketDirectory: string; readonly port: number; readonly user: string; readonly processId: number };

/** "0/3000060" */
function numberOf(lsn: string | undefined): bigint {
  return (lsn ?? '0/0').split('/').reduce((sum, half) => (sum << 32n) | BigInt(`0x${half}`), 0n);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

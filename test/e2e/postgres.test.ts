// A database that nobody ever backed up: protected by the service from the moment it is named, brought back to instants through the API, while
// the service, the agent and the server are killed in between. Real PostgreSQL, real processes.

import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { hasClients, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { enrolAgentIn, startAgentIn, tenantBase } from '../support/postgres-agent.ts';
import { Served } from '../support/served.ts';

const LOOK = 'SELECT count(*), max(n), pg_is_in_recovery() FROM ledger';
const programs = postgresPrograms();

type Listed<T> = { readonly items: readonly T[] };
type Window = {
  readonly kind: string;
  readonly earliest?: string;
  readonly latest?: string;
  readonly intervals: readonly { readonly from: string; readonly to: string; readonly log?: { readonly to: string } }[];
  readonly gaps: readonly { readonly cause: string; readonly isOpen: boolean }[];
  readonly missing: readonly string[];
};

test.skipIf(programs === undefined)(
  'a database is protected from the moment that it is named, through kills of service, agent and server, and comes back to an instant',
  async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch, 'production', {});
    onTestFinished(() => server.stop('SIGQUIT'));
    await server.sql('CREATE TABLE ledger (n int, at timestamptz DEFAULT clock_timestamp())');

    let service = await Served.start(join(scratch, 'service'), { args: ['--no-local-agent'] });
    const base = await tenantBase(service);
    const agentId = await enrolAgentIn(service, scratch);
    let agent = startAgentIn(service, scratch);
    const asset = await service.post<{ id: string }>(`${base}/assets`, {
      name: 'pg/orders',
      agentId,
      source: { kind: 'postgres', connection: server.connectionString },
      policy: 'gold',
    });
    const windowIs = (what: string, is: (window: Window) => boolean): Promise<Window> =>
      service.until(what, async () => {
        const window = await service.get<Window>(`${base}/assets/${asset.id}/recovery-window`);
        return is(window) ? window : undefined;
      });
    const capturedNow = async (): Promise<void> => {
      const [[position]] = (await server.sql('SELECT pg_current_wal_flush_lsn()')) as [[string]];
      await windowIs(`the log up to ${position}`, ({ intervals }) => isBeyond(intervals.at(-1)?.log?.to, position));
    };
    const first = await windowIs('the first interval', ({ intervals }) => intervals.length > 0);
    expect(first).toMatchObject({ kind: 'log', missing: [], gaps: [] });
    await server.sql('INSERT INTO ledger SELECT generate_series(1, 100)');
    await capturedNow();

    const [[instant]] = (await server.sql(
      'SELECT to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')',
    )) as [[string]];

    // The service dies and comes back; the agent dies and comes back; the server dies and comes back. Nothing is lost between.
    await service.kill();
    await server.sql('INSERT INTO ledger SELECT generate_series(101, 200)');
    service = await Served.start(join(scratch, 'service'), {
      token: service.token,
      args: ['--no-local-agent'],
      listen: new URL(service.url).host,
    });
    await capturedNow();
    agent.kill('SIGKILL');
    await server.sql('INSERT INTO ledger SELECT generate_series(201, 300)');
    agent = startAgentIn(service, scratch);
    await capturedNow();
    await server.stop('SIGKILL');
    await server.start();
    await server.sql('INSERT INTO ledger SELECT generate_series(301, 400)');
    await capturedNow();
    const whole = await windowIs('one interval', ({ intervals }) => intervals.length === 1);
    expect(whole).toMatchObject({ gaps: [], missing: [] });
    const runs = await service.get<Listed<Run>>(`${base}/runs?kind=capture`);
    expect(runs.items.length).toBeGreaterThan(1);

    // The host of the database is gone. What lies outside of the window is refused with the window, before anything begins.
    await server.stop('SIGKILL');
    const restores = `${base}/restores`;
    const refused = await service.ask('POST', restores, {
      assetId: asset.id,
      target: join(scratch, 'restores', 'never'),
      point: { time: '2100-01-01T00:00:00Z' },
    });
    expect(refused).toMatchObject({ status: 422, body: { code: 'RECOVERY_REFUSED' } });
    expect(JSON.stringify(refused.body)).toContain(`${whole.latest!.slice(0, 19)}`);
    const restore = async (point: object, name: string, handOver: string): Promise<readonly (readonly (string | null)[])[]> => {
      const order = { assetId: asset.id, target: join(scratch, 'restores', name), point, handOver };
      const { run } = await service.post<{ run: Run }>(restores, order);
      const ended = await service.until(`the restore ${name}`, async () => {
        const now = await service.get<Run>(`${base}/runs/${run.id}`);
        return isOver(now.state) ? now : undefined;
      });
      expect(ended, JSON.stringify(ended.fault)).toMatchObject({ state: 'succeeded' });
      const { server: at, achieved } = ended.result as {
        server: { socketDirectory: string; port: number; user: string; processId: number };
        achieved: { time: string; xid: number };
      };
      onTestFinished(() => void process.kill(at.processId, 'SIGQUIT'));
      expect(achieved.xid).toBeGreaterThan(0);
      const address = {
        host: at.socketDirectory,
        port: at.port,
        user: at.user,
        password: undefined,
        database: 'postgres',
        tls: 'disable',
      } as const;
      const sql = await PgConnection.open({ address });
      try {
        const rows = (await sql.query(LOOK)).rows;
        // The restore is over; whoever has looked at the paused server has it come up, with what was left for it.
        if (handOver !== 'paused') return rows;
        await sql.query('SELECT pg_wal_replay_resume()');
        const whole = await service.until('the end of the recovery', async () => {
          const [row] = (await sql.query(LOOK)).rows;
          return row?.[2] === 'f' ? row : undefined;
        });
        return [...rows, whole];
      } finally {
        sql.close();
      }
    };
    expect(await restore({ time: instant }, 'then', 'running')).toEqual([['100', '100', 'f']]);
    expect(await restore({ latest: true }, 'latest', 'paused')).toEqual([
      ['400', '400', 't'],
      ['400', '400', 'f'],
    ]);

    // A rehearsal proves it, and says how long a recovery takes.
    const rehearsal = await service.post<Run>(`${base}/runs`, { kind: 'restore-test', assetId: asset.id });
    const rehearsed = await service.until('the rehearsal', async () => {
      const now = await service.get<Run>(`${base}/runs/${rehearsal.id}`);
      return isOver(now.state) ? now : undefined;
    });
    expect(rehearsed, JSON.stringify(rehearsed)).toMatchObject({ state: 'succeeded', result: { rtoMs: expect.any(Number) } });
    const checks = rehearsed.result?.['checks'] as readonly { name: string; outcome: string }[];
    expect(checks.filter(({ outcome }) => outcome === 'passed').map(({ name }) => name)).toEqual(
      expect.arrayContaining(hasClients(programs, 'pg_checksums') ? ['recovery', 'checksums'] : ['recovery']),
    );
    const proven = await service.get<Window & { intervals: readonly { evidence: { proven: number } }[] }>(
      `${base}/assets/${asset.id}/recovery-window`,
    );
    expect(proven.intervals[0]!.evidence.proven).toBe(1);
    void agent;
  },
  280_000,
);

/** "0/3000060" */
function isBeyond(position: string | undefined, wanted: string): boolean {
  const number = (text: string): bigint => text.split('/').reduce((sum, half) => (sum << 32n) | BigInt(`0x${half}`), 0n);
  return position !== undefined && number(position) >= number(wanted);
}

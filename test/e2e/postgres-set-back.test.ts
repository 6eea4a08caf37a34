// Through the service, where an agent's key opens nothing of what is stored: a capture goes on with the log of its own server wherever that ends, and a
// server that was set back by its disk is neither captured on nor backed up.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatLsn, mustParseLsn } from '../../src/model/lsn.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { enrolAgentIn, startAgentIn, tenantBase } from '../support/postgres-agent.ts';
import { Served } from '../support/served.ts';
import { setBack } from '../support/set-back.ts';

const programs = postgresPrograms();
const SEGMENT_BYTES = 16 * 1024 * 1024;

type Listed<T> = { readonly items: readonly T[] };
type Window = { readonly intervals: readonly { readonly log?: { readonly to: string } }[] };

test.skipIf(programs === undefined)(
  'a capture goes on where the stored log ends with a segment; a server that was set back is neither captured nor backed up',
  async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch, 'production', {});
    onTestFinished(() => server.stop('SIGQUIT'));
    const insert = async (of: string): Promise<unknown> => server.sql(`INSERT INTO t SELECT '${of}' FROM generate_series(1, 1000)`);
    await server.sql('CREATE TABLE t (of text)');
    await server.stop();
    const kept = join(scratch, 'kept');
    execFileSync('cp', ['-a', server.directory, kept]);
    await server.start();

    const service = await Served.start(join(scratch, 'service'), { args: ['--no-local-agent'] });
    const base = await tenantBase(service);
    const agentId = await enrolAgentIn(service, scratch);
    let agent = startAgentIn(service, scratch);
    const source = { kind: 'postgres', connection: server.connectionString };
    const asset = await service.post<{ id: string }>(`${base}/assets`, { name: 'pg/orders', agentId, source, policy: 'gold' });
    const stored = async (): Promise<number> => {
      const { intervals } = await service.get<Window>(`${base}/assets/${asset.id}/recovery-window`);
      return mustParseLsn(intervals.at(-1)?.log?.to ?? '0/0');
    };
    const position = async (): Promise<number> => {
      const [[flushed]] = (await server.sql('SELECT pg_current_wal_flush_lsn()')) as [[string]];
      return mustParseLsn(flushed);
    };
    const captured = async (to: number): Promise<void> => {
      await service.until(`the log up to ${formatLsn(to)}`, async () => ((await stored()) >= to ? true : undefined));
    };
    const backUp = async (): Promise<Run> => {
      const { id } = await service.post<Run>(`${base}/runs`, { kind: 'backup', assetId: asset.id });
      return service.until('the backup', async () => {
        const run = await service.get<Run>(`${base}/runs/${id}`);
        return isOver(run.state) ? run : undefined;
      });
    };
    const bases = async (): Promise<number> =>
      (await service.get<Listed<unknown>>(`${base}/recovery-points?assetId=${asset.id}`)).items.length;

    await captured(1);
    // Nothing writes after the end of the segment until the agent is gone: a heartbeat may have, then it is tried again.
    for (let end = 0; (await stored()) !== end || end % SEGMENT_BYTES !== 0; ) {
      if (agent.exitCode !== null || agent.signalCode !== null) agent = startAgentIn(service, scratch);
      await insert('a');
      await server.sql('SELECT pg_switch_wal()');
      end = Math.ceil((await position()) / SEGMENT_BYTES) * SEGMENT_BYTES;
      await captured(end);
      agent.kill('SIGKILL');
    }
    agent = startAgentIn(service, scratch);
    await insert('a');
    await captured(await position());

    expect(await backUp()).toMatchObject({ state: 'succeeded' });
    const known = await bases();
    await insert('a');
    await captured(await position());
    agent.kill('SIGKILL');
    const end = await stored();
    await setBack(server, kept);
    await insert('b');
    expect(await position()).toBeLessThan(end);
    agent = startAgentIn(service, scratch);
    expect(await backUp()).toMatchObject({ state: 'failed', fault: { code: 'LOG_FORKED' } });
    while ((await position()) <= end) {
      await insert('b');
      await server.sql('SELECT pg_switch_wal()');
    }
    expect(await backUp()).toMatchObject({ state: 'failed', fault: { code: 'LOG_FORKED' } });
    await service.until('the refusal to capture it', async () => {
      const { items } = await service.get<Listed<Run>>(`${base}/runs?kind=capture`);
      return items.find(({ fault }) => fault?.code === 'LOG_FORKED');
    });
    expect([await bases(), await stored()]).toEqual([known, end]);
    const { items: events } = await service.get<Listed<{ readonly kind: string; readonly cause?: string }>>(`${base}/events`);
    expect(events.find(({ kind, cause }) => kind === 'run.failed' && cause?.includes('LOG_FORKED'))).toBeDefined();
  },
);

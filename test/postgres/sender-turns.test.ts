// What sends a server's log gives way to those who commit, and nothing else of the server does.

import { describe, expect, it } from 'vitest';
import { postgresPrograms } from '../support/postgres.ts';
import { ProtectedCluster, until } from '../support/protected-cluster.ts';
import { policyOf } from '../support/scheduling.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('the sender of a log that is captured', () => {
  it('is batch work, and the server is not', async () => {
    // Of a server that logs every statement the log is not read from its files.
    const cluster = await ProtectedCluster.create({ settings: { log_duration: 'on' } });
    const { server } = cluster;
    await cluster.start();
    const senders = () => server.sql('SELECT active_pid FROM pg_replication_slots WHERE active');
    await until(async () => (await senders()).length > 0);
    const sender = (await senders())[0]![0]!;
    expect(policyOf(Number(sender))).toBe('batch');
    const others = await server.sql(
      `SELECT pid FROM pg_stat_activity WHERE pid NOT IN (${sender}, pg_backend_pid()) AND backend_type <> 'autovacuum worker'`,
    );
    expect(others.length).toBeGreaterThan(1);
    for (const [pid] of others) expect(policyOf(Number(pid))).toBe('other');
    await cluster.stop();
  });
});

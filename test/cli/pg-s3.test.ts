// A cluster that is protected in a bucket of a real S3 server, killed, and brought back from there.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PgConnection } from '../../agents/postgres/connection.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { serverClock, until } from '../support/protected-cluster.ts';
import { Holdfast } from './holdfast.ts';

const programs = postgresPrograms();
const s3 = programs === undefined ? undefined : await startS3();

describe.runIf(s3 !== undefined)('a cluster that is protected in a bucket', () => {
  const { endpoint, bucket, credentials, region } = s3 ?? ({} as TestS3);

  it('comes back from it to the wanted instant, when server and capture were killed', async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    const holdfast = new Holdfast(join(scratch, 'holdfast'));
    mkdirSync(holdfast.directory, { recursive: true });
    const variables = {
      HOLDFAST_REPO: `s3+${endpoint}/${bucket}/pg`,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: region,
    };
    holdfast.ok(['init'], { variables });
    await server.sql('CREATE TABLE t (n int)');
    const child = holdfast.start(
      ['pg', 'capture', server.connectionString, '--ship-every', '200', '--heartbeat', '1', '--json', '--asset', 'pg/s3'],
      { variables },
    );
    let text = '';
    child.stdout!.on('data', (piece: Buffer) => {
      text += piece.toString();
    });
    await until(
      () => text.includes('"kind":"base"'),
      () => text,
    );
    await server.sql('INSERT INTO t SELECT generate_series(1, 1000)');
    await server.sql('SELECT pg_switch_wal()');
    const wanted = await serverClock(server);
    await server.sql('DELETE FROM t');
    const after = await serverClock(server);
    await until(
      () =>
        ((holdfast.summary(['pg', 'window'], { variables }) as { readonly latest?: string }).latest ?? '') > textOfMicros(after),
    );
    child.kill('SIGKILL');
    await server.stop('SIGKILL');
    const done = holdfast.summary(
      [
        ...['pg', 'restore', '--time', textOfMicros(wanted), '--bin-dir', programs!],
        '--target',
        join(scratch, 'restored'),
        '--leave-running',
      ],
      { variables },
    ) as unknown as { readonly socketDirectory: string; readonly port: number; readonly processId: number };
    onTestFinished(() => removeScratch(done.socketDirectory));
    const sql = await PgConnection.open({ address: { ...server.address(), host: done.socketDirectory, port: done.port } });
    expect((await sql.query('SELECT count(*) FROM t')).rows).toEqual([['1000']]);
    sql.close();
    process.kill(done.processId, 'SIGQUIT');
  });
});

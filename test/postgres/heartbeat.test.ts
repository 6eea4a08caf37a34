// The heartbeat in a real server: what was acknowledged is found after a crash, and nothing that somebody else wrote counts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareHeartbeat, readHeartbeat, systemIdOf, writeHeartbeat } from '../../agents/postgres/heartbeat.ts';
import { generateSigningPair } from '../../src/codec/signature.ts';
import { isHeartbeatOf, signHeartbeat } from '../../src/evidence/heartbeat.ts';
import { type Holdfast, linesOf, newHoldfast } from '../cli/holdfast.ts';
import { postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';

const programs = postgresPrograms();

describe.skipIf(programs === undefined)('a heartbeat', () => {
  let scratch: string;
  let server: TestServer;

  beforeAll(async () => {
    scratch = serverScratch();
    server = await TestServer.create(programs!, scratch, 'production', { settings: { fsync: 'on' } });
  });
  afterAll(async () => {
    await server.stop('SIGQUIT');
    removeScratch(scratch);
  });

  it('that was acknowledged is found after a crash; one that is older, changed, or of another cluster is not taken', async () => {
    const pair = generateSigningPair();
    const connection = await server.connect();
    await prepareHeartbeat(connection);
    await prepareHeartbeat(connection);
    const of = { asset: 'pg/a', systemId: await systemIdOf(connection) };
    const beats = [1, 2, 3].map((n) => signHeartbeat(pair, of, n, new Date(Date.UTC(2026, 10, 21, 8, 0, n))));
    for (const beat of beats) expect(await writeHeartbeat(connection, beat)).toBe(true);
    expect(await writeHeartbeat(connection, beats[1]!)).toBe(false);
    connection.close();
    await server.stop('SIGQUIT');
    await server.start();
    const again = await server.connect();
    const found = (await readHeartbeat(again))!;
    expect(found).toEqual(beats[2]);
    expect(isHeartbeatOf(found, of, [pair.verifyKey])).toBe(true);
    expect(isHeartbeatOf(found, { ...of, asset: 'pg/b' }, [pair.verifyKey])).toBe(false);
    expect(isHeartbeatOf(found, { ...of, systemId: '1' }, [pair.verifyKey])).toBe(false);
    expect(isHeartbeatOf(found, of, [generateSigningPair().verifyKey])).toBe(false);
    await again.query("UPDATE holdfast.heartbeat SET at = '2026-11-21T09:00:00.000Z'");
    expect(isHeartbeatOf((await readHeartbeat(again))!, of, [pair.verifyKey])).toBe(false);
    again.close();
  });

  it('is written every second by the command line, through a restart of the server, and read by it', async () => {
    const holdfast: Holdfast = newHoldfast();
    const keys = holdfast.path('keys');
    const base = [server.connectionString, '--asset', 'pg/a'];
    const child = holdfast.start(['pg', 'heartbeat', ...base, '--key-dir', keys, '--json']);
    let output = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
    const beats = (): number =>
      linesOf(output.slice(0, output.lastIndexOf('\n') + 1)).filter(({ kind }) => kind === 'heartbeat').length;
    const until = async (count: number): Promise<void> => {
      while (beats() < count) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await until(2);
    await server.stop();
    await server.start();
    await until(beats() + 2);
    child.kill('SIGTERM');
    const last = linesOf(output).findLast(({ kind }) => kind === 'heartbeat')!;
    const read = holdfast.summary(['pg', 'heartbeat-read', ...base, '--key', join(keys, 'heartbeat-key.pub')]);
    expect(read).toMatchObject({ isSigned: true });
    expect(read.sequence as number).toBeGreaterThanOrEqual(last.sequence as number);
    expect(readFileSync(join(keys, 'heartbeat-key.pub'), 'utf8')).toMatch(/^[\w-]{43}\n$/);
    const unknown = holdfast.summary(['pg', 'heartbeat-read', ...base], { status: 4 });
    expect(unknown).toMatchObject({ isSigned: false });
  });
});

// A server that dies in the middle of a record leaves a part of it in its log, and begins anew behind that. What comes afterwards is as much a part
// of history as what came before.

import { closeSync, fstatSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type LogBytes, walRecords } from '../../agents/postgres/wal-records.ts';
import { readDivergentLog } from '../../agents/standby/divergent-log.ts';
import { formatLsn, mustParseLsn, segmentName } from '../../src/model/lsn.ts';
import { hasClients, majorOf, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';

const SEGMENT_BYTES = 1024 * 1024;
const PAGE_BYTES = 8192;
const programs = postgresPrograms();
const isComparable = hasClients(programs, 'pg_waldump');

async function placeOf(server: TestServer): Promise<number> {
  return mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]);
}

function fileOf(server: TestServer, position: number): string {
  return join(server.directory, 'pg_wal', segmentName(1, Math.floor(position / SEGMENT_BYTES), SEGMENT_BYTES));
}

/** What the disk did not get before the machine was off. */
function lose(path: string, from: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(fstatSync(file).size - from), 0, undefined, from);
  closeSync(file);
}

/** A message over many pages, and a life of the server that ended when so many of them were written; then another one. Answers where it began. */
async function diesWriting(server: TestServer, pages: number, messageBytes = 10 * PAGE_BYTES): Promise<number> {
  const at = await placeOf(server);
  await server.sql(`SELECT pg_logical_emit_message(true, 'x', repeat('m', ${messageBytes}))`);
  await server.stop('SIGQUIT');
  const first = Math.ceil((at + 1) / PAGE_BYTES) * PAGE_BYTES;
  const lost = first + (pages - 1) * PAGE_BYTES;
  lose(fileOf(server, lost), lost % SEGMENT_BYTES);
  await server.start();
  return at;
}

/** In a segment of its own, of which so many pages are full. */
async function fresh(server: TestServer, pages = 2): Promise<void> {
  await server.sql('SELECT pg_switch_wal()');
  await server.sql(`SELECT pg_logical_emit_message(true, 'x', repeat('m', ${pages * PAGE_BYTES}))`);
}

function bytesOf(server: TestServer): LogBytes {
  return async (position, length) => {
    const bytes = readFileSync(fileOf(server, position));
    return bytes.subarray(position % SEGMENT_BYTES, (position % SEGMENT_BYTES) + length);
  };
}

describe.skipIf(!isComparable)('the log of a server that died in the middle of a record', () => {
  async function started(): Promise<TestServer> {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch, 'production', { walSegmentMib: 1 });
    onTestFinished(() => server.stop('SIGQUIT'));
    await server.sql("CREATE TABLE t (n int); SELECT pg_create_physical_replication_slot('keep', true)");
    return server;
  }

  const behindSeal = ({ directory: dataDirectory }: TestServer, sealed: number) => {
    return { dataDirectory, timeline: 1, sealed, segmentBytes: SEGMENT_BYTES, version: majorOf(programs!) };
  };

  it.each([
    ['on its first page', 1, 2],
    ['after some pages', 4, 2],
    ['at the end of a segment', 4, 124],
  ])('is read as PostgreSQL itself reads it: %s', async (_, pages, full) => {
    const server = await started();
    await fresh(server, full);
    const at = await diesWriting(server, pages);
    await server.sql('INSERT INTO t VALUES (1)');
    const to = await placeOf(server);
    const ours: string[] = [];
    for (const from of new Set([at, to].map((place) => Math.floor(place / SEGMENT_BYTES) * SEGMENT_BYTES)))
      for await (const { position } of walRecords(bytesOf(server), from, SEGMENT_BYTES))
        if (position >= at && position < to) ours.push(formatLsn(position));
    const words = ['-p', join(server.directory, 'pg_wal'), '-s', formatLsn(at), '-e', formatLsn(to)];
    const theirs = [...server.run('pg_waldump', words).matchAll(/ lsn: (\S+),/g)].map(([, lsn]) => formatLsn(mustParseLsn(lsn!)));
    expect([...new Set(ours)]).toEqual(theirs);
    expect(theirs.length).toBeGreaterThan(2);
  });

  it('hides nothing of what an old primary has written behind the seal', async () => {
    const server = await started();
    await fresh(server);
    await diesWriting(server, 4);
    const sealed = await placeOf(server);
    await server.sql('INSERT INTO t VALUES (1)');
    await server.stop('SIGQUIT');
    const found = await readDivergentLog(behindSeal(server, sealed), () => {});
    expect(found).toMatchObject({ committed: 1 });
  });

  it('that cannot be read up to the seal is not taken for one with nothing behind it', async () => {
    const server = await started();
    await fresh(server, 8);
    const sealed = await placeOf(server);
    await server.sql('INSERT INTO t VALUES (1)');
    await server.stop('SIGQUIT');
    lose(fileOf(server, sealed), 2 * PAGE_BYTES);
    await expect(readDivergentLog(behindSeal(server, sealed), () => {})).rejects.toMatchObject({ code: 'LOG_GAP' });
  });
});

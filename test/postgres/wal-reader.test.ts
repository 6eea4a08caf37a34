// Against pg_waldump or pg_walinspect, which read the same log with PostgreSQL's own code.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { crc32c } from '../../agents/postgres/crc32c.ts';
import { WalReader } from '../../agents/postgres/wal-reader.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { formatLsn, mustParseLsn, segmentName } from '../../src/model/lsn.ts';
import { hasClients, majorOf, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const programs = postgresPrograms();
const major = programs === undefined ? 15 : majorOf(programs);
/** From 15 on a server can be asked itself. */
const isComparable = major >= 15 || hasClients(programs, 'pg_waldump');

/** Commits, aborts and restore points of every form, over pages and segments. */
async function writeEverything(server: TestServer): Promise<void> {
  await server.sql('CREATE TABLE t (n int, filler text); CREATE TABLE dropped AS SELECT 1 AS n');
  for (let n = 0; n < 60; n++)
    await server.sql(`INSERT INTO t SELECT g, repeat('z', ${(n * 97) % 3000}) FROM generate_series(1, 20) g`);
  await server.sql('DROP TABLE dropped');
  await server.sql('BEGIN; INSERT INTO t VALUES (1); ROLLBACK');
  await server.sql(
    'BEGIN; SAVEPOINT a; INSERT INTO t VALUES (2); SAVEPOINT b; INSERT INTO t VALUES (3); ROLLBACK TO b; INSERT INTO t VALUES (4); COMMIT',
  );
  await server.sql("BEGIN; INSERT INTO t VALUES (5); PREPARE TRANSACTION 'one'");
  await server.sql("BEGIN; INSERT INTO t VALUES (6); PREPARE TRANSACTION 'two'");
  await server.sql("COMMIT PREPARED 'one'");
  await server.sql("ROLLBACK PREPARED 'two'");
  await server.sql("SELECT pg_create_restore_point('here we are')");
  await server.sql('CHECKPOINT; SELECT pg_switch_wal()');
  await server.sql("SELECT pg_logical_emit_message(true, 'holdfast', 'heartbeat')");
  await server.sql("BEGIN; SELECT pg_logical_emit_message(false, 'x', repeat('m', 3000000)); INSERT INTO t VALUES (7); COMMIT");
  await server.sql('VACUUM FULL t');
}

function read(bytes: Buffer, from: number, segmentBytes: number, pieces: () => number): LogMark[] {
  const reader = new WalReader(from, segmentBytes, major);
  const marks: LogMark[] = [];
  for (let at = 0; at < bytes.length; ) {
    const n = Math.min(pieces(), bytes.length - at);
    marks.push(...reader.push(bytes.subarray(at, at + n)));
    at += n;
    expect(reader.position).toBe(from + at);
    expect(reader.recordFrom).toBeLessThanOrEqual(from + at);
  }
  return marks;
}

describe.skipIf(programs === undefined)('the reader of the log', () => {
  it.skipIf(!isComparable).each([1, 16])(
    'finds the transactions that pg_waldump finds, with segments of %i MiB, whatever the pieces',
    async (walSegmentMib) => {
      const scratch = serverScratch();
      onTestFinished(() => removeScratch(scratch));
      const server = await TestServer.create(programs!, scratch, 'production', {
        walSegmentMib,
        settings: { max_prepared_transactions: '4', log_timezone: 'UTC' },
      });
      onTestFinished(() => server.stop('SIGQUIT'));
      const segmentBytes = walSegmentMib * 1024 * 1024;
      // So that it keeps what is read.
      await server.sql("SELECT pg_create_physical_replication_slot('keep', true)");
      const start = mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]);
      await writeEverything(server);
      const end = mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]);
      const first = Math.floor(start / segmentBytes);
      const last = Math.floor((end - 1) / segmentBytes);
      const segments = Array.from({ length: last - first + 1 }, (_, i) =>
        readFileSync(join(server.directory, 'pg_wal', segmentName(1, first + i, segmentBytes))),
      );
      const bytes = Buffer.concat(segments).subarray(0, end - first * segmentBytes);
      const theirs = transactionsOf(await dumpOf(server, formatLsn(start), formatLsn(end)));
      expect(theirs.length).toBeGreaterThan(65);
      const random = seededRandom(7);
      for (const pieces of [() => 1 + Math.floor(random() * 70_000), () => bytes.length, () => 8192]) {
        const marks = read(bytes, first * segmentBytes, segmentBytes, pieces).filter((mark) => mark.position >= start);
        expect(marks.filter(({ kind }) => kind === 'commit' || kind === 'abort').map(textOf)).toEqual(theirs);
        expect(marks.filter(({ kind }) => kind === 'point').map(({ text }) => text)).toEqual(['here we are']);
        expect(marks.every((mark) => mark.end > mark.position && mark.end % 8 === 0)).toBe(true);
      }
    },
  );

  it('refuses log with a flipped bit in a transaction, and pages that are those of another place', async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    const position = mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]);
    await server.sql('CREATE TABLE t (n int)');
    const segmentBytes = 16 * 1024 * 1024;
    const segment = Math.floor(position / segmentBytes);
    const bytes = readFileSync(join(server.directory, 'pg_wal', segmentName(1, segment, segmentBytes)));
    const whole = mustParseLsn((await server.sql('SELECT pg_current_wal_flush_lsn()::text'))[0]![0]) - segment * segmentBytes;
    const commit = read(bytes.subarray(0, whole), segment * segmentBytes, segmentBytes, () => 4096).at(-1)!;
    const damaged = Buffer.from(bytes.subarray(0, whole));
    const at = commit.position - segment * segmentBytes + 30;
    damaged[at] = damaged[at]! ^ 1;
    expect(() => read(damaged, segment * segmentBytes, segmentBytes, () => 4096)).toThrow(/wrong checksum/);
    expect(() => read(bytes.subarray(0, whole), (segment + 1) * segmentBytes, segmentBytes, () => 4096)).toThrow(
      /page that says it is at/,
    );
  });
});

it('computes CRC-32C as the standard says', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345')))).toBe(0xe3069283);
  // RFC 3720, B.4: 32 bytes of zeros.
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  // Of any length, wherever they lie in memory: bit by bit.
  const bytes = seededBytes(200, 7);
  for (let from = 0; from < 9; from++)
    for (let to = from; to < bytes.length; to += 7) {
      let value = -1;
      for (const byte of bytes.subarray(from, to)) {
        value ^= byte;
        for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0x82f63b78;
      }
      expect(crc32c(bytes.subarray(from, to)), `${from} ${to}`).toBe(~value >>> 0);
    }
});

function textOf({ kind, position, id, time }: LogMark): string {
  return `${kind} ${formatLsn(position)} ${id} ${textOfMicros(time).slice(0, 26).replace('T', ' ')}`;
}

/** What PostgreSQL itself says of the log: by its program, or by the same code in its server. */
async function dumpOf(server: TestServer, start: string, end: string): Promise<string> {
  if (hasClients(programs, 'pg_waldump'))
    return server.run('pg_waldump', ['-r', 'Transaction', '-p', join(server.directory, 'pg_wal'), '-s', start, '-e', end]);
  const line =
    "format('rmgr: Transaction x tx: %s, lsn: %s, desc: %s %s', xid, start_lsn, record_type, replace(description, '+00', ' UTC'))";
  const records = `pg_get_wal_records_info('${start}', '${end}') WHERE resource_manager = 'Transaction'`;
  const rows = await server.sql(
    `CREATE EXTENSION pg_walinspect; SET TimeZone = 'UTC'; SELECT ${line} FROM ${records} ORDER BY start_lsn`,
  );
  return rows.map(([text]) => text).join('\n');
}

/** Lines of pg_waldump: "rmgr: Transaction len ... tx: 733, lsn: 0/0151A8C0, prev ..., desc: COMMIT 2026-11-21 09:00:00.123456 UTC; ..." */
function transactionsOf(dump: string): string[] {
  return dump.split('\n').flatMap((line) => {
    const match =
      /^rmgr: Transaction .* tx:\s+(\d+), lsn: ([0-9A-F]+)\/([0-9A-F]+), .*desc: (COMMIT|ABORT)(_PREPARED)? (?:(\d+): )?(\S+ \S+) UTC/.exec(
        line,
      );
    if (match === null) return [];
    const [, own, high, low, kind, , prepared, time] = match;
    const position = Number.parseInt(high!, 16) * 2 ** 32 + Number.parseInt(low!, 16);
    return [`${kind!.toLowerCase()} ${formatLsn(position)} ${prepared ?? own} ${time!.padEnd(26, '0')}`];
  });
}

// A real server whose clock is set forward by a day, back again, and back by an hour, while others commit: a time that it passed once is exactly one
// prefix of the log; one that it passed more than once is refused with the places, each of which can be had by its position.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RecoveryTarget } from '../../src/engine/recovery-plan.ts';
import { canMoveClock, MovedClock } from '../support/moved-clock.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { LATEST, ProtectedCluster, type Restored, until } from '../support/protected-cluster.ts';

const programs = postgresPrograms();
const isPossible = programs !== undefined && canMoveClock();
const HOUR = 3_600;
const DAY = 24 * HOUR;
const HEARTBEAT_MS = 50;

type Commit = { readonly line: number; readonly xid: number; readonly time: number; readonly lsn: number };

function movedClock(): MovedClock {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-clock-'));
  chmodSync(directory, 0o755);
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return new MovedClock(directory);
}

class Ledger {
  readonly commits: Commit[] = [];
  readonly #cluster: ProtectedCluster;

  constructor(cluster: ProtectedCluster) {
    this.#cluster = cluster;
  }

  /** One after the other, while others write as well, but for the moment of the commit: another transaction may take a later time in it and be
   *  in the log before, and what was committed "by then" is less than this one. */
  async write(count: number): Promise<readonly Commit[]> {
    const sql = await this.#cluster.server.connect();
    const from = this.commits.length;
    for (let n = 0; n < count; n++) {
      const line = this.commits.length + 1;
      await sql.query(`BEGIN; INSERT INTO ledger VALUES (${line})`);
      const xid = await sql.value('SELECT pg_current_xact_id()');
      await sql.query('LOCK TABLE noise IN EXCLUSIVE MODE');
      await sql.query('COMMIT');
      const seen = `SELECT (extract(epoch FROM pg_xact_commit_timestamp('${xid}'::xid)) * 1000000)::bigint::text, (pg_current_wal_insert_lsn() - '0/0')::text`;
      const [time, lsn] = (await sql.query(seen)).rows[0]!;
      this.commits.push({ line, xid: Number(xid), time: Number(time), lsn: Number(lsn) });
    }
    sql.close();
    return this.commits.slice(from);
  }
}

/** Commits all the time, so that the clock moves in the middle of it. Ends with the test. */
async function noise(cluster: ProtectedCluster): Promise<void> {
  const sql = await cluster.server.connect();
  let isOver = false;
  const writing = (async () => {
    while (!isOver) await sql.query('INSERT INTO noise VALUES (1)');
  })();
  onTestFinished(async () => {
    isOver = true;
    await writing.catch(() => {});
    sql.close();
  });
}

const linesOf = async (restored: Restored): Promise<number[]> => {
  const { rows } = await restored.sql.query('SELECT line FROM ledger ORDER BY line');
  await restored.close();
  return rows.map(([line]) => Number(line));
};
const upTo = ({ line }: Commit): number[] => Array.from({ length: line }, (_, n) => n + 1);
const at = ({ time }: Commit): RecoveryTarget => ({ kind: 'time', time });

describe.skipIf(!isPossible)('a server', () => {
  it('whose clock jumps by a day and back by an hour comes back to every time that it passed once, and to every position', async () => {
    const clock = movedClock();
    const settings = { track_commit_timestamp: 'on' };
    const cluster = await ProtectedCluster.create({ settings, environment: clock.environment });
    await cluster.server.sql('CREATE TABLE ledger (line int PRIMARY KEY); CREATE TABLE noise (n int)');
    cluster.begin(HEARTBEAT_MS);
    await until(() => cluster.bases.length > 0);
    await noise(cluster);
    const ledger = new Ledger(cluster);
    const first = await ledger.write(4);
    clock.move(DAY);
    const ahead = await ledger.write(4);
    // Of a day that has not come yet.
    await cluster.base();
    clock.move(0);
    const again = await ledger.write(4);
    await cluster.caughtUp();
    // Nobody captures while it is set back once more.
    await cluster.stop();
    clock.move(-HOUR);
    const back = await ledger.write(4);
    cluster.begin(HEARTBEAT_MS);
    await cluster.caughtUp();
    clock.move(0);
    const last = await ledger.write(4);
    await cluster.caughtUp();
    await cluster.stop();

    expect(ahead[0]!.time - first.at(-1)!.time).toBeGreaterThan((DAY - HOUR) * 1e6);
    const { facts } = await cluster.facts();
    // Of those who commit when it is set forward, one may have looked at it before, and come after one who has looked since.
    expect(facts.clockSteps.length, JSON.stringify(facts.clockSteps)).toBeGreaterThanOrEqual(2);
    expect(cluster.troubles.filter((one) => /clock was set back/.test(one))).toHaveLength(facts.clockSteps.length);
    for (const commit of [...ahead, ...back])
      expect(await cluster.plan(at(commit)), JSON.stringify(commit)).toMatchObject({ stopAt: { id: commit.xid } });
    for (const commit of [...first, ...again, ...last])
      expect(await cluster.plan(at(commit)), JSON.stringify(commit)).toMatch(/passed it more than once.*has to be named: .*;/);
    for (const commit of ledger.commits) {
      expect(await cluster.plan({ kind: 'transaction', id: commit.xid })).toMatchObject({ stopAt: { id: commit.xid } });
      const plan = await cluster.plan({ kind: 'position', position: commit.lsn });
      if (typeof plan === 'string') throw new Error(plan);
      expect(plan.stopAt!.position).toBeLessThanOrEqual(commit.lsn);
    }
    const [interval, ...others] = await cluster.window();
    expect(others).toEqual([]);
    // What would be lost is told by the clock as it is now, and not by what it once was.
    expect(interval!.to.time).toBeLessThan(ahead[0]!.time);
    expect(interval!.to.time).toBeGreaterThanOrEqual(last.at(-1)!.time);

    expect(await linesOf(await cluster.restore(at(ahead[1]!)))).toEqual(upTo(ahead[1]!));
    expect(await linesOf(await cluster.restore(at(back[2]!)))).toEqual(upTo(back[2]!));
    expect(await linesOf(await cluster.restore({ kind: 'transaction', id: again[1]!.xid }))).toEqual(upTo(again[1]!));
    expect(await linesOf(await cluster.restore(LATEST))).toEqual(upTo(last.at(-1)!));
  });
});

// A proof says what is so: what can be brought back is proven, what is damaged is not, and nothing stays behind.

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ClusterProof, type ProofWish, proveCluster, randomInstant } from '../../agents/postgres/prove.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { Holdfast } from '../cli/holdfast.ts';
import { hasClients, makeOwned, postgresPrograms } from '../support/postgres.ts';
import { ASSET, PROGRAM, ProtectedCluster, until } from '../support/protected-cluster.ts';
import { PASSPHRASE } from '../support/repository.ts';
import { seededRandom } from '../support/seeded-random.ts';

const programs = postgresPrograms();

async function prove(cluster: ProtectedCluster, wish: Partial<ProofWish> = {}): Promise<ClusterProof> {
  const directory = makeOwned(join(cluster.scratch, 'copies'));
  const proof = await proveCluster({
    repository: cluster.repository,
    cluster: await cluster.facts(),
    instant: { kind: 'random', random: seededRandom(7) },
    queries: [],
    directory,
    programs: cluster.programs,
    program: [PROGRAM],
    helper: {},
    threads: 1,
    signal: new AbortController().signal,
    progress: new RecoveryProgress(),
    ...wish,
  });
  expect(readdirSync(directory)).toEqual([]);
  return proof;
}

const outcomes = ({ checks }: ClusterProof): string[] => checks.map(({ name, outcome }) => `${name} ${outcome}`);

describe.skipIf(programs === undefined)('a proof', () => {
  it('passes with every page, every index and the owner’s answers looked at, and fails for an answer that is not as expected', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE DATABASE shop');
    await server.sql('CREATE TABLE orders AS SELECT g AS n FROM generate_series(1, 1000) g; CREATE INDEX ON orders (n)', 'shop');
    await cluster.start();
    await server.sql('INSERT INTO orders VALUES (1001)', 'shop');
    await cluster.caughtUp();
    const touched = join(cluster.scratch, 'touched');
    const proof = await prove(cluster, {
      instant: { kind: 'latest' },
      queries: [
        { database: 'shop', sql: 'SELECT count(*), max(n) FROM orders', expected: '1001|1001' },
        { database: 'shop', sql: 'TABLE orders' },
        { database: 'shop', sql: 'SELECT count(*) FROM orders', expected: '5' },
        { database: 'nowhere', sql: 'SELECT 1' },
        // A policy is no way to run programs, nor to change anything.
        { database: 'shop', sql: `COPY orders TO PROGRAM 'touch ${touched}'` },
        { database: 'shop', sql: 'DELETE FROM orders' },
      ],
    });
    expect(outcomes(proof)).toEqual([
      'recovery passed',
      'query passed',
      'query passed',
      'query failed',
      'query failed',
      'query failed',
      'query failed',
      `indexes ${hasClients(programs, 'pg_amcheck') ? 'passed' : 'skipped'}`,
      `checksums ${hasClients(programs, 'pg_checksums') ? 'passed' : 'skipped'}`,
    ]);
    expect(existsSync(touched)).toBe(false);
    expect(proof).toMatchObject({ result: 'failed', achieved: { kind: 'commit' } });
    const { planMs, baseMs, logMs } = proof.phases;
    expect(proof.recoveryMs).toBe(planMs + baseMs + logMs);
    expect(proof.baseBytes).toBeGreaterThan(1_000_000);
    const random = await prove(cluster);
    expect(random).toMatchObject({ result: 'passed', requested: { kind: 'time' } });
    const { from, to } = (await cluster.window())[0]!;
    expect((random.requested as { time: number }).time).toBeGreaterThanOrEqual(from.time);
    expect((random.requested as { time: number }).time).toBeLessThanOrEqual(to.time);
  });

  it('fails, as a value, for an index that lies, and for a log that cannot be had', async () => {
    const cluster = await ProtectedCluster.create({ checksums: false });
    const { server } = cluster;
    await server.sql('CREATE TABLE t AS SELECT g AS n FROM generate_series(1, 1000) g; CREATE INDEX t_n ON t (n)');
    // The table says one thing, its index another: as after a change of collation.
    await server.sql("UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = 't_n'::regclass");
    await server.sql('INSERT INTO t VALUES (5000)');
    await server.sql("UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = 't_n'::regclass");
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (1)');
    await cluster.caughtUp();
    if (hasClients(programs, 'pg_amcheck')) {
      const proof = await prove(cluster, { instant: { kind: 'latest' } });
      expect(proof.result).toBe('failed');
      expect(outcomes(proof)).toEqual(['recovery passed', 'indexes failed', 'checksums skipped']);
      expect(proof.checks[1]!.detail).toMatch(/t_n/);
    }
    const sandboxes = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('holdfast-restore-'));
    const before = sandboxes();
    const broken = await prove(cluster, { instant: { kind: 'latest' }, asking: ['false'] });
    expect(broken).toMatchObject({ result: 'failed', achieved: undefined, checks: [{ name: 'recovery', outcome: 'failed' }] });
    expect(sandboxes().filter((name) => !before.includes(name))).toEqual([]);
  });

  it('leaves nothing when it is killed that the next one does not take away, its server included', async () => {
    const cluster = await ProtectedCluster.create();
    await cluster.start();
    await cluster.server.sql('CREATE TABLE t (n int)');
    await cluster.caughtUp();
    const directory = makeOwned(join(cluster.scratch, 'copies'));
    const holdfast = new Holdfast(join(cluster.scratch, 'holdfast'));
    mkdirSync(holdfast.directory, { recursive: true });
    holdfast.secret('passphrase', PASSPHRASE.toString());
    const args = [
      '--repo',
      join(cluster.scratch, 'repository'),
      '--asset',
      ASSET,
      '--directory',
      directory,
      '--bin-dir',
      cluster.programs,
    ];
    const child = holdfast.start(['pg', 'prove', ...args]);
    const ended = new Promise((resolve) => child.once('close', resolve));
    const pidFile = (): string | undefined =>
      readdirSync(directory)
        .map((name) => join(directory, name, 'data/postmaster.pid'))
        .find((path) => existsSync(path));
    await until(() => pidFile() !== undefined);
    const pid = Number.parseInt(readFileSync(pidFile()!, 'utf8'), 10);
    child.kill('SIGKILL');
    await ended;
    expect(readdirSync(directory)).toHaveLength(1);
    expect(holdfast.summary(['pg', 'prove', ...args])).toMatchObject({ result: 'passed' });
    expect(readdirSync(directory)).toEqual([]);
    // Its lock file goes a moment before it does.
    await until(() => !existsSync(`/proc/${pid}`));
  });
});

describe('a random instant', () => {
  it('is any moment of the window, and none of a gap', async () => {
    const base = { timeline: 1, start: 0, stop: 10 };
    const marks = {
      firstLater: () => Promise.resolve(undefined),
      last: (_: number, from: number) =>
        Promise.resolve({ kind: 'commit' as const, position: from, end: from + 1, time: from < 500 ? 199 : 1099, id: 1, text: '' }),
      find: () => Promise.resolve(undefined),
    };
    const facts = {
      bases: [
        { ...base, snapshot: 'a', stoppedAt: 100 },
        { ...base, snapshot: 'b', start: 500, stop: 510, stoppedAt: 1000 },
      ],
      stretches: [
        { timeline: 1, from: 0, to: 400 },
        { timeline: 1, from: 500, to: 900 },
      ],
      lineages: [],
      gaps: [],
      clockSteps: [],
      marks,
    };
    expect((await recoveryWindow(facts, 1)).map(({ from, to }) => [from.time, to.time])).toEqual([
      [100, 199],
      [1000, 1099],
    ]);
    const at = async (share: number): Promise<unknown> => randomInstant({ facts }, 1, () => share);
    expect(await Promise.all([0, 0.4999, 0.5, 0.9999].map(at))).toEqual(
      [100, 199, 1000, 1099].map((time) => ({ kind: 'time', time })),
    );
    await expect(randomInstant({ facts: { ...facts, bases: [] } }, 1, () => 0)).rejects.toMatchObject({ code: 'RECOVERY_REFUSED' });
  });
});

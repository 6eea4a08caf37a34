// Tables and databases brought back beside the living ones: all of them or nothing, and nothing that is there is touched.

import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type CopiedObjects, copyObjects, type ObjectsWish } from '../../agents/postgres/copy-objects.ts';
import { RecoveryProgress } from '../../agents/postgres/recovery-progress.ts';
import type { RecoveryTarget } from '../../src/engine/recovery-plan.ts';
import { Holdfast } from '../cli/holdfast.ts';
import { hasClients, makeOwned, postgresPrograms, TestServer } from '../support/postgres.ts';
import { PROGRAM, ProtectedCluster, serverClock } from '../support/protected-cluster.ts';
import { PASSPHRASE } from '../support/repository.ts';

const programs = postgresPrograms();
const canCopy = hasClients(programs, 'psql', 'pg_dump');

async function copy(
  cluster: ProtectedCluster,
  target: RecoveryTarget,
  wish: Pick<ObjectsWish, 'chosen' | 'into'> & Partial<ObjectsWish>,
): Promise<CopiedObjects> {
  const plan = await cluster.plan(target);
  if (typeof plan === 'string') throw new Error(plan);
  const directory = makeOwned(join(cluster.scratch, 'copies'));
  try {
    return await copyObjects({
      repository: cluster.repository,
      cluster: await cluster.facts(),
      plan,
      directory,
      programs: cluster.programs,
      program: [PROGRAM],
      helper: {},
      threads: 1,
      signal: new AbortController().signal,
      progress: new RecoveryProgress(),
      onStep: () => {},
      ...wish,
    });
  } finally {
    expect(readdirSync(directory)).toEqual([]);
  }
}

/** The server's programs, with another pg_dump. */
function withPgDump(cluster: ProtectedCluster, script: string): string {
  const directory = join(cluster.scratch, 'programs');
  mkdirSync(directory);
  for (const name of readdirSync(cluster.programs)) symlinkSync(join(cluster.programs, name), join(directory, name));
  rmSync(join(directory, 'pg_dump'));
  writeFileSync(join(directory, 'pg_dump'), `#!/bin/bash\n${script}\n`);
  chmodSync(join(directory, 'pg_dump'), 0o755);
  return directory;
}

describe.skipIf(!canCopy)('tables of an earlier time', () => {
  it('come into the running production cluster in a schema of their own, cut loose from its tables, with all partitions and indexes', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    const sql = (text: string): ReturnType<TestServer['sql']> => server.sql(text, 'shop');
    await server.sql('CREATE DATABASE shop');
    await sql('CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1), (2)');
    await sql(`CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers, what text UNIQUE);
      CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
      CREATE RULE quiet AS ON DELETE TO orders DO INSTEAD NOTHING;
      CREATE TABLE visits (day int, n int) PARTITION BY RANGE (day);
      CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
      CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
      CREATE VIEW seen AS TABLE visits;
      CREATE TABLE papers (scan oid, other oid); INSERT INTO papers VALUES (lo_from_bytea(0, 'scan'), 1)`);
    await cluster.start();
    await sql(`INSERT INTO orders (customer, what) SELECT 1 + g % 2, 'order ' || g FROM generate_series(1, 500) g`);
    await sql('INSERT INTO visits SELECT g % 20, g FROM generate_series(1, 100) g');
    await sql('CREATE TRIGGER loud BEFORE DELETE ON orders EXECUTE FUNCTION loud()');
    const before = await serverClock(server);
    await sql('DROP TABLE orders; DELETE FROM visits WHERE day < 10; DELETE FROM customers WHERE id = 2');
    await cluster.caughtUp();
    const into = server.address('shop');
    const target = { kind: 'time', time: before } as const;
    const chosen = {
      kind: 'tables',
      database: 'shop',
      tables: ['orders', 'public.visits', 'papers'],
      schema: 'As it was',
    } as const;
    const copied = await copy(cluster, target, { chosen, into });
    expect(Object.fromEntries(copied.rows)).toEqual({
      '"As it was".orders': 500,
      '"As it was".papers': 1,
      '"As it was".visits_1': 50,
      '"As it was".visits_2': 50,
    });
    expect([...copied.leftOut].sort()).toEqual([
      'foreign key orders_customer_fkey of orders',
      'large objects that scan of papers names',
      'rule quiet of orders',
      'trigger loud of orders',
    ]);
    expect(await sql('SELECT count(*), max(id), count(DISTINCT customer) FROM "As it was".orders')).toEqual([['500', '500', '2']]);
    expect(await sql('SELECT count(*) FROM "As it was".visits')).toEqual([['100']]);
    // Sequences are logged some numbers ahead.
    const next = await sql(`INSERT INTO "As it was".orders (customer, what) VALUES (3, 'next') RETURNING id > 500`);
    expect(next).toEqual([['t']]);
    // What lives is as it was.
    expect(await sql('SELECT count(*) FROM visits')).toEqual([['50']]);
    expect(await sql("SELECT count(*) FROM pg_constraint WHERE confrelid = 'customers'::regclass")).toEqual([['0']]);
    const refused = async (tables: string[], message: RegExp): Promise<void> =>
      expect(copy(cluster, target, { chosen: { ...chosen, schema: 'other', tables }, into })).rejects.toThrow(message);
    await expect(copy(cluster, target, { chosen, into })).rejects.toMatchObject({ code: 'TARGET_OCCUPIED' });
    await refused(['seen'], /"seen" is a view/);
    await refused(['nowhere'], /no table "nowhere"/);
    for (const name of ['"orders', 'order*', 'a.b.c'])
      await expect(copy(cluster, target, { chosen: { ...chosen, schema: 'other', tables: [name] }, into })).rejects.toMatchObject({
        code: 'USAGE',
      });
    const elsewhere = { ...chosen, schema: 'other', database: 'shops' };
    await expect(copy(cluster, target, { chosen: elsewhere, into })).rejects.toThrow(/no database "shops"/);
  });

  it('come without what was prepared and not committed at that time, which holds neither a table nor a database', async () => {
    const cluster = await ProtectedCluster.create({ settings: { max_prepared_transactions: '5' } });
    const { server } = cluster;
    await server.sql('CREATE DATABASE shop');
    await server.sql('CREATE TABLE orders AS SELECT generate_series(1, 10) n', 'shop');
    await cluster.start();
    await server.sql("BEGIN; INSERT INTO orders VALUES (11); PREPARE TRANSACTION 'it''s open'", 'shop');
    await server.sql('INSERT INTO orders VALUES (12)', 'shop');
    await cluster.caughtUp();
    const target = { kind: 'latest' } as const;
    const tables = { kind: 'tables', database: 'shop', tables: ['orders'], schema: 'back' } as const;
    const copied = await copy(cluster, target, { chosen: tables, into: server.address('shop') });
    expect(Object.fromEntries(copied.rows)).toEqual({ 'back.orders': 11 });
    expect(copied.leftOut).toEqual([expect.stringMatching(/it's open.*not committed/)]);
    const database = { kind: 'database', database: 'shop', name: 'shop then' } as const;
    const whole = await copy(cluster, target, { chosen: database, into: server.address() });
    expect(whole.rows.get('public.orders')).toBe(11);
    expect(await server.sql('SELECT gid FROM pg_prepared_xacts')).toEqual([["it's open"]]);
  });

  it('come whole or not at all: neither a target that does not take them nor a dump that breaks off leaves anything', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql(
      "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE t AS SELECT g AS n, NULL::mood AS mood FROM generate_series(1, 20000) g",
    );
    await server.sql('CREATE DATABASE other');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (0)');
    await cluster.caughtUp();
    const chosen = { kind: 'tables', database: 'postgres', tables: ['t'], schema: 'back' } as const;
    const schemas = (database: string): ReturnType<TestServer['sql']> =>
      server.sql("SELECT nspname FROM pg_namespace WHERE nspname = 'back'", database);
    await expect(copy(cluster, { kind: 'latest' }, { chosen, into: server.address('other') })).rejects.toThrow(/mood/);
    expect(await schemas('other')).toEqual([]);
    const real = join(cluster.programs, 'pg_dump');
    const broken = withPgDump(cluster, `"${real}" "$@" | head -c 60000\necho "disk on fire" >&2\nexit 1`);
    const breaking = copy(cluster, { kind: 'latest' }, { chosen, into: server.address(), programs: broken });
    await expect(breaking).rejects.toThrow(/could not be read: disk on fire/);
    expect(await schemas('postgres')).toEqual([]);
    rmSync(join(broken, 'pg_dump'));
    const without = copy(cluster, { kind: 'latest' }, { chosen, into: server.address(), programs: broken });
    await expect(without).rejects.toMatchObject({ code: 'USAGE', message: `There is no pg_dump in ${broken}` });
    const whole = await copy(cluster, { kind: 'latest' }, { chosen, into: server.address() });
    expect([...whole.rows.values()]).toEqual([20001]);
    // As a person does it.
    const holdfast = new Holdfast(join(cluster.scratch, 'holdfast'));
    mkdirSync(holdfast.directory, { recursive: true });
    holdfast.secret('passphrase', PASSPHRASE.toString());
    const what = [
      '--latest',
      '--database',
      'postgres',
      '--table',
      'public.t',
      '--as',
      'by hand',
      '--into',
      server.connectionString,
    ];
    const place = ['--repo', join(cluster.scratch, 'repository'), '--directory', join(cluster.scratch, 'copies')];
    const where = [...place, '--bin-dir', cluster.programs];
    expect(holdfast.summary(['pg', 'extract', ...what, ...where])).toMatchObject({
      name: 'by hand',
      rows: { '"by hand".t': 20001 },
    });
    expect(await server.sql('SELECT count(*) FROM "by hand".t')).toEqual([['20001']]);
    const again = ['pg', 'extract', '--latest', '--database', 'postgres', '--table', 'public.t', '--as', 'again', ...where];
    const told = holdfast.run([...again, '--into', `${server.connectionString} password=secret`]);
    expect(told).toMatchObject({ status: 0, stdout: expect.stringContaining('in the schema again of postgres@') });
    expect(told.stdout + told.stderr).not.toContain('secret');
  });
});

describe.skipIf(!canCopy)('a database of an earlier time', () => {
  it('comes under another name, with its owners where they are known, and under an unfinished one never stays', async () => {
    const cluster = await ProtectedCluster.create();
    const { server } = cluster;
    await server.sql('CREATE ROLE clerk');
    await server.sql("CREATE DATABASE shop OWNER clerk TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
    await server.sql("ALTER DATABASE shop SET work_mem = '7MB'");
    await server.sql('CREATE TABLE t (n int); ALTER TABLE t OWNER TO clerk; CREATE VIEW v AS TABLE t', 'shop');
    await cluster.start();
    await server.sql('INSERT INTO t VALUES (1), (2)', 'shop');
    const before = await serverClock(server);
    await server.sql('DROP DATABASE shop WITH (FORCE)');
    await cluster.caughtUp();
    const target = { kind: 'time', time: before } as const;
    const chosen = { kind: 'database', database: 'shop', name: 'shop again' } as const;
    const copied = await copy(cluster, target, { chosen, into: server.address() });
    expect({ rows: Object.fromEntries(copied.rows), leftOut: copied.leftOut }).toEqual({ rows: { 'public.t': 2 }, leftOut: [] });
    expect(await server.sql("SELECT count(*), current_setting('work_mem') FROM v", 'shop again')).toEqual([['2', '7MB']]);
    expect(await server.sql("SELECT tableowner FROM pg_tables WHERE tablename = 't'", 'shop again')).toEqual([['clerk']]);
    const stranger = await TestServer.create(programs!, cluster.scratch, 'stranger');
    onTestFinished(() => stranger.stop('SIGQUIT'));
    const abroad = await copy(cluster, target, { chosen, into: stranger.address() });
    expect(abroad.leftOut).toEqual(['owners and rights: the target has no role "clerk"']);
    expect(await stranger.sql('SELECT n FROM t ORDER BY 1', 'shop again')).toEqual([['1'], ['2']]);
    const broken = withPgDump(cluster, `"${join(cluster.programs, 'pg_dump')}" "$@" | head -n 40\nexit 1`);
    const again = { ...chosen, name: 'third' };
    await expect(copy(cluster, target, { chosen: again, into: stranger.address(), programs: broken })).rejects.toThrow(
      /could not be read/,
    );
    expect((await stranger.sql('SELECT datname FROM pg_database ORDER BY 1')).flat()).toEqual([
      'postgres',
      'shop again',
      'template0',
      'template1',
    ]);
  });
});

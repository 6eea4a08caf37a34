// The SQLite driver: the conformance suite, and what is SQLite's own.

import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { Connection } from '../../src/catalog/sqlite/connection.ts';
import { APPLICATION_ID, MIGRATIONS, migrate } from '../../src/catalog/sqlite/migrate.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { NEXT_OF_AGENT, NEXT_OF_SERVICE } from '../../src/catalog/sqlite/run-claim.ts';
import { LOST_MAX, LOST_WITH_SERVICE_MAX, type Run } from '../../src/model/run.ts';
import { catalogConformance } from '../conformance/catalog.ts';
import { catalogThings, moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';

const options = (path: string, seed = 1) => ({ path, now: () => START, random: catalogThings(seed).random });

async function opened(path: string, seed?: number): Promise<Catalog> {
  const catalog = await openSqliteCatalog(options(path, seed));
  onTestFinished(() => catalog.close());
  return catalog;
}

catalogConformance(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  const path = join(directory, 'catalog.sqlite');
  const [catalog, other] = await Promise.all([openSqliteCatalog(options(path, 2)), openSqliteCatalog(options(path, 3))]);
  return {
    catalog,
    other,
    cleanUp: async () => {
      await Promise.all([catalog.close(), other.close()]);
      rmSync(directory, { recursive: true });
    },
  };
});

describe('the file of a catalogue', () => {
  it('is read by its owner alone, also beside it and as a copy', async () => {
    const directory = scratchDirectory();
    const catalog = await opened(join(directory, 'catalog.sqlite'));
    await catalog.settings.set('a', 'b');
    await catalog.backUpTo(join(directory, 'copy'));
    const names = readdirSync(directory);
    expect(names.sort()).toEqual(['catalog.sqlite', 'catalog.sqlite-shm', 'catalog.sqlite-wal', 'copy']);
    for (const name of names) expect(statSync(join(directory, name)).mode & 0o077, name).toBe(0);
  });

  it('commits durably, checks foreign keys, and has strict tables only', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const connection = await (async () => {
      await opened(path);
      return new Connection(path, 'write');
    })();
    connection.prepareForWriting();
    const pragma = (name: string) => connection.database.pragma(name, { simple: true });
    expect([pragma('journal_mode'), pragma('synchronous'), pragma('foreign_keys')]).toEqual(['wal', 2, 1]);
    const tables = connection.database.pragma('table_list') as { readonly name: string; readonly strict: number }[];
    expect(tables.filter(({ name, strict }) => !name.startsWith('sqlite_') && strict === 0)).toEqual([]);
    expect(tables.length).toBeGreaterThan(20);
    connection.close();
  });

  it('of a newer program is left alone', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    await (await openSqliteCatalog(options(path))).close();
    const database = new Database(path);
    database.pragma(`user_version = ${MIGRATIONS.length + 1}`);
    database.close();
    await expect(openSqliteCatalog(options(path))).rejects.toMatchObject({ code: 'CATALOG_TOO_NEW' });
  });

  it('is not made of a database of another program, or of something else', async () => {
    const directory = scratchDirectory();
    const foreign = join(directory, 'foreign');
    const database = new Database(foreign);
    database.exec('CREATE TABLE mine (x)');
    database.close();
    await expect(openSqliteCatalog(options(foreign))).rejects.toMatchObject({ code: 'CATALOG_NOT_ONE' });
    expect(readdirSync(directory), 'nothing was left beside it').toEqual(['foreign']);
    const text = join(directory, 'text');
    writeFileSync(text, 'This is no database, but long enough to be one.'.repeat(100));
    await expect(openSqliteCatalog(options(text))).rejects.toMatchObject({ code: 'CATALOG_NOT_ONE' });
    await expect(openSqliteCatalog(options(join(directory, 'no', 'directory')))).rejects.toMatchObject({ code: 'CATALOG_DENIED' });
  });

  it('is migrated step by step, each whole or not at all', () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    writeFileSync(path, '');
    const connection = new Connection(path, 'write');
    const second = "CREATE TABLE more (x TEXT) STRICT; INSERT INTO more VALUES ('kept')";
    migrate(connection, path, MIGRATIONS);
    expect(() => migrate(connection, path, [...MIGRATIONS, `${second}; CREATE TABLE broken (`])).toThrow();
    const version = () => connection.database.pragma('user_version', { simple: true });
    expect([version(), connection.database.inTransaction]).toEqual([MIGRATIONS.length, false]);
    expect(connection.database.pragma('application_id', { simple: true })).toBe(APPLICATION_ID);
    migrate(connection, path, [...MIGRATIONS, second]);
    migrate(connection, path, [...MIGRATIONS, second]);
    expect(version()).toBe(MIGRATIONS.length + 1);
    expect(connection.database.prepare('SELECT x FROM more').all()).toEqual([{ x: 'kept' }]);
    expect(() => migrate(connection, path, MIGRATIONS)).toThrow(/schema/);
    connection.close();
  });

  it('reports damage by its name, and nothing of the content', async () => {
    const directory = scratchDirectory();
    const path = join(directory, 'catalog.sqlite');
    const catalog = await opened(path);
    const { tenant } = await catalogThings().seed(catalog);
    const raw = new Database(path);
    raw.prepare(`UPDATE tenants SET quota = '{"secret"' WHERE id = ?`).run(tenant.id);
    raw.close();
    const failure: unknown = await catalog.tenants.get(tenant.id).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'CATALOG_DAMAGED',
      message: 'The catalogue holds something unreadable in tenants.quota.',
    });
    expect((failure as Error).cause).toBeUndefined();
  });

  it('refuses to change or delete a line of the audit, whoever asks', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const catalog = await opened(path);
    const entry = { at: moment(0), actor: 'a', actorLabel: 'a', action: 'x', outcome: 'done' as const, details: {} };
    await catalog.audit.append(entry, () => '1'.repeat(64));
    const raw = new Database(path);
    expect(() => raw.exec(`UPDATE audit SET actor = 'b'`)).toThrow('append-only');
    expect(() => raw.exec('DELETE FROM audit')).toThrow('append-only');
    raw.close();
  });
});

describe('a run under way when its service is killed', () => {
  const fault = { code: 'AGENT_INTERRUPTED', message: 'm', hint: 'h' };
  const claimAt = (catalog: Catalog, at: string) =>
    catalog.runs.claim({
      by: 'service:a',
      kinds: ['backup'],
      at,
      leaseMs: 30_000,
      perAgentMax: 9,
      perTenantMax: 9,
      totalMax: 9,
    });

  it('goes on in the next, however often that happens, and still ends when it kills its holder beside a service that lives', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const things = catalogThings();
    const startedAt = (n: number) => new Date(START.getTime() + n * 100_000);
    const start = (n: number) => openSqliteCatalog({ path, now: () => startedAt(n), random: things.random });
    let catalog = await start(0);
    const { tenant } = await things.seed(catalog);
    const { run } = await catalog.runs.add(things.run(tenant.id, { attemptsMax: 2 }), moment(0));
    const restarts = LOST_MAX + 5;
    for (let n = 0; n < restarts; n++) {
      const { fence } = (await claimAt(catalog, moment(n * 100 + 10)))!;
      await catalog.close();
      catalog = await start(n + 1);
      const at = moment(n * 100 + 105);
      // By its lease, and as its agent says, which was killed as well or could not reach anybody.
      const [lost] =
        n % 2 === 0
          ? await catalog.runs.expire(at, at, 10)
          : [await catalog.runs.end(run.id, fence, at, { state: 'failed', loss: 'holder', fault, retryAt: at })];
      expect(lost).toMatchObject({ id: run.id, state: 'queued', lost: n + 1, lostWithService: n + 1 });
    }
    let last: Run | undefined;
    for (let n = 0; n < LOST_MAX; n++) {
      const at = (restarts + n) * 100 + 10;
      expect(await claimAt(catalog, moment(at))).toMatchObject({ id: run.id });
      [last] = await catalog.runs.expire(moment(at + 40), moment(at + 40), 10);
    }
    expect(last).toMatchObject({
      state: 'failed',
      lost: restarts + LOST_MAX,
      lostWithService: restarts,
      fault: { code: 'RUN_LOST_TOO_OFTEN' },
    });
    await catalog.close();
  });

  it('does not go on for ever where it may be what kills the service', async () => {
    const catalog = await opened(join(scratchDirectory(), 'catalog.sqlite'));
    const things = catalogThings();
    const { tenant } = await things.seed(catalog);
    await catalog.runs.add(things.run(tenant.id, { attemptsMax: 2 }), moment(0));
    let ended: Run | 'fenced' | undefined;
    for (let n = 0; n < LOST_WITH_SERVICE_MAX; n++) {
      const at = moment(n + 1);
      const claimed = await claimAt(catalog, at);
      expect(claimed, `claim ${n}`).toBeDefined();
      ended = await catalog.runs.end(claimed!.id, claimed!.fence, at, { state: 'failed', loss: 'service', fault, retryAt: at });
    }
    expect(ended).toMatchObject({ state: 'failed', fault: { code: 'RUN_LOST_TOO_OFTEN' } });
  });
});

describe('a copy of the catalogue', () => {
  it('is one whole file of one moment, while others write', async () => {
    const directory = scratchDirectory();
    const path = join(directory, 'catalog.sqlite');
    const [catalog, other] = [await opened(path), await opened(path, 5)];
    const things = catalogThings(9);
    const { tenant, agent } = await things.seed(catalog);
    await catalog.transaction(async (tables) => {
      for (let n = 0; n < 3000; n++) await tables.assets.add(things.asset(tenant.id, agent.id));
    });
    let isOver = false;
    let pairs = 0;
    // Two settings that are always equal in any committed state.
    const writing = (async () => {
      while (!isOver) {
        const value = `${pairs++}`;
        await other.transaction(async (tables) => {
          await tables.settings.set('left', value);
          await tables.settings.set('right', value);
        });
      }
    })();
    const copy = join(directory, 'copy.sqlite');
    const before = pairs;
    await catalog.agents.seen(agent.id, moment(77));
    await catalog.backUpTo(copy);
    expect(pairs, 'others wrote meanwhile').toBeGreaterThan(before);
    isOver = true;
    await writing;
    expect(existsSync(`${copy}-wal`)).toBe(false);
    const raw = new Database(copy, { readonly: true });
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok');
    raw.close();
    const restored = await opened(copy);
    expect(await restored.settings.get('left')).toBe(await restored.settings.get('right'));
    expect((await restored.agents.get(agent.id))?.lastSeenAt).toBe(moment(77));
    expect((await restored.assets.listAll({ limit: 500 })).next).toBeDefined();
  });

  it('leaves nothing behind when it is aborted or cannot be written', async () => {
    const directory = scratchDirectory();
    const catalog = await opened(join(directory, 'catalog.sqlite'));
    await expect(catalog.backUpTo(join(directory, 'copy'), AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
    expect(readdirSync(directory).filter((name) => name.startsWith('copy'))).toEqual([]);
    await expect(catalog.backUpTo(join(directory, 'no', 'copy'))).rejects.toThrow();
  });

  it('is none of a catalogue with a damaged page: it would come to stand in the place of the good ones', async () => {
    const directory = scratchDirectory();
    const path = join(directory, 'catalog.sqlite');
    const first = await opened(path);
    const entry = { at: moment(0), actor: 'a', actorLabel: 'a', action: 'x', outcome: 'done' as const, details: {} };
    for (let i = 0; i < 200; i++) await first.audit.append(entry, () => '1'.repeat(64));
    await first.close();
    const raw = new Database(path);
    const page = raw.prepare(`SELECT max(pageno) FROM dbstat WHERE name = 'audit' AND pagetype = 'leaf'`).pluck().get() as number;
    const bytes = raw.pragma('page_size', { simple: true }) as number;
    raw.close();
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(bytes), 0, bytes, (page - 1) * bytes);
    closeSync(file);
    const catalog = await opened(path);
    await expect(catalog.backUpTo(join(directory, 'copy'))).rejects.toMatchObject({ code: 'CATALOG_DAMAGED' });
    expect(readdirSync(directory).filter((name) => name.startsWith('copy'))).toEqual([]);
  });
});

describe('the plan of a claim', () => {
  it('walks the queue in its order and sorts nothing', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    await opened(path);
    const connection = new Connection(path, 'read');
    for (const [text, index] of [
      [NEXT_OF_AGENT, 'runs_queued_of_agent'],
      [NEXT_OF_SERVICE, 'runs_queued_of_service'],
    ] as const) {
      const parameters = { at: '', kinds: '[]', perTenantMax: 1, ...(text === NEXT_OF_AGENT ? { agentId: '' } : {}) };
      const plan = connection.database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(parameters) as { readonly detail: string }[];
      const details = plan.map(({ detail }) => detail);
      expect(
        details.filter((detail) => /TEMP B-TREE/.test(detail)),
        details.join('\n'),
      ).toEqual([]);
      expect(
        details.some((detail) => detail.includes(index)),
        details.join('\n'),
      ).toBe(true);
      // Every look at the table of runs goes through an index.
      expect(details.filter((detail) => /^SCAN (?:run|other|runs)\b(?! USING)/.test(detail))).toEqual([]);
    }
    connection.close();
  });
});

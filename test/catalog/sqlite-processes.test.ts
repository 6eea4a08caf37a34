// Several processes on one catalogue, and processes that are killed in the middle of it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { verifyAudit } from '../../src/trust/audit-chain.ts';
import { auditEntries } from '../../src/trust/audit-checkpoint.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { catalogThings, moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const CHILD = join(CHECKOUT, 'test/support/catalog-child.ts');

type Child = {
  readonly process: ChildProcess;
  readonly lines: string[];
  readonly over: Promise<unknown>;
  line(n: number): Promise<void>;
};

function start(...args: readonly string[]): Child {
  const child = spawn(join(CHECKOUT, 'bin/node'), [CHILD, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout! });
  let wake: () => void = () => {};
  reader.on('line', (line) => {
    lines.push(line);
    wake();
  });
  child.on('exit', () => wake());
  const over = Promise.all([once(child, 'exit'), once(reader, 'close')]);
  return {
    process: child,
    lines,
    over,
    line: async (n) => {
      while (lines.length < n && child.exitCode === null) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

const open = (path: string) => openSqliteCatalog({ path, now: () => START, random: catalogThings().random });

describe('several processes on one catalogue', () => {
  it('claim each run once under each fence, and together run all of them', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const catalog = await open(path);
    onTestFinished(() => catalog.close());
    const things = catalogThings(3);
    const runs: string[] = [];
    for (let t = 0; t < 5; t++) {
      const tenant = things.tenant();
      await catalog.tenants.add(tenant);
      await catalog.transaction(async (tables) => {
        for (let n = 0; n < 80; n++)
          runs.push((await tables.runs.add(things.run(tenant.id, { kind: 'restore', attemptsMax: 4 }), moment(0))).run.id);
      });
    }
    const children = [0, 1, 2, 3].map((n) => start('claim', path, `p${n}`, `${n + 10}`));
    await Promise.all(children.map(({ over }) => over));
    expect(children.map(({ process }) => process.exitCode)).toEqual([0, 0, 0, 0]);
    const said = children.flatMap(({ lines }) => lines.filter((line) => line !== 'open').map((line) => line.split(' ')));
    const claims = said.filter(([what]) => what === 'claimed').map(([, run, fence]) => `${run} ${fence}`);
    expect(new Set(claims).size, 'no run was claimed twice under one fence').toBe(claims.length);
    expect(said.filter(([, , , state]) => state === 'fenced')).toEqual([]);
    expect(
      children.filter(({ lines }) => lines.some((line) => line.startsWith('claimed'))).length,
      'more than one took part',
    ).toBeGreaterThan(1);
    const { items } = allRuns(path);
    expect(items).toHaveLength(runs.length);
    const count = new Map<string, number>();
    for (const claim of claims) count.set(claim.split(' ')[0]!, (count.get(claim.split(' ')[0]!) ?? 0) + 1);
    for (const { id, fence, state, attempt } of items) {
      expect({ id, fence, attempt }).toEqual({ id, fence: count.get(id), attempt: count.get(id) });
      expect(['succeeded', 'failed']).toContain(state);
    }
    expect(claims.length, 'some were tried again').toBeGreaterThan(runs.length);
  });

  it('lose nothing that was acknowledged when they are killed', async () => {
    const path = join(scratchDirectory(), 'catalog.sqlite');
    const first = await open(path);
    const { id: tenantId } = await catalogThings(4)
      .seed(first)
      .then(async ({ tenant }) => {
        const named = { ...catalogThings(5).tenant(), name: 'the-tenant' };
        await first.tenants.add(named);
        expect(tenant.name).not.toBe(named.name);
        return named;
      });
    await first.close();
    const chance = seededRandom(11);
    const wrote: string[] = [];
    for (let round = 0; round < 6; round++) {
      const children = [0, 1].map((n) => start('write', path, `r${round}p${n}`, `${round * 2 + n + 20}`));
      for (const [n, child] of children.entries()) {
        await child.line(2 + Math.floor(chance() * 60));
        child.process.kill('SIGKILL');
        await child.over;
        const acknowledged = child.lines.filter((line) => line.startsWith('wrote '));
        wrote.push(...acknowledged.map((line) => `r${round}p${n}-${line.slice('wrote '.length)}`));
        expect(acknowledged.length).toBeGreaterThan(0);
      }
      const raw = new Database(path);
      expect(raw.pragma('integrity_check', { simple: true })).toBe('ok');
      expect(raw.pragma('foreign_key_check')).toEqual([]);
      raw.close();
    }
    const catalog = await open(path);
    onTestFinished(() => catalog.close());
    for (const key of wrote) {
      expect(await catalog.settings.get(key), key).toBe('in the transaction');
      expect(await catalog.settings.get(`${key}-beside`), key).toBe('by itself');
      expect((await catalog.runs.byKey(tenantId, key))?.key, key).toBe(key);
    }
    // Each transaction is there whole or not at all.
    const audited = new Set<string>();
    for await (const { subject } of auditEntries(catalog)) {
      expect(audited.has(subject!), subject).toBe(false);
      audited.add(subject!);
      expect(await catalog.settings.get(subject!), subject).toBe('in the transaction');
    }
    for (const key of wrote) expect(audited.has(key), key).toBe(true);
    const runs = (await catalog.runs.counts()).reduce((sum, { count }) => sum + count, 0);
    expect(runs).toBe(audited.size);
    expect(await verifyAudit(auditEntries(catalog), [])).toMatchObject({ kind: 'whole', entries: audited.size });
    const [usage] = await catalog.usage.list(tenantId, '2026-11-21', '2026-11-21');
    expect(usage!.egressBytes).toBeGreaterThanOrEqual(wrote.length);
  });
});

function allRuns(path: string) {
  const database = new Database(path, { readonly: true });
  try {
    const items = database.prepare('SELECT id, fence, state, attempt FROM runs').all();
    return { items: items as { readonly id: string; readonly fence: number; readonly state: string; readonly attempt: number }[] };
  } finally {
    database.close();
  }
}

// The service's own backup: a home that is lost comes back out of the store and one passphrase. By the real command, as in the runbook.

import { randomBytes } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { Run } from '../../src/model/run.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import { checkpointStore } from '../../src/recovery/checkpoint-store.ts';
import { auditLocation } from '../../src/recovery/system-repository.ts';
import { openStore } from '../../src/store/open.ts';
import { appendAudit } from '../../src/trust/audit-chain.ts';
import { AuditCheckpoints } from '../../src/trust/audit-checkpoint.ts';
import { openAuditKey } from '../../src/trust/audit-key.ts';
import { newHoldfast } from '../cli/holdfast.ts';
import { moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

type Dump = Record<string, Record<string, unknown>[]>;

/** Every row of every table. */
function dump(path: string): Dump {
  const database = new Database(path, { readonly: true });
  try {
    const tables = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).pluck().all() as string[];
    return Object.fromEntries(tables.map((name) => [name, database.prepare(`SELECT * FROM ${name} ORDER BY 1, 2`).all()])) as Dump;
  } finally {
    database.close();
  }
}

const entry = (n: number) => ({
  at: moment(n),
  actor: 'person:a',
  actorLabel: 'A',
  action: 'x',
  outcome: 'done' as const,
  details: { n },
});

/** One of everything that a restore has to be careful with. */
async function fill({ catalog, things }: Home, tenantId: string): Promise<void> {
  const person = {
    id: things.id('person'),
    login: 'ann',
    label: 'Ann',
    grants: [],
    state: 'active' as const,
    hasTotp: false,
    createdAt: moment(0),
    version: 1,
  };
  await catalog.people.add(person, { passwordHash: 'hash' });
  const token = { label: 't', grants: [], createdBy: 'person:x', createdAt: moment(0) };
  await catalog.tokens.add({ ...token, id: things.id('token') }, 'service');
  await catalog.tokens.add({ ...token, id: things.id('token'), personId: person.id }, 'session');
  await catalog.tokens.addEnrolment(
    { id: things.id('enrolment'), tenantId, label: 'x', expiresAt: moment(9999), createdBy: 'x' },
    'open',
  );
  await catalog.runs.add(things.run(tenantId, { kind: 'prune' }), moment(0));
  await catalog.runs.claim({
    by: 's',
    kinds: ['prune'],
    at: moment(1),
    leaseMs: 1000,
    perAgentMax: 9,
    perTenantMax: 9,
    totalMax: 9,
  });
  const order = (kind: RunKind, more: Partial<Run> = {}) => catalog.runs.add(things.run(tenantId, { kind, ...more }), moment(0));
  await order('restore');
  await order('erase');
  await order('forget', { parameters: { snapshots: ['ab'] } });
  await order('forget', { parameters: {} });
  await catalog.sessions.addGrants([{ digest: 'g', session: 's', key: 'k', lengthBytes: 1, sha256: 'a', expiresAt: moment(9999) }]);
  await catalog.events.add({ kind: 'run.failed', severity: 'info', message: 'm' }, moment(0));
  for (let n = 0; n < 5; n++) await appendAudit(catalog, entry(n));
}

describe('a lost home', () => {
  it('comes back out of the store, and is careful with what may have happened since', async () => {
    const directory = scratchDirectory();
    const program = newHoldfast();
    const home = await openHome(join(directory, 'home'));
    const { tenant, assets } = await home.tenant(1);
    await fill(home, tenant.id);
    await home.backUp(assets[0]!);
    const key = openAuditKey(home.secrets);
    writeFileSync(join(home.secrets, 'channel-mail'), 'the secret of a channel', { mode: 0o600 });
    const made = program.summary(['catalog', 'backup', '--home', home.home]);
    expect(made).toMatchObject({ location: join(home.store, '_system'), forgotten: 0 });
    const since = await home.backUp(assets[0]!);
    // What was audited after the backup is lost with the home; a checkpoint has seen it.
    await appendAudit(home.catalog, entry(9));
    const checkpointsOf = async (catalog: Catalog, base: string) => {
      const store = await openStore(auditLocation(base), { create: true });
      return { store, checkpoints: new AuditCheckpoints({ catalog, key, store: checkpointStore(store), now: () => START }) };
    };
    const { store: marks, checkpoints } = await checkpointsOf(home.catalog, home.store);
    await checkpoints.writeIfDue(true);
    await marks.close();
    await home.close();
    const safe = join(directory, 'safe');
    copyFileSync(join(home.secrets, 'system.passphrase'), safe);
    const before = dump(join(home.home, 'catalog.sqlite'));
    const secrets = Object.fromEntries(
      readdirSync(home.secrets).map((name) => [name, readFileSync(join(home.secrets, name), 'utf8')]),
    );
    // Only the store is left.
    const store = join(directory, 'store');
    renameSync(home.store, store);
    rmSync(home.home, { recursive: true });

    const again = join(directory, 'again');
    const from = ['--repo', join(store, '_system'), '--passphrase-file', safe, '--home', again];
    expect(program.summary(['catalog', 'restore', ...from])).toMatchObject({ snapshot: made['snapshot'] });
    const found = Object.fromEntries(
      readdirSync(join(again, 'secrets')).map((name) => [name, readFileSync(join(again, 'secrets', name), 'utf8')]),
    );
    expect(found).toEqual(secrets);
    for (const path of [
      join(again, 'catalog.sqlite'),
      ...readdirSync(join(again, 'secrets')).map((name) => join(again, 'secrets', name)),
    ])
      expect(statSync(path).mode & 0o077, path).toBe(0);
    expect(readdirSync(again).sort()).toEqual(['catalog.sqlite', 'secrets']);

    const after = dump(join(again, 'catalog.sqlite'));
    expect(Object.keys(after)).toEqual(Object.keys(before));
    const careful = [
      'store_grants',
      'enrolments',
      'tokens',
      'runs',
      'run_counts',
      'sqlite_sequence',
      'recovery_points',
      'audit',
      'settings',
    ];
    for (const table of Object.keys(before).filter((name) => !careful.includes(name)))
      expect(after[table], table).toEqual(before[table]);
    expect(after['recovery_points']).toEqual(before['recovery_points']!.filter(({ snapshot }) => snapshot !== since));
    expect(after['store_grants']).toEqual([]);
    expect(after['enrolments']![0]!['taken_at']).not.toBeNull();
    const revoked = Object.fromEntries(after['tokens']!.map(({ digest, revoked_at: at }) => [digest, at !== null]));
    expect(revoked, 'only sessions of people end').toEqual({ service: false, session: true });
    // It goes on where the lost one was: the next backup is in the same repository.
    const next = program.summary(['catalog', 'backup', '--home', again, '--store', store]);
    expect(next).toMatchObject({ location: join(store, '_system') });
    expect(after['runs']![0]!['fence'], 'no fence is given twice').toBeGreaterThan(1_000_000);
    const states = after['runs']!.map(
      ({ kind, parameters, state }) => `${kind}${String(parameters).includes('snapshots') ? ' by name' : ''} ${state}`,
    ).sort();
    expect(states, 'what people ordered may have been done or taken back since').toEqual([
      'erase canceled',
      'forget by name canceled',
      'forget queued',
      'prune running',
      'restore canceled',
    ]);
    expect(after['sqlite_sequence']!.find(({ name }) => name === 'events')!['seq']).toBeGreaterThan(1_000_000);

    expect(after['audit']!.map(({ sequence, action }) => [sequence, action])).toEqual([
      ...before['audit']!.slice(0, 5).map(({ sequence, action }) => [sequence, action]),
      [7, 'catalog.restore'],
    ]);
    const verified = program.run(['audit', 'verify', '--home', again, '--store', store]);
    expect(verified).toMatchObject({ status: 3, stderr: expect.stringContaining('Entries 6 to 6 were lost') });

    expect(program.run(['catalog', 'restore', ...from]).stderr, 'nothing is replaced').toContain('TARGET_OCCUPIED');
    const rebuilt = program.lines(['catalog', 'rebuild', '--home', again, '--store', store]);
    expect(rebuilt[0]).toMatchObject({ kind: 'tenant', tenant: tenant.name, pointsAdded: 1, pointsRemoved: 0, isNewTenant: false });
    expect(
      dump(join(again, 'catalog.sqlite'))
        ['recovery_points']!.map(({ snapshot }) => snapshot)
        .sort(),
    ).toEqual(before['recovery_points']!.map(({ snapshot }) => snapshot).sort());
  });

  it('has its tenants again from their passphrases alone, and says which repository it did not find', async () => {
    const directory = scratchDirectory();
    const program = newHoldfast();
    const home = await openHome(join(directory, 'home'));
    const tenants = [await home.tenant(1), await home.tenant(1)];
    for (const { assets } of tenants) await home.backUp(assets[0]!);
    await home.close();
    for (const end of ['', '-wal', '-shm']) rmSync(join(home.home, `catalog.sqlite${end}`), { force: true });
    const [first, second] = tenants as [(typeof tenants)[0], (typeof tenants)[0]];
    renameSync(join(home.store, second.tenant.name), `${directory}/moved`);
    expect(program.summary(['catalog', 'rebuild', '--home', home.home], { status: 3 })).toMatchObject({
      tenants: 1,
      notFound: 1,
      points: 1,
    });
    const summary = program.summary(['catalog', 'rebuild', '--home', home.home, '--at', `${directory}/moved`]);
    expect(summary).toMatchObject({ tenants: 2, notFound: 0, points: 2 });
    const names = dump(join(home.home, 'catalog.sqlite'))['tenants']!.map(({ id, name }) => [id, name]);
    expect(names).toEqual([
      [first.tenant.id, first.tenant.name],
      [second.tenant.id, 'moved'],
    ]);
  });
});

describe('the audit, offline', () => {
  it('is proved from the catalogue and from its export, and every way of tampering with it is found', async () => {
    const directory = scratchDirectory();
    const program = newHoldfast();
    const home = await openHome(join(directory, 'home'));
    for (let n = 0; n < 6; n++) await appendAudit(home.catalog, entry(n));
    const at = ['--home', home.home];
    expect(program.run(['audit', 'verify', ...at]), 'without checkpoints').toMatchObject({ status: 3 });
    const store = await openStore(auditLocation(home.store), { create: true });
    const key = openAuditKey(home.secrets);
    const checkpoints = new AuditCheckpoints({ catalog: home.catalog, key, store: checkpointStore(store), now: () => START });
    expect(await checkpoints.writeIfDue()).toMatchObject({ sequence: 6 });
    await store.close();
    expect(program.summary(['audit', 'verify', ...at])).toMatchObject({ entries: 6, checkpoints: 1, last: 6 });
    const text = program.ok(['audit', 'export', ...at]);
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(6);
    await home.close();

    const elsewhere = ['--checkpoints', auditLocation(home.store), '--key', join(home.secrets, 'audit-key.pub')];
    const verified = (content: readonly string[]) =>
      program.run(['audit', 'verify', program.file('audit.jsonl', `${content.join('\n')}\n`), ...elsewhere]);
    expect(verified(lines)).toMatchObject({ status: 0 });
    for (const [name, content] of Object.entries({
      removed: lines.toSpliced(2, 1),
      changed: lines.toSpliced(2, 1, lines[2]!.replace('person:a', 'person:b')),
      moved: lines.toSpliced(2, 2, lines[3]!, lines[2]!),
      cut: lines.slice(0, 5),
      none: [],
      garbage: lines.toSpliced(2, 1, 'null'),
    })) {
      const { status, stderr } = verified(content);
      expect({ name, status }).toEqual({ name, status: 4 });
      expect(stderr, name).toContain('AUDIT_BROKEN');
    }
    const other = program.file('other.pub', randomBytes(32).toString('base64url'));
    expect(program.run(['audit', 'verify', ...at, '--key', other]).stderr).toContain('not signed by a known key');
    const raw = new Database(join(home.home, 'catalog.sqlite'));
    raw.exec('DROP TRIGGER audit_is_not_deleted; DELETE FROM audit WHERE sequence = 6');
    raw.close();
    expect(program.run(['audit', 'verify', ...at]).stderr).toContain('entries 6 to 6 are missing from the end');
  });
});

it('backups of one day do not pile up', async () => {
  const program = newHoldfast();
  const home = await openHome(join(scratchDirectory(), 'home'));
  const forgotten: unknown[] = [];
  for (let n = 0; n < 5; n++) forgotten.push(program.summary(['catalog', 'backup', '--home', home.home])['forgotten']);
  // Of each of the two the last three stay; four when a day ended meanwhile.
  expect(forgotten.slice(0, 3)).toEqual([0, 0, 0]);
  const system = ['--repo', join(home.store, '_system'), '--passphrase-file', join(home.secrets, 'system.passphrase')];
  const kept = program.lines(['snapshots', ...system]).filter(({ kind }) => kind === 'snapshot');
  for (const asset of ['holdfast/catalog', 'holdfast/secrets'])
    expect([3, 4], asset).toContain(kept.filter((one) => one.asset === asset).length);
  expect(Number(forgotten[3]) + Number(forgotten[4])).toBe(10 - kept.length);
});

it('the service is not backed up below its home when its repositories lie elsewhere', async () => {
  const program = newHoldfast();
  const directory = scratchDirectory();
  const home = await openHome(join(directory, 'home'));
  const { tenant } = await home.tenant(0);
  const elsewhere = join(directory, 'store', tenant.name);
  cpSync(join(home.store, tenant.name), elsewhere, { recursive: true });
  await home.notes.setLocation(home.catalog.settings, tenant.id, elsewhere);
  const backup = ['catalog', 'backup', '--home', home.home];
  expect(program.fault(backup)).toMatchObject({ status: 2, line: { message: expect.stringContaining(elsewhere) } });
  expect(existsSync(join(home.store, '_system'))).toBe(false);
  const { location } = program.summary([...backup, '--store', join(directory, 'store')]);
  expect(location).toBe(join(directory, 'store/_system'));
});

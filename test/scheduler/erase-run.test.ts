// The end of a tenant: its key is destroyed, and nothing brings it back. With real repositories and the real command.

import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { ErasureCertificate } from '../../src/model/erasure.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { certifier } from '../../src/recovery/certificates.ts';
import { auditLocation, systemLocation } from '../../src/recovery/system-repository.ts';
import { runErase } from '../../src/scheduler/erase-run.ts';
import { PolicyBook } from '../../src/scheduler/policy-book.ts';
import type { ServiceRunPorts } from '../../src/scheduler/service-run.ts';
import { openStore } from '../../src/store/open.ts';
import { openAuditKey } from '../../src/trust/audit-key.ts';
import { certificateSetting } from '../../src/trust/erasure-certificate.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { newHoldfast } from '../cli/holdfast.ts';
import { moment, START } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

const ORDER = {
  approval: 'apr_00000000000000000000000001',
  requestedBy: 'person:per_1',
  requestedAt: moment(0),
  approvedBy: 'person:per_2',
  approvedAt: moment(1),
  reason: 'moved away',
  handedOver: 'all of it, to Anna',
};
const OUT_OF_PROGRAM = { PATH: process.env.PATH ?? '', HOME: tmpdir(), NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-code') };

/** Two tenants with a backup each, the service backed up twice, the first tenant closed. */
async function leaving(directory: string) {
  const program = newHoldfast();
  const home = await openHome(join(directory, 'home'));
  const [gone, stays] = [await home.tenant(1), await home.tenant(1)];
  for (const { assets } of [gone, stays]) await home.backUp(assets[0]!);
  for (let n = 0; n < 2; n++) program.summary(['catalog', 'backup', '--home', home.home]);
  const tenant = await home.catalog.tenants.change({ ...gone.tenant, state: 'closed' });
  if (typeof tenant === 'string') throw new Error(tenant);
  const auditStore = await openStore(auditLocation(home.store), { create: true });
  onTestFinished(() => auditStore.close());
  const ports: ServiceRunPorts = {
    catalog: home.catalog,
    tenants: home.tenants,
    erasure: { certify: certifier(auditStore, openAuditKey(home.secrets)), program: 'holdfast test' },
    book: new PolicyBook({ catalog: home.catalog }),
    program: { command: join(CHECKOUT, 'bin/holdfast'), environment: OUT_OF_PROGRAM },
    service: { home: home.home },
    now: () => START,
  };
  return { program, home, tenant, stays, ports, erase: await newErasure(home, tenant) };
}

/** A claimed run of the kind, and how to execute it. */
async function newErasure({ catalog, things }: Home, tenant: Tenant) {
  const { run: queued } = await catalog.runs.add(things.run(tenant.id, { kind: 'erase', parameters: { order: ORDER } }), moment(0));
  const limits = { leaseMs: 60_000, perAgentMax: 9, perTenantMax: 9, totalMax: 9 };
  const run = await catalog.runs.claim({ by: 'service:test', kinds: ['erase'], at: moment(2), ...limits });
  expect(run?.id).toBe(queued.id);
  const tell = (): void => {};
  return {
    run: run!,
    with: (ports: ServiceRunPorts, signal = new AbortController().signal) => runErase(ports, { run: run!, signal, tell }),
  };
}

async function certificateOf({ catalog }: Home, { id }: Tenant): Promise<ErasureCertificate> {
  return JSON.parse((await catalog.settings.get(certificateSetting(id)))!) as ErasureCertificate;
}

it('destroys the key of a tenant: no copy of its repository and no backup of the service opens anything, and the others are untouched', async () => {
  const directory = scratchDirectory();
  const { program, home, tenant, stays, ports, erase } = await leaving(directory);
  const place = await home.tenants.place(tenant.id);
  // Whoever has all the ciphertext, as it was, has nothing.
  const copy = join(directory, 'copy');
  cpSync(place.location, copy, { recursive: true });
  expect(await erase.with(ports)).toMatchObject({ state: 'succeeded', result: { keys: 1 } });

  const left = readdirSync(place.location, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(left.map(({ name }) => name)).toEqual([]);
  await expect(home.tenants.use(tenant.id, async () => {})).rejects.toMatchObject({ code: 'TENANT_KEY_GONE' });
  const id = (await certificateOf(home, tenant)).repository.id!;
  expect(existsSync(join(home.cache, id))).toBe(false);
  expect((await home.catalog.recoveryPoints.list(tenant.id, undefined, { limit: 9 })).items).toEqual([]);

  const system = ['--repo', systemLocation(home.store), '--passphrase-file', join(home.secrets, 'system.passphrase')];
  const again = join(directory, 'again');
  program.summary(['catalog', 'restore', ...system, '--home', again]);
  const secrets = readdirSync(join(again, 'secrets')).filter((name) => name.endsWith('.passphrase'));
  expect(secrets.sort()).toEqual([`${stays.tenant.id}.passphrase`, 'system.passphrase'].sort());
  for (const name of secrets)
    expect(program.fault(['snapshots', '--repo', copy, '--passphrase-file', join(again, 'secrets', name)]).code).toBe(
      'KEY_PASSPHRASE_WRONG',
    );

  const other = await home.tenants.place(stays.tenant.id);
  const theirs = ['--repo', other.location, '--passphrase-file', other.passphraseFile];
  expect(program.summary(['verify', '--full', ...theirs])).toMatchObject({ kind: 'summary' });
  await home.backUp(stays.assets[0]!);
});

it('certifies what it did, and whoever has the public key can prove the certificate without the service', async () => {
  const { program, home, tenant, ports, erase } = await leaving(scratchDirectory());
  await erase.with(ports);
  const certificate = await certificateOf(home, tenant);
  expect(certificate).toMatchObject({
    tenant: { id: tenant.id, name: tenant.name },
    order: ORDER,
    run: erase.run.id,
    destroyed: { keys: [expect.stringMatching(/^[0-9a-f]{16}$/)], recoveryPoints: 1, olderBackups: 2 },
  });
  expect(certificate.destroyed.objects).toBeGreaterThan(3);
  expect(certificate.remains.map(({ what }) => what)).toEqual(['replicas', 'copies-of-keys', 'records', 'media']);
  const stored = join(auditLocation(home.store), 'certificates', tenant.id);
  expect(JSON.parse(readFileSync(stored, 'utf8'))).toEqual(certificate);

  const verify = (text: string, ...keys: string[]) =>
    program.run(['certificate', 'verify', program.file('certificate.json', text), ...keys.flatMap((key) => ['--key', key])]);
  const key = join(home.secrets, 'audit-key.pub');
  const text = JSON.stringify(certificate, undefined, 2);
  expect(verify(text, key)).toMatchObject({ status: 0, stdout: expect.stringContaining('Verified') });
  expect(verify(text), 'nobody vouches for it').toMatchObject({ status: 3, stdout: expect.stringContaining('NOT verified') });
  const stranger = program.file('other.pub', randomBytes(32).toString('base64url'));
  expect(verify(text, stranger)).toMatchObject({ status: 3 });
  for (const [what, to] of [
    [certificate.order.approvedBy, 'person:per_3'],
    ['"what": "replicas"', '"what": "media"'],
    [certificate.at, moment(99)],
  ] as const) {
    expect(text).toContain(what);
    expect(verify(text.replace(what, to), key)).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('CERTIFICATE_REFUSED'),
    });
  }
  expect(verify('{}', key)).toMatchObject({ status: 4 });

  const audit = (await home.catalog.audit.after(0, tenant.id, 100)).map(({ action }) => action);
  expect(audit).toEqual(['tenant.erase.begin', 'tenant.erase']);
  const events = await home.catalog.events.after(0, tenant.id, 100);
  expect(events.map(({ kind }) => kind)).toEqual(['tenant.erased']);
});

it('goes on where it was, whichever of its steps it died in, and the certificate tells of all attempts', async () => {
  const { home, tenant, ports, erase } = await leaving(scratchDirectory());
  const died = new Set<string>();
  let step = '';
  /** Does what it does, and dies before it can say so; once. */
  const dying = <A extends readonly unknown[], T>(name: string, call: (...args: A) => Promise<T>) => {
    return async (...args: A): Promise<T> => {
      const answer = await call(...args);
      const which = `${name} ${step}`;
      if (died.has(which)) return answer;
      died.add(which);
      throw new Error(`died after ${which}`);
    };
  };
  const { tenants, erasure } = ports;
  const fragile: ServiceRunPorts = {
    ...ports,
    tenants: {
      place: dying('place', (id) => tenants.place(id)),
      use: (id, work) => tenants.use(id, work),
      useStore: (id, work) => dying('useStore', () => tenants.useStore(id, work))(),
      destroyPassphrase: dying('destroyPassphrase', (id) => tenants.destroyPassphrase(id)),
    },
    erasure: { ...erasure, certify: dying('certify', erasure.certify) },
  };
  let attempts = 0;
  for (;;) {
    const noted = await home.catalog.settings.get(`erasure:${tenant.id}`);
    const { destroyed } = JSON.parse(noted ?? '{"destroyed":{}}') as { destroyed: Record<string, unknown> };
    step = ['keysAt', 'contentAt', 'backupsAt'].filter((one) => one in destroyed).join(' ') + (noted === undefined ? '' : ' noted');
    attempts++;
    const end = await erase.with(fragile).catch((error: Error) => error);
    if (!(end instanceof Error)) break;
    expect(end.message).toMatch(/^died after/);
  }
  expect(attempts).toBeGreaterThan(6);
  const { destroyed } = await certificateOf(home, tenant);
  expect(destroyed).toMatchObject({ keys: [expect.any(String)], recoveryPoints: 1 });
  expect(destroyed.objects).toBeGreaterThan(3);
  await expect(home.tenants.use(tenant.id, async () => {})).rejects.toMatchObject({ code: 'TENANT_KEY_GONE' });
  const actions = (await home.catalog.audit.after(0, tenant.id, 100)).map(({ action }) => action);
  expect(actions, 'told once').toEqual(['tenant.erase.begin', 'tenant.erase']);
});

it('does nothing when it was taken back, while something of the tenant runs, or when the tenant is not closed', async () => {
  const { home, tenant, ports, erase } = await leaving(scratchDirectory());
  const { catalog, things } = home;
  const isWhole = () => home.tenants.use(tenant.id, async (repository) => (await repository.heads.read()).snapshots.length);
  const { run: backup } = await catalog.runs.add(things.run(tenant.id, { kind: 'prune' }), moment(0));
  await expect(erase.with(ports)).rejects.toMatchObject({ code: 'ERASURE_WAITS', message: expect.stringContaining(backup.id) });
  await catalog.runs.cancel(tenant.id, backup.id, moment(3));
  await catalog.runs.cancel(tenant.id, erase.run.id, moment(3));
  expect(await erase.with(ports)).toMatchObject({ state: 'canceled', fault: { code: 'RUN_CANCELED' } });
  expect(await catalog.settings.get(`erasure:${tenant.id}`)).toBeUndefined();
  expect(await isWhole()).toBe(1);
  const before = (await catalog.tenants.get(tenant.id))!;
  await catalog.tenants.change({ ...before, state: 'active' });
  await expect(erase.with(ports)).rejects.toMatchObject({ code: 'REQUEST_CONFLICT' });
  expect(await isWhole()).toBe(1);
});

it('a file with a secret is written over before it is deleted, and destroying it again is no harm', async () => {
  const { destroyFile } = await import('../../src/base/destroy-file.ts');
  const directory = scratchDirectory();
  const [path, kept] = [join(directory, 'secret'), join(directory, 'kept')];
  writeFileSync(path, 'the secret');
  // Another name of the same bytes shows what is left of them.
  (await import('node:fs')).linkSync(path, kept);
  expect([destroyFile(path), destroyFile(path)]).toEqual([true, false]);
  expect(readFileSync(kept)).toEqual(Buffer.alloc(10));
  expect(existsSync(path)).toBe(false);
});

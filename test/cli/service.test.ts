// The verbs of the service as processes of their own, against the real API over a real catalogue.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { replicasSetting } from '../../src/model/replica.ts';
import type { Tenant } from '../../src/model/tenant.ts';
import { decodeBase32, stepOf, totpCode } from '../../src/trust/totp.ts';
import { ServiceUnderTest } from '../api/service-under-test.ts';
import { POLICY_TEXT, populate, type Things } from '../api/world.ts';

const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');

let service: ServiceUnderTest;
let tenant: Tenant;
let things: Things;
let directory: string;
let url: string;
let token: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-verbs-'));
  service = await ServiceUnderTest.start();
  service.clock = new Date();
  tenant = await service.addTenant('bureau-a');
  things = await populate(service, tenant);
  token = await service.addToken({ role: 'owner', tenantId: tenant.id }, { role: 'security-admin' });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await service.close();
  rmSync(directory, { recursive: true });
});

type Outcome = { readonly status: number; readonly stdout: string; readonly stderr: string };

function run(args: readonly string[], variables: Readonly<Record<string, string | undefined>> = {}): Promise<Outcome> {
  const env = {
    PATH: process.env['PATH'],
    HOME: directory,
    TZ: 'UTC',
    NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-code'),
    HOLDFAST_SERVICE: url,
    HOLDFAST_TOKEN: token,
    ...variables,
  };
  return new Promise((done) => {
    execFile(PROGRAM, [...args], { env: env as NodeJS.ProcessEnv }, (error, stdout, stderr) => {
      done({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

async function ok(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(args);
  expect({ args, status, stderr }).toMatchObject({ status: 0 });
  return stdout;
}

const records = (text: string): readonly Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('the verbs of the service', () => {
  it('protect a directory, start a backup, and show what there is to return to', async () => {
    writeFileSync(join(directory, 'strict.yaml'), POLICY_TEXT('strict'));
    expect(await ok('policy', 'put', join(directory, 'strict.yaml'))).toBe('Policy "strict", version 1\n');
    expect(await ok('policy', 'get', 'strict')).toBe(POLICY_TEXT('strict'));
    const [made] = records(
      await ok('asset', 'create', 'web1/home', '--include', '/home', '--exclude', '*.tmp', '--policy', 'strict', '--json'),
    );
    expect(made).toMatchObject({
      kind: 'asset',
      name: 'web1/home',
      source: { kind: 'files', paths: ['/home'], excludes: ['*.tmp'] },
    });
    expect(await ok('asset', 'list')).toContain('web1/home');
    expect(await ok('policy', 'effective', 'web1/home')).toContain('"rpoMs":86400000');
    const [queued] = records(await ok('run', 'start', 'backup', 'web1/home', '--json'));
    expect(queued).toMatchObject({ state: 'queued', assetId: made!['id'] });
    const listed = (await ok('run', 'list', '--asset', 'web1/home'))
      .split('\n')
      .find((line) => line.includes(String(queued!['id'])));
    expect(listed, 'and of what it is').toContain('web1/home');
    expect(await ok('run', 'cancel', String(queued!['id']))).toContain('canceled');
    const followed = await run(['run', 'follow', String(queued!['id'])]);
    expect([followed.status, followed.stderr]).toEqual([130, expect.stringContaining('was canceled')]);
    expect(await ok('point', 'list', 'bureau-a/etc')).toContain(things['snapshot']!);
    expect(await ok('window', 'bureau-a/etc')).toContain('MISSING: no recovery point was ever read back and proved');
    const [plan] = records(await ok('recover', 'bureau-a/etc', '--target', '/srv/back', '--dry-run', '--json'));
    expect(plan).toMatchObject({ kind: 'plan', snapshot: things['snapshot'], target: '/srv/back' });
    const started = await ok(
      'recover',
      'bureau-a/etc',
      '--at',
      new Date(Date.now() + 60_000).toISOString(),
      '--target',
      '/srv/back',
    );
    expect(started).toMatch(/^Queued run_\w+;/);
  });

  it('tell of a run of the same that waits, which goes now, and of one that has begun, which is not enough', async () => {
    const [first] = records(await ok('run', 'start', 'verify', '--json'));
    const again = await run(['run', 'start', 'verify']);
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining(`Queued ${first!['id']};`) });
    expect(again.stderr).toContain(`${first!['id']} was queued already`);
    const limits = { leaseMs: 60_000, perAgentMax: 9, perTenantMax: 9, totalMax: 9 };
    await service.catalog.runs.claim({ by: 'service:a', kinds: ['verify'], at: service.clock.toISOString(), ...limits });
    const behind = await run(['run', 'start', 'verify']);
    const id = /^Queued (run_\w+);/.exec(behind.stdout)![1]!;
    expect(id).not.toBe(first!['id']);
    expect(behind.stderr).toMatch(new RegExp(`^${first!['id']} is under way since .*; ${id} begins when that is over`, 'm'));
    await ok('run', 'cancel', id);
  });

  it('let a person log in and approve what somebody else has asked for', async () => {
    const file = join(directory, 'password');
    writeFileSync(file, 'correct horse battery\n', { mode: 0o600 });
    await ok('person', 'create', 'anna', '--role', 'owner', '--password-file', file);
    const asked = await ok('asset', 'retire', 'bureau-a/etc', '--reason', 'it is gone');
    const id = /apr_\w+/.exec(asked)![0];
    const tokenFile = join(directory, 'sessions/token');
    const anna = { HOLDFAST_TOKEN: undefined, HOLDFAST_TOKEN_FILE: tokenFile };
    const login = await run(['login', 'anna@bureau-a', '--password-file', file], anna);
    expect(login).toMatchObject({ status: 0, stdout: expect.stringContaining('Logged in as anna') });
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    expect(login.stdout).not.toContain(readFileSync(tokenFile, 'utf8').trim());
    expect((await run(['approval', 'approve', id])).stderr).toContain('APPROVAL_OF_PERSONS');
    expect(await run(['approval', 'approve', id], anna)).toMatchObject({ status: 0, stdout: expect.stringContaining('executed') });
    expect(await ok('asset', 'show', 'bureau-a/etc')).toMatch(/state +retired/);
    const fresh = join(directory, 'new-password');
    writeFileSync(fresh, 'another long secret\n', { mode: 0o600 });
    expect((await run(['password', '--password-file', file, '--new-password-file', fresh], anna)).stdout).toBe(
      'The password is changed\n',
    );
    expect((await run(['login', 'anna@bureau-a', '--password-file', file], anna)).stderr).toContain('LOGIN_REFUSED');
    expect((await run(['login', 'anna@bureau-a', '--password-file', fresh], anna)).status).toBe(0);
    const codeOf = (secret: string, steps = 0) => totpCode(decodeBase32(secret)!, stepOf(service.clock) + steps);
    const secret = /authenticator: (\w+)/.exec((await run(['totp', 'enrol'], anna)).stdout)![1]!;
    expect(statSync(`${tokenFile}.totp`).mode & 0o777).toBe(0o600);
    const confirm = ['totp', 'confirm', codeOf(secret), '--password-file', fresh];
    expect(await run(confirm, anna)).toMatchObject({ status: 0, stdout: 'From now on a login needs --code as well\n' });
    expect(existsSync(`${tokenFile}.totp`)).toBe(false);
    expect((await run(confirm, anna)).stderr).toContain('holdfast totp enrol');
    expect((await run(['login', 'anna@bureau-a', '--password-file', fresh], anna)).stderr).toContain('LOGIN_CODE_NEEDED');
    const remove = ['totp', 'remove', codeOf(secret, 1), '--password-file', fresh];
    expect(await run(remove, anna)).toMatchObject({ status: 0, stdout: 'A login needs no code any more\n' });
    expect((await run(['login', 'anna@bureau-a', '--password-file', fresh], anna)).status).toBe(0);
    expect((await run(['logout'], anna)).status).toBe(0);
    expect(existsSync(tokenFile)).toBe(false);
    expect((await run(['whoami'], anna)).stderr).toContain('Run "holdfast login"');
  });

  it('make tokens and enrolments whose secret is all that standard output holds', async () => {
    const secret = (await ok('token', 'create', 'ci', '--role', 'viewer')).trim();
    expect(secret).toMatch(/^hf_[\w-]{43}$/);
    expect((await run(['whoami'], { HOLDFAST_TOKEN: secret })).stdout).toContain('viewer (bureau-a)');
    expect((await ok('agents', 'enroll', '--label', 'web2')).trim()).toMatch(/^hf_[\w-]{43}$/);
    const denied = await run(['agents', 'enroll'], { HOLDFAST_TOKEN: secret });
    expect([denied.status, denied.stderr]).toEqual([1, expect.stringContaining('REQUEST_FORBIDDEN')]);
    const system = (await ok('token', 'create', 'sys', '--grant', 'system-admin')).trim();
    expect((await run(['tenant', 'create', 'bureau-b', '--stored-max', '1T'], { HOLDFAST_TOKEN: system })).stdout).toContain(
      'bureau-b',
    );
    expect((await run(['tenant', 'list'], { HOLDFAST_TOKEN: system })).stdout).toMatch(/bureau-b .* 1\.00 TiB/);
  });

  it('show the audit, its proof, usage, events and the posture', async () => {
    expect(await ok('audit', 'list')).toContain('asset.create');
    expect(await ok('audit', 'prove')).toContain('The audit is whole');
    expect(await ok('usage', '--csv')).toBe('tenantId,tenant,day,protectedBytes,storedBytes,egressBytes,runs,drillSeconds\n');
    expect(await ok('usage', '--month', '2026-10', '--csv')).toBe(await ok('usage', '--csv'));
    expect(await ok('events')).toContain('something of bureau-a');
    expect(await ok('posture')).toContain('objectives kept');
    expect(await ok('agents', 'list')).toContain('host-of-bureau-a');
    expect(await ok('person', 'list')).toContain('somebody@bureau-a');
    expect(await ok('approval', 'list')).toContain('hold.release');
    const copy = {
      site: 'east',
      state: 'following',
      asOf: '2026-11-21T07:59:58.000Z',
      snapshots: 3,
      lockedForSeconds: 35 * 86_400,
    };
    await service.catalog.settings.set(replicasSetting(tenant.id), JSON.stringify([copy]));
    expect(await ok('replica', 'list')).toMatch(/^east +following +2026-11-21 07:59:58 +3 +- +35d +- +-$/m);
  });

  it('say what is wrong before or as the service does', async () => {
    const unreachable = await run(['whoami'], { HOLDFAST_SERVICE: 'http://127.0.0.1:1' });
    expect([unreachable.status, unreachable.stderr]).toEqual([1, expect.stringContaining('SERVICE_UNREACHABLE')]);
    expect(await run(['whoami'], { HOLDFAST_SERVICE: 'ftp://x' })).toMatchObject({ status: 2 });
    const relative = await run(['asset', 'create', 'web1/x', '--include', 'home']);
    expect(relative).toMatchObject({ status: 2, stderr: expect.stringContaining('"home" does not begin with "/"') });
    const target = await run(['recover', 'bureau-a/etc', '--target', 'home']);
    expect(target).toMatchObject({ status: 2, stderr: expect.stringContaining('"home" does not begin with "/"') });
    expect(await run(['asset', 'show', 'nothing'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('There is no asset "nothing"'),
    });
    expect(await run(['asset', 'list', '--tenant', 'bureau-x'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no tenant "bureau-x"'),
    });
    for (const [copies, message] of [
      [['east'], '"east" names no copy'],
      [['east=relative'], 'names no copy'],
      [['east=/a', 'east=/b'], 'The copies of the site "east" are named twice'],
    ] as const)
      expect(await run(['serve', ...copies.flatMap((copy) => ['--copy', copy])])).toMatchObject({
        status: 2,
        stderr: expect.stringContaining(message),
      });
    const wrong = await run(['whoami', '--json'], { HOLDFAST_TOKEN: `hf_${'a'.repeat(43)}` });
    expect(records(wrong.stdout)[0]).toMatchObject({ kind: 'error', code: 'REQUEST_UNAUTHENTICATED' });
  });

  it('know an agent by its label, though others run on the host of that name, and by a host that has one only', async () => {
    const first = await service.addAgent(tenant, 'db1');
    await service.addAgent(tenant, 'second', 'db1');
    const alone = await service.addAgent(tenant, 'third', 'db2');
    await service.addAgent(tenant, 'fourth', 'db3');
    await service.addAgent(tenant, 'fifth', 'db3');
    const create = (agent: string) =>
      run(['asset', 'create', `on-${agent}`, '--agent', agent, '--include', '/srv', '--json']).then(({ status, stdout }) => ({
        status,
        ...records(stdout)[0],
      }));
    expect(await create('db1')).toMatchObject({ status: 0, agentId: first });
    expect(await create('db2')).toMatchObject({ status: 0, agentId: alone });
    expect(await create('db3')).toMatchObject({ status: 2, message: 'Several agents are called "db3"' });
  });
});

// The service as its users meet it: started with nothing configured, a second agent on "another host" (a home of its own), the gold policy
// on a directory and on an image, a restore, an agent killed in the middle, the service killed, everything still there.

import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { siteConfigExample } from '../../agents/site/site-config-example.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { Served } from '../support/served.ts';

const PROGRAM = join(CHECKOUT, 'bin/holdfast');
const MIB = 1024 * 1024;

type Listed<T> = { readonly items: readonly T[] };

test('a second agent is enrolled, protects a directory and an image with the gold policy, is killed in the middle, and everything is restored', async () => {
  const root = scratchDirectory();
  const service = await Served.start(join(root, 'service'));
  const { tenant, base } = await tenantOf(service);
  expect(tenant).toMatch(/^ten_/);
  const restores = join(root, 'restores');
  mkdirSync(restores);

  // Enrolled once; the token is good for nothing afterwards.
  const { secret } = await service.post<{ secret: string }>(`${base}/enrolments`, { label: 'second' });
  const agentHome = join(root, 'agent');
  const enrol = ['agent', '--enroll', secret, '--service', service.url, '--home', agentHome, '--label', 'second', '--json'];
  const enrolled = lastLine(execFileSync(PROGRAM, enrol, { encoding: 'utf8' })) as { agentId: string };
  expect(() => execFileSync(PROGRAM, [...enrol.slice(0, 6), join(root, 'third')], { stdio: 'pipe' })).toThrow();
  let agent = startAgent(agentHome, restores);

  const tree = join(root, 'tree');
  mkdirSync(join(tree, 'sub'), { recursive: true });
  for (let n = 0; n < 50; n++) writeFileSync(join(tree, 'sub', `file-${n}`), randomBytes(20_000 + n));
  const image = join(root, 'disk.img');
  writeFileSync(image, randomBytes(8 * MIB));
  const files = await service.post<{ id: string }>(`${base}/assets`, {
    name: 'second/tree',
    agentId: enrolled.agentId,
    source: { kind: 'files', paths: [tree] },
    policy: 'gold',
  });
  const volume = await service.post<{ id: string }>(`${base}/assets`, {
    name: 'second/disk',
    agentId: enrolled.agentId,
    source: { kind: 'volume', path: image },
    policy: 'gold',
  });

  const [ofTree, ofImage] = await Promise.all([backUp(service, base, files.id), backUp(service, base, volume.id)]);
  expect([ofTree, ofImage].map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);

  // The second backup is much larger and is killed in the middle of it: the run is tried again, by itself.
  for (let n = 0; n < 10; n++) writeFileSync(join(tree, `large-${n}`), randomBytes(24 * MIB));
  const packs = (): number =>
    readdirSync(join(root, 'service/repositories'), { recursive: true }).filter((path) => /packs\/..\/./.test(String(path))).length;
  const before = packs();
  const run = await startRun(service, base, files.id);
  await service.until('the run to have stored something', async () => (packs() > before ? true : undefined));
  agent.kill('SIGKILL');
  agent = startAgent(agentHome, restores);
  const retried = await ended(service, base, run.id);
  expect(retried.state).toBe('succeeded');
  expect(retried.fence).toBeGreaterThan(1);

  // Restored by the agent that the operator names, to where that agent allows it.
  const target = join(restores, 'tree');
  const restore = await service.post<{ run: Run }>(`${base}/restores`, { assetId: files.id, target, verify: true });
  const restored = await ended(service, base, restore.run.id);
  expect(restored, JSON.stringify(restored.fault)).toMatchObject({ state: 'succeeded' });
  execFileSync('diff', ['-r', tree, target]);
  const diskTarget = join(restores, 'disk.img');
  const disk = await service.post<{ run: Run }>(`${base}/restores`, { assetId: volume.id, target: diskTarget });
  expect(await ended(service, base, disk.run.id)).toMatchObject({ state: 'succeeded' });
  expect(readFileSync(diskTarget).equals(readFileSync(image))).toBe(true);
  const elsewhere = await service.post<{ run: Run }>(`${base}/restores`, { assetId: files.id, target: join(root, 'not-allowed') });
  expect(await ended(service, base, elsewhere.run.id)).toMatchObject({
    state: 'failed',
    fault: { code: 'AGENT_RESTORE_DENIED' },
  });

  // What was done can be read and proved, and what is promised is judged.
  const verdict = await service.get<{ state: string }>(`${base}/audit/verify`);
  expect(verdict.state).toBe('whole');
  const prometheus = { label: 'prometheus', grants: [{ role: 'system-admin' }] };
  const { secret: reader } = await service.post<{ secret: string }>('/v1/tokens', prometheus);
  const metrics = await service.ask('GET', '/metrics', undefined, { authorization: `Bearer ${reader}` });
  expect(metrics.status).toBe(200);
  expect(String(metrics.body)).toMatch(/^holdfast_\w+/m);
  const window = await service.get<{ intervals: readonly unknown[] }>(`${base}/assets/${files.id}/recovery-window`);
  expect(window.intervals.length).toBeGreaterThan(0);

  // A power cut, and another start: nothing that was answered is missing.
  await service.kill();
  const again = await Served.start(join(root, 'service'), { token: service.token });
  const points = await again.get<Listed<{ snapshot: string }>>(`${base}/recovery-points`);
  // The policy may have asked for backups of its own meanwhile.
  const made = [ofTree, ofImage, retried].map(({ result }) => result?.['snapshot']);
  expect(points.items.map(({ snapshot }) => snapshot)).toEqual(expect.arrayContaining(made));
  expect((await again.get<Listed<unknown>>(`${base}/assets`)).items).toHaveLength(2);
  expect(await again.stop()).toBe(0);
  agent.kill('SIGTERM');
}, 300_000);

test('the local agent backs up a directory of this host right after the first start, and a copy of the home is a service of its own', async () => {
  const root = scratchDirectory();
  const home = join(root, 'service');
  const site = join(root, 'site.yaml');
  writeFileSync(site, siteConfigExample({ site: 'west', state: join(root, 'state') }));
  const service = await Served.start(home, { args: ['--site-config', site] });
  const { base } = await tenantOf(service);
  const agents = async () => (await service.get<Listed<{ id: string; host: { planSite?: string } }>>(`${base}/agents`)).items;
  const [local] = await agents();
  const tree = join(root, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'a'), 'hello');
  const source = { kind: 'files', paths: [tree] };
  const asset = await service.post<{ id: string }>(`${base}/assets`, { name: 'here/tree', agentId: local!.id, source });
  expect((await backUp(service, base, asset.id)).state).toBe('succeeded');
  // Plans of its site are its own to carry out.
  expect((await agents())[0]!.host.planSite).toBe('west');
  expect(await service.stop()).toBe(0);
  const copy = join(root, 'copy');
  cpSync(home, copy, { recursive: true });
  const other = await Served.start(copy, { token: service.token, args: ['--no-local-agent'] });
  expect((await other.get<Listed<unknown>>(`${base}/recovery-points`)).items).toHaveLength(1);
  expect(await other.stop()).toBe(0);
}, 120_000);

test("a first start that fails keeps the administrator's token for the one that serves", async () => {
  const root = scratchDirectory();
  const inTheWay = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void inTheWay.close());
  await once(inTheWay, 'listening');
  const listen = `127.0.0.1:${(inTheWay.address() as AddressInfo).port}`;
  await expect(Served.start(join(root, 'service'), { listen })).rejects.toThrow('SERVICE_CANNOT_LISTEN');
  const service = await Served.start(join(root, 'service'));
  expect(service.token).toMatch(/^hf_/);
  await tenantOf(service);
  expect(await service.stop()).toBe(0);
}, 60_000);

test('a home whose catalogue is lost does not begin anew with other passphrases, and serves when the catalogue was made again', async () => {
  const home = join(scratchDirectory(), 'service');
  const first = await Served.start(home);
  const { tenant } = await tenantOf(first);
  expect(await first.stop()).toBe(0);
  for (const name of readdirSync(home)) if (name.startsWith('catalog.sqlite')) rmSync(join(home, name));
  const secrets = readdirSync(join(home, 'secrets'));
  await expect(Served.start(home)).rejects.toThrow('CATALOG_MISSING');
  expect(readdirSync(join(home, 'secrets'))).toEqual(secrets);
  execFileSync(PROGRAM, ['catalog', 'rebuild', '--home', home]);
  const again = await Served.start(home);
  expect((await tenantOf(again)).tenant).toBe(tenant);
  expect(await again.stop()).toBe(0);
}, 60_000);

async function tenantOf(service: Served): Promise<{ readonly tenant: string; readonly base: string }> {
  const { items } = await service.get<Listed<{ id: string; name: string }>>('/v1/tenants');
  const { id } = items.find(({ name }) => name === 'default')!;
  return { tenant: id, base: `/v1/tenants/${id}` };
}

function startAgent(home: string, restores: string): ReturnType<typeof spawn> {
  const agent = spawn(PROGRAM, ['agent', '--home', home, '--allow-restore', restores], { stdio: 'ignore' });
  onTestFinished(() => void agent.kill('SIGKILL'));
  return agent;
}

function startRun(service: Served, base: string, assetId: string): Promise<Run> {
  return service.post<Run>(`${base}/runs`, { kind: 'backup', assetId }, { 'idempotency-key': randomBytes(8).toString('hex') });
}

async function backUp(service: Served, base: string, assetId: string): Promise<Run> {
  return ended(service, base, (await startRun(service, base, assetId)).id);
}

function ended(service: Served, base: string, id: string): Promise<Run> {
  return service.until(`the end of ${id}`, async () => {
    const run = await service.get<Run>(`${base}/runs/${id}`);
    return isOver(run.state) ? run : undefined;
  });
}

function lastLine(text: string): unknown {
  return JSON.parse(text.trimEnd().split('\n').at(-1)!);
}

// ops/runbooks/leaving-tenant.md, executed on a real service.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import type { Run } from '../../src/model/run.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { Served } from '../support/served.ts';

it('the runbook of a leaving tenant hands its data over, destroys its key and proves it, and the service goes on', async () => {
  const text = readFileSync(join(CHECKOUT, 'ops/runbooks/leaving-tenant.md'), 'utf8');
  const steps = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands!);
  const [handOver, close, approveClose, erase, approveErase, look, certify, ...others] = steps;
  expect(others).toEqual([]);

  const directory = scratchDirectory();
  const home = join(directory, 'home');
  const service = await Served.start(home, { args: ['--erase-after', '0'] });
  const { tenants } = await service.get<{ tenants: { id: string }[] }>('/v1/me');
  const tenant = tenants[0]!.id;
  const base = `/v1/tenants/${tenant}`;
  const variables: Record<string, string> = {
    PATH: `${join(CHECKOUT, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: directory,
    HOLDFAST_CACHE_DIR: join(directory, 'cache'),
    HOLDFAST_SERVICE: service.url,
    TENANT: 'default',
    TENANT_ID: tenant,
    SERVICE_HOME: home,
    STORE: join(home, 'repositories'),
    HANDOVER: join(directory, 'handover'),
    THEIRS: join(directory, 'theirs'),
  };
  const run = (commands: string): string => {
    const { status, stdout, stderr } = spawnSync('sh', ['-euc', commands], { cwd: directory, env: variables, encoding: 'utf8' });
    expect({ commands, status, stderr: status === 0 ? '' : stderr }).toEqual({ commands, status: 0, stderr: '' });
    return stdout;
  };
  for (const name of ['anna', 'berta']) {
    const password = `a long password of ${name}`;
    await service.post(`${base}/people`, { login: name, label: name, password, roles: ['owner'] });
    const { secret } = await service.post<{ secret: string }>('/v1/login', { login: `${name}@default`, password });
    variables[name.toUpperCase()] = join(directory, name);
    writeFileSync(join(directory, name), secret, { mode: 0o600 });
  }
  const tree = join(directory, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'file'), 'of the bureau');
  const [agent] = (await service.get<{ items: { id: string }[] }>(`${base}/agents`)).items;
  const source = { kind: 'files', paths: [tree] };
  const asset = await service.post<{ id: string }>(`${base}/assets`, { name: 'here/tree', agentId: agent!.id, source });
  const { id } = await service.post<Run>(`${base}/runs`, { kind: 'backup', assetId: asset.id });
  const runIs = (run: string, ...states: Run['state'][]) =>
    service.until(`the run to be ${states.join(' or ')}`, async () => {
      const now = await service.get<Run>(`${base}/runs/${run}`);
      return states.includes(now.state) ? now : undefined;
    });
  expect((await runIs(id, 'succeeded', 'failed')).state).toBe('succeeded');

  writeFileSync(variables['THEIRS']!, 'a passphrase of the bureau');
  run(handOver!);
  const approvalIn = (said: string): string => /apr_[0-9a-z]{26}/.exec(said)![0];
  variables['APPROVAL'] = approvalIn(run(close!));
  run(approveClose!);
  variables['APPROVAL'] = approvalIn(run(erase!));
  run(approveErase!);
  const [erasing] = (await service.get<{ items: Run[] }>(`${base}/runs?kind=erase`)).items;
  expect(run(look!)).toContain('erase');
  const ended = await runIs(erasing!.id, 'succeeded', 'failed');
  expect(ended, JSON.stringify(ended.fault)).toMatchObject({ state: 'succeeded' });
  expect(run(certify!)).toContain('Verified');

  expect(await service.stop()).toBe(0);
  const again = await Served.start(home, { token: service.token });
  expect((await again.ask('GET', '/readyz')).status, 'the service goes on').toBe(200);
  expect((await again.get<{ state: string }>(`${base}/audit/verify`)).state).toBe('whole');
  const out = join(directory, 'out');
  run(`holdfast restore --repo "$HANDOVER" --passphrase-file "$THEIRS" latest --target ${out}`);
  expect(readFileSync(join(out, 'file'), 'utf8')).toBe('of the bureau');
  expect(await again.stop()).toBe(0);
}, 300_000);

// ops/runbooks/lost-service.md with a real service before and after: what it knew, and what was backed up since, is there again.

import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { Served } from '../support/served.ts';

type Listed<T> = { readonly items: readonly T[] };

const runbook = readFileSync(join(CHECKOUT, 'ops/runbooks/lost-service.md'), 'utf8');

test('a service whose machine is lost answers again after the runbook: same token, same asset, every recovery point', async () => {
  const root = scratchDirectory();
  const at = (name: string): string => join(root, name);
  const env = { HOME: root, XDG_CACHE_HOME: at('cache') };
  const service = await Served.start(at('home'), { args: ['--store', at('store')], env });
  const { items } = await service.get<Listed<{ id: string }>>('/v1/tenants');
  const base = `/v1/tenants/${items[0]!.id}`;
  mkdirSync(at('tree'));
  writeFileSync(at('tree/file'), 'kept');
  const agents = await service.get<Listed<{ id: string }>>(`${base}/agents`);
  const asset = await service.post<{ id: string }>(`${base}/assets`, {
    name: 'host/tree',
    agentId: agents.items[0]!.id,
    source: { kind: 'files', paths: [at('tree')] },
    policy: 'gold',
  });
  const before = await backedUp(service, base, asset.id);
  const variables = {
    ...env,
    PATH: `${join(CHECKOUT, 'bin')}:${process.env.PATH}`,
    OLD_HOME: at('home'),
    NEW_HOME: at('new'),
    STORE: at('store'),
    SAFE: at('safe'),
  };
  const [backup, ...steps] = [...runbook.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, body]) => body!);
  run(backup!, variables);
  const after = await backedUp(service, base, asset.id);

  await service.kill();
  cpSync(at('home/secrets/system.passphrase'), variables.SAFE);
  renameSync(at('home'), at('lost'));
  for (const step of steps) run(step, variables);

  // The store remembers who served it: two at once would each forget what the other one keeps.
  const args = ['--store', at('store'), '--no-local-agent'];
  const program = join(CHECKOUT, 'bin/holdfast');
  const options = { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 60_000 } as const;
  const refused = spawnSync(program, ['serve', '--home', at('new'), '--listen', '127.0.0.1:0', ...args], options);
  expect(refused.stderr).toContain('SERVICE_STORE_TAKEN');
  const again = await Served.start(at('new'), { args: [...args, '--take-over'], token: service.token, env });
  const points = await again.get<Listed<{ snapshot: string }>>(`${base}/recovery-points?limit=100`);
  expect(points.items.map(({ snapshot }) => snapshot)).toEqual(expect.arrayContaining([before, after]));
  expect(await again.get(`${base}/assets/${asset.id}`)).toMatchObject({ name: 'host/tree' });
});

function run(commands: string, variables: NodeJS.ProcessEnv): void {
  const env = { ...process.env, ...variables };
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', commands], { cwd: CHECKOUT, encoding: 'utf8', env });
  expect(status, `${commands}\n${stdout}\n${stderr}`).toBe(0);
}

/** The snapshot that a backup made. */
async function backedUp(service: Served, base: string, assetId: string): Promise<string> {
  const key = { 'idempotency-key': randomUUID() };
  const run = await service.post<Run>(`${base}/runs`, { kind: 'backup', assetId }, key);
  const ended = await service.until('the backup to end', async () => {
    const now = await service.get<Run>(`${base}/runs/${run.id}`);
    return isOver(now.state) ? now : undefined;
  });
  expect(ended.state, JSON.stringify(ended.fault)).toBe('succeeded');
  return (ended.result as { snapshot: string }).snapshot;
}

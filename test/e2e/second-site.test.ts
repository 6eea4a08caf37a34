// Two sites: a service at the first one backs up, its repositories are kept as replicas at the second one, the first site is gone with all that
// was there, and a service at the second site restores from its own replicas. From the loss on with the commands of ops/runbooks/lost-site.md.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Replica } from '../../src/model/replica.ts';
import type { Run } from '../../src/model/run.ts';
import { isOver } from '../../src/model/run-state.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { linesOf } from '../cli/holdfast.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { Served } from '../support/served.ts';

const PROGRAM = join(CHECKOUT, 'bin/holdfast');

type Listed<T> = { readonly items: readonly T[] };

test('a service at the second site restores from its own replicas when the first site is gone', async () => {
  const text = readFileSync(join(CHECKOUT, 'ops/runbooks/lost-site.md'), 'utf8');
  const steps = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands!);
  expect(steps).toHaveLength(4);
  const [, restoreCatalog, rebuild, release] = steps as [string, string, string, string];
  const root = scratchDirectory();
  const variables = {
    PATH: `${join(CHECKOUT, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: root,
    HOLDFAST_CACHE_DIR: join(root, 'cache'),
    SAFE: join(root, 'safe'),
    SITE_B: join(root, 'b/store'),
    NEW_HOME: join(root, 'b/home'),
    TENANT: 'default',
    PASSPHRASE: '',
  };
  const sh = (commands: string): string => {
    const { status, stdout, stderr } = spawnSync('sh', ['-euc', commands], { env: variables, encoding: 'utf8' });
    expect({ commands, status, stderr: status === 0 ? '' : stderr }).toMatchObject({ status: 0 });
    return stdout;
  };

  // The first site.
  const homeA = join(root, 'a/home');
  const storeA = join(root, 'a/store');
  mkdirSync(dirname(variables.SITE_B), { recursive: true });
  const first = await Served.start(homeA, { args: ['--store', storeA, '--copy', `b=${variables.SITE_B}`] });
  const [tenant] = (await first.get<Listed<{ id: string; name: string }>>('/v1/tenants')).items;
  const base = `/v1/tenants/${tenant!.id}`;
  const seen = (state: string): Promise<unknown> =>
    first.until(`the copy is ${state}`, async () =>
      (await first.get<Listed<Replica>>(`${base}/replicas`)).items.find((one) => one.site === 'b' && one.state === state),
    );
  await seen('missing');
  const [agent] = (await first.get<Listed<{ id: string }>>(`${base}/agents`)).items;
  const tree = join(root, 'tree');
  mkdirSync(tree);
  for (let n = 0; n < 20; n++) writeFileSync(join(tree, `file-${n}`), randomBytes(30_000 + n));
  const asset = { name: 'here/tree', agentId: agent!.id, source: { kind: 'files', paths: [tree] } };
  const { id: assetId } = await first.post<{ id: string }>(`${base}/assets`, asset);
  expect((await backUp(first, base, assetId)).state).toBe('succeeded');
  execFileSync(PROGRAM, ['catalog', 'backup', '--home', homeA, '--store', storeA], { env: variables });
  copyFileSync(join(homeA, 'secrets/system.passphrase'), variables.SAFE);

  // Its replicas follow: also what is backed up while they run.
  const passphrase = join(homeA, `secrets/${tenant!.id}.passphrase`);
  const follow = (name: string, file: string): Replicating =>
    new Replicating(join(storeA, name), join(variables.SITE_B, name), file);
  const replications = [follow('default', passphrase), follow('_system', variables.SAFE)];
  writeFileSync(join(tree, 'later'), 'written while replicas follow');
  const later = await backUp(first, base, assetId);
  const ended = Date.now();
  for (const one of replications) await one.isPast(ended);
  for (const one of replications) one.kill();

  // Fire.
  await first.kill();
  rmSync(join(root, 'a'), { recursive: true });

  // The second site has its replicas, the passphrase out of the safe, and this program.
  sh(restoreCatalog);
  const rebuilt = linesOf(sh(rebuild.replaceAll('holdfast catalog rebuild', 'holdfast catalog rebuild --json')));
  expect(rebuilt.find(({ kind }) => kind === 'tenant')).toMatchObject({ location: join(variables.SITE_B, 'default'), points: 2 });
  variables.PASSPHRASE = join(variables.NEW_HOME, `secrets/${tenant!.id}.passphrase`);
  sh(release);
  const restores = join(root, 'restores');
  mkdirSync(restores);
  const second = await Served.start(variables.NEW_HOME, {
    args: ['--store', variables.SITE_B, '--no-local-agent'],
    token: first.token,
  });
  const agentId = await enrolled(second, base, join(root, 'b/agent'), restores);
  const points = (await second.get<Listed<{ snapshot: string }>>(`${base}/recovery-points`)).items;
  expect(points.map(({ snapshot }) => snapshot)).toContain(later.result?.['snapshot']);
  const target = join(restores, 'tree');
  const { run } = await second.post<{ run: Run }>(`${base}/restores`, { assetId, target, agentId, verify: true });
  const restored = await over(second, base, run.id);
  expect(restored, JSON.stringify(restored.fault)).toMatchObject({ state: 'succeeded' });
  execFileSync('diff', ['-r', tree, target]);
  // And it is protected again, at the second site.
  const moved = { name: 'there/tree', agentId, source: { kind: 'files', paths: [target] } };
  const { id: movedId } = await second.post<{ id: string }>(`${base}/assets`, moved);
  expect((await backUp(second, base, movedId)).state).toBe('succeeded');
  expect(await second.stop()).toBe(0);
}, 300_000);

/** `holdfast replica run`, as a service. */
class Replicating {
  readonly #child: ReturnType<typeof spawn>;
  #startedAt = Number.NaN;
  #lag: number | null = null;
  #at = Number.NaN;
  #output = '';

  constructor(from: string, to: string, passphraseFile: string) {
    const args = ['replica', 'run', '--repo', from, '--to', to, '--passphrase-file', passphraseFile, '--json', '--no-progress'];
    this.#startedAt = Date.now();
    this.#child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void this.#child.kill('SIGKILL'));
    this.#child.stderr!.on('data', (text) => (this.#output += text));
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      for (const { kind, at, lagSeconds } of linesOf(text.slice(0, text.lastIndexOf('\n') + 1)))
        if (kind === 'lag') [this.#at, this.#lag] = [Date.parse(String(at)), lagSeconds as number | null];
    });
  }

  /** Everything that was there at a moment is at the replica. */
  async isPast(moment: number): Promise<void> {
    while (this.#lag === null || this.#at - this.#lag * 1000 <= moment) {
      if (this.#child.exitCode !== null || Date.now() - this.#startedAt > 120_000) throw new Error(`no progress: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function enrolled(service: Served, base: string, home: string, restores: string): Promise<string> {
  const { secret } = await service.post<{ secret: string }>(`${base}/enrolments`, { label: 'at site b' });
  const args = ['agent', '--enroll', secret, '--service', service.url, '--home', home, '--label', 'at site b', '--json'];
  const lines = linesOf(execFileSync(PROGRAM, args, { encoding: 'utf8' }));
  const agent = spawn(PROGRAM, ['agent', '--home', home, '--allow-restore', restores], { stdio: 'ignore' });
  onTestFinished(() => void agent.kill('SIGKILL'));
  return String(lines.at(-1)!['agentId']);
}

async function backUp(service: Served, base: string, assetId: string): Promise<Run> {
  const key = { 'idempotency-key': randomBytes(8).toString('hex') };
  return over(service, base, (await service.post<Run>(`${base}/runs`, { kind: 'backup', assetId }, key)).id);
}

function over(service: Served, base: string, id: string): Promise<Run> {
  return service.until(`the end of ${id}`, async () => {
    const run = await service.get<Run>(`${base}/runs/${id}`);
    return isOver(run.state) ? run : undefined;
  });
}

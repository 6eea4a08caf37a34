// A scene whose tenant has a real repository, and backups in it as agents' would be known.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { backUp as backUpWith } from '../../src/engine/backup.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { backUpStream } from '../../src/engine/backup-stream.ts';
import type { RecoveryPoint } from '../../src/model/recovery-point.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { TenantRepositories } from '../../src/tenants/tenant-repositories.ts';
import { repositoriesBelow } from '../support/control-plane.ts';
import { MINUTE, newScene, type Scene } from './scene.ts';

export const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');
export const ENVIRONMENT = {
  PATH: process.env.PATH ?? '',
  HOME: tmpdir(),
  NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-test-code'),
};

export type Repositories = Scene & { readonly tenants: TenantRepositories; cli(...args: string[]): string };

export async function withRepository(policy: string): Promise<Repositories> {
  const scene = await newScene(policy);
  const { directory, catalog, tenant, things } = scene;
  const tenants = repositoriesBelow(directory, catalog, things.random);
  onTestFinished(() => tenants.close());
  mkdirSync(join(directory, 'repositories'));
  await tenants.create(tenant);
  const place = await tenants.place(tenant.id);
  const where = ['--repo', place.location, '--passphrase-file', place.passphraseFile, '--cache-dir', place.cacheDirectory];
  const cli = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(PROGRAM, [...args, ...where], { env: ENVIRONMENT, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  };
  return { ...scene, tenants, cli };
}

/** A snapshot of the asset: content that was never there before. Answers its name. */
export async function storeStream(repository: Repository, asset: string, content: Uint8Array): Promise<string> {
  await repository.openIndex();
  const progress = new BackupProgress();
  const details = {
    asset,
    type: 'stream' as const,
    host: 'test',
    user: 'test',
    paths: [asset],
    tags: [],
    program: 'test',
    now: () => new Date(),
    threads: 1,
    level: 1,
    signal: new AbortController().signal,
    progress,
    listener: { onProblem: () => {} },
  };
  const { id } = await backUpWith(repository, details, async ({ pipeline, parameters, keyring }) => ({
    root: await backUpStream({
      session: pipeline,
      stream: (async function* () {
        yield content;
      })(),
      chunking: parameters.content,
      multiplier: keyring.multiplier,
      progress,
    }),
  }));
  return id;
}

/** A backup of the asset, as an agent's would be known. */
export async function backUp(
  scene: Repositories,
  more: Partial<RecoveryPoint> = {},
  store = (repository: Repository) => storeStream(repository, scene.asset.name, scene.things.random(300_000)),
): Promise<string> {
  const { catalog, things, tenant, asset, clock } = scene;
  const snapshot = await scene.tenants.use(tenant.id, store);
  const at = clock.now().toISOString();
  clock.pass(MINUTE);
  const point = things.point(tenant.id, { assetId: asset.id, assetName: asset.name, snapshot, startedAt: at, endedAt: at });
  const { provenAt: _, proof: __, ...unproved } = point;
  await catalog.recoveryPoints.put({ ...unproved, isSound: true, isHeld: false, tags: [], hasWarnings: false, ...more });
  return snapshot;
}

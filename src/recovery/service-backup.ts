// Backs up the service itself into its own repository: a consistent copy of the catalogue, and its secrets (passphrases of tenants' repositories,
// keys), without which no bucket could be read. Two streams, two snapshots; the secrets come first, so that a catalogue never names a
// tenant whose passphrase is not in a snapshot.

import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog } from '../catalog/catalog.ts';
import { backUp } from '../engine/backup.ts';
import { BackupProgress } from '../engine/backup-progress.ts';
import { backUpStream } from '../engine/backup-stream.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { SYSTEM_PASSPHRASE } from './system-repository.ts';

export const CATALOG_ASSET = 'holdfast/catalog';
export const SECRETS_ASSET = 'holdfast/secrets';
const LEVEL = 3;

export type ServiceBackup = {
  readonly catalog: Pick<Catalog, 'backUpTo'>;
  readonly repository: Repository;
  readonly secretsDirectory: string;
  /** Where the copy lies for a while: as much room as the catalogue takes, readable by the service's user only. */
  readonly scratchDirectory: string;
  readonly host: string;
  readonly user: string;
  readonly program: string;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

/** What the stream of secrets is: contents as base64, by path below the directory. */
export type SecretsFile = {
  readonly format: 'holdfast-secrets';
  readonly version: 1;
  readonly files: Readonly<Record<string, string>>;
};

export async function backUpService(run: ServiceBackup): Promise<{ readonly catalog: Snapshot; readonly secrets: Snapshot }> {
  const secrets = await snapshotOf(run, SECRETS_ASSET, pieceOf(encodeSecrets(run.secretsDirectory)));
  const directory = await mkdtemp(join(run.scratchDirectory, 'catalog-'));
  try {
    const copy = join(directory, 'catalog.sqlite');
    await run.catalog.backUpTo(copy, run.signal);
    const catalog = await snapshotOf(run, CATALOG_ASSET, createReadStream(copy, { signal: run.signal }));
    return { catalog, secrets };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function snapshotOf(run: ServiceBackup, asset: string, stream: AsyncIterable<Uint8Array>): Promise<Snapshot> {
  const { repository, host, user, program, now, signal } = run;
  const progress = new BackupProgress();
  progress.files = 1;
  const details = {
    asset,
    type: 'stream' as const,
    host,
    user,
    paths: [asset],
    tags: ['service'],
    program,
    now,
    threads: 1,
    level: LEVEL,
    signal,
    progress,
    listener: { onProblem: () => {} },
  };
  return backUp(repository, details, async ({ pipeline, parameters, keyring }) => ({
    root: await backUpStream({
      session: pipeline,
      stream,
      chunking: parameters.content,
      multiplier: keyring.multiplier,
      progress,
    }),
  }));
}

/** All but the passphrase of the repository that they go to. */
function encodeSecrets(directory: string): Uint8Array {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(directory.length + 1);
    if (name !== SYSTEM_PASSPHRASE) files[name] = readFileSync(path).toString('base64');
  }
  const secrets: SecretsFile = { format: 'holdfast-secrets', version: 1, files };
  return Buffer.from(JSON.stringify(secrets));
}

async function* pieceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

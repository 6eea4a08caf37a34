// Backs up the service itself into its own repository: a consistent copy of the catalogue, and its secrets (passphrases of tenants' repositories,
// keys), without which no bucket could be read. Two streams, two snapshots; the secrets come first, so that a catalogue never names a
// tenant whose passphrase is not in a snapshot.
//
// The secrets are scrambled with a key that stands beside them, new each time: no two snapshots of them share a chunk, so that of a
// passphrase that was destroyed nothing stays when the older snapshots go (drop-older-secrets.ts). And they are read after the session
// has begun: who sees no backup among the writers after a secret was destroyed knows that none holds it.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../base/faults.ts';
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

/** Contents as base64, by path below the directory. */
type SecretFiles = Readonly<Record<string, string>>;

/** What the stream of secrets is. The first version had `files` as they are. */
type SecretsFile =
  | { readonly format: 'holdfast-secrets'; readonly version: 1; readonly files: SecretFiles }
  | { readonly format: 'holdfast-secrets'; readonly version: 2; readonly key: string; readonly scrambled: string };

const SCRAMBLE = 'aes-256-ctr';
const SCRAMBLE_KEY_BYTES = 32;
const COUNTER = new Uint8Array(16);

export async function backUpService(run: ServiceBackup): Promise<{ readonly catalog: Snapshot; readonly secrets: Snapshot }> {
  const secrets = await snapshotOf(run, SECRETS_ASSET, secretsOf(run.secretsDirectory));
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

/** FORMAT_TOO_NEW. */
export function decodeSecrets(bytes: Uint8Array): SecretFiles {
  const secrets = JSON.parse(Buffer.from(bytes).toString('utf8')) as SecretsFile;
  if (secrets.format !== 'holdfast-secrets' || (secrets.version !== 1 && secrets.version !== 2))
    throw new Fault('FORMAT_TOO_NEW', 'The secrets are of a newer Holdfast');
  if (secrets.version === 1) return secrets.files;
  const cipher = createDecipheriv(SCRAMBLE, Buffer.from(secrets.key, 'base64'), COUNTER);
  const text = Buffer.concat([cipher.update(secrets.scrambled, 'base64'), cipher.final()]).toString('utf8');
  return JSON.parse(text) as SecretFiles;
}

function encodeSecrets(directory: string): Uint8Array {
  const key = randomBytes(SCRAMBLE_KEY_BYTES);
  const cipher = createCipheriv(SCRAMBLE, key, COUNTER);
  const text = Buffer.from(JSON.stringify(filesIn(directory)));
  const scrambled = Buffer.concat([cipher.update(text), cipher.final()]).toString('base64');
  const secrets: SecretsFile = { format: 'holdfast-secrets', version: 2, key: key.toString('base64'), scrambled };
  return Buffer.from(JSON.stringify(secrets));
}

/** All but the passphrase of the repository that they go to. */
function filesIn(directory: string): SecretFiles {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(directory.length + 1);
    if (name !== SYSTEM_PASSPHRASE) files[name] = readFileSync(path).toString('base64');
  }
  return files;
}

/** Read when the stream is. */
async function* secretsOf(directory: string): AsyncGenerator<Uint8Array> {
  yield encodeSecrets(directory);
}

// Brings the service's catalogue and secrets back out of its own repository, into a home that has no catalogue. Nothing that is there is
// replaced. The catalogue gets its name last, whole, checked and on disk: until then there is no service to start.

import { createWriteStream, existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { linkDurably, writeOnce } from '../base/write-once.ts';
import { readyRestoredCatalog } from '../catalog/sqlite/restored.ts';
import { readContent } from '../engine/restore-single.ts';
import { instantOf } from '../model/instant.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { CATALOG_ASSET, decodeSecrets, SECRETS_ASSET } from './service-backup.ts';
import { SYSTEM_PASSPHRASE } from './system-repository.ts';

const SECRETS_BYTES_MAX = 256 * 1024 * 1024;

export type ServiceRestore = {
  readonly repository: Repository;
  /** What opened it: the next backup of the restored service goes to the same repository. */
  readonly passphrase: Uint8Array;
  readonly catalogPath: string;
  readonly secretsDirectory: string;
  /** Only backups that began by then; absent: the newest. */
  readonly before?: Date;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

export type RestoredService = {
  readonly catalog: Snapshot;
  readonly secrets: Snapshot;
  readonly secretsWritten: readonly string[];
};

/** Throws TARGET_OCCUPIED when there is a catalogue, SNAPSHOT_NOT_FOUND when there is no backup. */
export async function restoreService(run: ServiceRestore): Promise<RestoredService> {
  const { repository, catalogPath, signal } = run;
  if (existsSync(catalogPath))
    throw new Fault('TARGET_OCCUPIED', `There is a catalogue at "${catalogPath}"`, {
      hint: 'Stop the service and move the catalogue away, with its -wal and -shm files; nothing is ever replaced.',
    });
  const all = await listSnapshots(repository, await repository.heads.read({ signal }), { signal });
  const before = run.before?.toISOString();
  const snapshots = before === undefined ? all : all.filter(({ startedAt }) => startedAt <= before);
  const catalog = newest(snapshots, CATALOG_ASSET, repository);
  // Secrets are added, or destroyed for good: the newest are right for every catalogue.
  const secrets = newest(all, SECRETS_ASSET, repository);
  const secretsWritten = await writeSecrets(run, await bytesOf(repository, secrets));
  const draft = `${catalogPath}.restoring`;
  await rm(draft, { force: true });
  try {
    await pipeline(Readable.from(contentOf(repository, catalog)), createWriteStream(draft, { mode: 0o600, flush: true }), {
      signal,
    });
    readyRestoredCatalog(draft, instantOf(run.now()));
    if (linkDurably(draft, catalogPath) === 'exists')
      throw new Fault('TARGET_OCCUPIED', `Somebody else made a catalogue at "${catalogPath}" meanwhile`);
  } finally {
    for (const left of [draft, `${draft}-wal`, `${draft}-shm`]) await rm(left, { force: true });
  }
  return { catalog, secrets, secretsWritten };
}

function newest(snapshots: readonly Snapshot[], asset: string, { store }: Repository): Snapshot {
  const found = snapshots.findLast((snapshot) => snapshot.asset === asset && snapshot.type === 'stream');
  if (found === undefined)
    throw new Fault('SNAPSHOT_NOT_FOUND', `There is no backup of ${asset} in the repository at ${store.location}`);
  return found;
}

function contentOf(repository: Repository, { root }: Snapshot): AsyncGenerator<Uint8Array> {
  const { parameters, readNode, reader } = repository;
  const content = { kind: 'chunks-map' as const, root: root.reference };
  return readContent(content, root.contentBytes, parameters.paged.unitBytes, readNode, reader);
}

async function bytesOf(repository: Repository, snapshot: Snapshot): Promise<Uint8Array> {
  if (snapshot.root.contentBytes > SECRETS_BYTES_MAX)
    throw new Fault('FORMAT_DAMAGED', `The secrets in snapshot ${snapshot.id} are too large to be any`);
  const pieces: Uint8Array[] = [];
  for await (const piece of contentOf(repository, snapshot)) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

/** Those that are not there yet. */
async function writeSecrets({ secretsDirectory, passphrase }: ServiceRestore, bytes: Uint8Array): Promise<string[]> {
  const files = decodeSecrets(bytes);
  const written: string[] = [];
  makeDirectory(secretsDirectory, { mode: 0o700 });
  writeOnce(join(secretsDirectory, SYSTEM_PASSPHRASE), passphrase, 0o600, `${process.pid}`);
  for (const [name, content] of Object.entries(files)) {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(name))
      throw new Fault('TARGET_PATH_ESCAPES', `A secret has the name ${JSON.stringify(name)}`);
    const path = join(secretsDirectory, name);
    makeDirectory(dirname(path), { mode: 0o700 });
    if (writeOnce(path, Buffer.from(content, 'base64'), 0o600, `${process.pid}`) === 'written') written.push(name);
  }
  return written;
}

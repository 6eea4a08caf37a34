// The service's own repository: backups of its catalogue and of its secrets. Its passphrase is the one thing that has to be kept outside of
// the service (print it, or "holdfast key export"): bucket, passphrase and this program bring everything else back.

import { join } from 'node:path';
import { isFault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { writeOnce } from '../base/write-once.ts';
import { readPassphraseFile } from '../repository/passphrase.ts';
import { Repository, type RepositoryOptions } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** Below the location of tenants' repositories; no tenant can have such a name. */
const SYSTEM = '_system';
const AUDIT = '_audit';
export const SYSTEM_PASSPHRASE = 'system.passphrase';

export type SystemRepositoryOptions = {
  readonly baseLocation: string;
  readonly secretsDirectory: string;
  readonly cacheDirectory: string;
  readonly openStore: (location: string, create: boolean) => Promise<ObjectStore>;
  readonly process: RepositoryOptions['process'];
  readonly random: (bytes: number) => Uint8Array;
};

export function systemLocation(baseLocation: string): string {
  return `${baseLocation.replace(/\/+$/, '')}/${SYSTEM}`;
}

/** Where checkpoints of the audit lie: beside the repository, whose prune clears away what is not its own. */
export function auditLocation(baseLocation: string): string {
  return `${baseLocation.replace(/\/+$/, '')}/${AUDIT}`;
}

/** The audit of the service whose own repository is at `location`. */
export function auditBeside(location: string): string | undefined {
  const base = /^(.*)\/_system\/*$/.exec(location)?.[1];
  return base === undefined ? undefined : auditLocation(base);
}

/** Opens it; makes it, and its passphrase, when they are not there. */
export async function openSystemRepository(options: SystemRepositoryOptions): Promise<Repository> {
  const { baseLocation, secretsDirectory, cacheDirectory, openStore, process, random } = options;
  makeDirectory(secretsDirectory, { mode: 0o700 });
  const file = join(secretsDirectory, SYSTEM_PASSPHRASE);
  writeOnce(file, Buffer.from(random(32)).toString('base64url'), 0o600, `${process.processId}`);
  const store = await openStore(systemLocation(baseLocation), true);
  const details = { store, passphrase: readPassphraseFile(file), cacheDirectory, process };
  try {
    return await Repository.init({ ...details, label: 'system' }).catch((error: unknown) => {
      if (!isFault(error, 'FORMAT_REPOSITORY_EXISTS')) throw error;
      return Repository.open(details);
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}

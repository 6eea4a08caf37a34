// The repository of each tenant: where it lies, what opens it, and one opened `Repository` that everybody in this process shares.
//
// A repository's passphrase is drawn when the tenant is made and lies in a file of its own below the service's secrets, readable by the
// service's user only: it is never in the catalogue, in an argument or in a message. Losing it is losing the tenant's data, so the file is
// durable before the repository exists, and `key export` belongs into the safe.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, isFault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Tenant } from '../model/tenant.ts';
import { Repository, type RepositoryOptions } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';

export type TenantPlace = {
  readonly location: string;
  readonly passphraseFile: string;
  readonly cacheDirectory: string;
  /** What a child process needs to reach the store: credentials, region. */
  readonly environment: Readonly<Record<string, string>>;
};

export type TenantRepositoriesOptions = {
  readonly catalog: Catalog;
  /** Where new tenants' repositories go: a directory, or s3+http(s)://host/bucket/prefix. Each gets its own below it. */
  readonly baseLocation: string;
  /** Mode 0700; holds passphrases. */
  readonly secretsDirectory: string;
  readonly cacheDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Opens the store at a location; makes a directory when `create`. */
  readonly openStore: (location: string, create: boolean) => Promise<ObjectStore>;
  readonly process: RepositoryOptions['process'];
  readonly random: (bytes: number) => Uint8Array;
};

export class TenantRepositories {
  readonly #options: TenantRepositoriesOptions;
  readonly #opened = new Map<string, Promise<Repository>>();
  readonly #users = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: TenantRepositoriesOptions) {
    this.#options = options;
    mkdirSync(options.secretsDirectory, { recursive: true, mode: 0o700 });
  }

  /** Makes the tenant's repository. Interrupted, it is taken up by the next call. */
  async create(tenant: Tenant): Promise<void> {
    const { catalog, baseLocation } = this.#options;
    const location = (await catalog.settings.get(settingOf(tenant.id))) ?? `${baseLocation.replace(/\/+$/, '')}/${tenant.name}`;
    await catalog.settings.set(settingOf(tenant.id), location);
    this.#makePassphrase(tenant.id);
    const place = await this.place(tenant.id);
    const store = await this.#options.openStore(location, true);
    let repository: Repository | undefined;
    try {
      repository = await Repository.init({ ...this.#optionsOf(place, store), label: tenant.name });
    } catch (error) {
      if (!isFault(error, 'FORMAT_REPOSITORY_EXISTS')) throw error;
      // Ours from an earlier attempt, or somebody else's: the passphrase tells.
      repository = await Repository.open(this.#optionsOf(place, store));
    } finally {
      await (repository ?? store).close();
    }
  }

  /** TENANT_NOT_FOUND when it has no repository. */
  async place(tenantId: string): Promise<TenantPlace> {
    const { catalog, cacheDirectory, environment } = this.#options;
    const location = await catalog.settings.get(settingOf(tenantId));
    if (location === undefined) throw new Fault('TENANT_NOT_FOUND', `The tenant ${tenantId} has no repository`);
    return { location, passphraseFile: this.#passphraseFile(tenantId), cacheDirectory, environment };
  }

  /** Runs `work` with the tenant's repository, which stays open for others. */
  async use<T>(tenantId: string, work: (repository: Repository) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Fault('SERVICE_STOPPING', `The service is stopping: the repository of ${tenantId} is closed`);
    const using = this.#repository(tenantId).then(work);
    this.#users.add(using);
    try {
      return await using;
    } finally {
      this.#users.delete(using);
    }
  }

  /** Waits for those who use one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#users);
    for (const opened of this.#opened.values()) await opened.then((repository) => repository.close()).catch(() => {});
    this.#opened.clear();
  }

  #repository(tenantId: string): Promise<Repository> {
    const known = this.#opened.get(tenantId);
    if (known !== undefined) return known;
    const opening = this.#open(tenantId);
    this.#opened.set(tenantId, opening);
    // What failed is tried again by the next one.
    opening.catch(() => this.#opened.delete(tenantId));
    return opening;
  }

  async #open(tenantId: string): Promise<Repository> {
    const place = await this.place(tenantId);
    const store = await this.#options.openStore(place.location, false);
    try {
      return await Repository.open(this.#optionsOf(place, store));
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  #optionsOf({ passphraseFile, cacheDirectory }: TenantPlace, store: ObjectStore): RepositoryOptions {
    return { store, passphrase: readFileSync(passphraseFile), cacheDirectory, process: this.#options.process };
  }

  #passphraseFile(tenantId: string): string {
    return join(this.#options.secretsDirectory, `${tenantId}.passphrase`);
  }

  #makePassphrase(tenantId: string): void {
    const path = this.#passphraseFile(tenantId);
    try {
      readFileSync(path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const file = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(file, Buffer.from(this.#options.random(32)).toString('base64url'));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
    const directory = openSync(this.#options.secretsDirectory, 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}

function settingOf(tenantId: string): string {
  return `repository:${tenantId}`;
}

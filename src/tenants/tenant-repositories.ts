// The repository of each tenant: where it lies, what opens it, and one opened `Repository` that everybody in this process shares.
//
// A repository's passphrase is drawn when the tenant is made and lies in a file of its own below the service's secrets, readable by the
// service's user only: it is never in the catalogue, in an argument or in a message. Losing it is losing the tenant's data, so the file is
// durable before the repository exists, and `key export` belongs into the safe. Destroying it is destroying the tenant's data: what a tenant
// has stored can never be opened again (erase-repository.ts).

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { destroyFile } from '../base/destroy-file.ts';
import { Fault, type FaultCode, isFault } from '../base/faults.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { replaceFile } from '../base/replace-file.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { RepositoryNotes } from '../catalog/tenant-repository.ts';
import type { Tenant } from '../model/tenant.ts';
import { hex } from '../repository/layout.ts';
import { readPassphraseFile } from '../repository/passphrase.ts';
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
  /** Of the service: absolute. */
  readonly home: string;
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
  readonly #notes: RepositoryNotes;
  readonly #opened = new Map<string, Promise<Repository>>();
  /** By what they do: whose repository they use. */
  readonly #users = new Map<Promise<unknown>, string>();
  /** Closed once nobody uses them, since their keys are not those of the store any more. */
  readonly #outdated = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: TenantRepositoriesOptions) {
    this.#options = options;
    this.#notes = new RepositoryNotes(options.home);
    makeDirectory(options.secretsDirectory, { mode: 0o700 });
  }

  /** Makes the tenant's repository, or proves that it is there: one that was there once is never made anew, since what should be in it would be
   *  missing without a word. Interrupted, it is taken up by the next call. */
  async create(tenant: Tenant): Promise<void> {
    const { catalog, baseLocation } = this.#options;
    if (await this.#wasThere(tenant.id)) return this.use(tenant.id, async () => {});
    const known = await this.#notes.location(catalog.settings, tenant.id);
    const location = known ?? `${baseLocation.replace(/\/+$/, '')}/${tenant.name}`;
    await this.#notes.setLocation(catalog.settings, tenant.id, location);
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
    await this.#notes.setId(catalog.settings, tenant.id, hex(repository.parameters.id));
  }

  /** A catalogue of an older program does not know the id, but what is in the repository. */
  async #wasThere(tenantId: string): Promise<boolean> {
    const { settings, recoveryPoints } = this.#options.catalog;
    if ((await this.#notes.id(settings, tenantId)) !== undefined) return true;
    return (await recoveryPoints.list(tenantId, undefined, { limit: 1 })).items.length > 0;
  }

  /** TENANT_NOT_FOUND when it has no repository. */
  async place(tenantId: string): Promise<TenantPlace> {
    const { catalog, cacheDirectory, environment } = this.#options;
    const location = await this.#notes.location(catalog.settings, tenantId);
    if (location === undefined) throw new Fault('TENANT_NOT_FOUND', `The tenant ${tenantId} has no repository`);
    return { location, passphraseFile: this.#passphraseFile(tenantId), cacheDirectory, environment };
  }

  /** Runs `work` with the tenant's repository, which stays open for others. KEY_SUPERSEDED when somebody has changed the repository's keys since it
   *  was opened: who tries again has it with those that are there now. */
  async use<T>(tenantId: string, work: (repository: Repository) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Fault('SERVICE_STOPPING', `The service is stopping: the repository of ${tenantId} is closed`);
    const opened = this.#repository(tenantId);
    const using = opened.then(work);
    this.#users.set(using, tenantId);
    try {
      return await using;
    } catch (error) {
      if (isFault(error, 'KEY_SUPERSEDED')) this.#outdate(tenantId, opened);
      throw error;
    } finally {
      this.#users.delete(using);
    }
  }

  #outdate(tenantId: string, opened: Promise<Repository>): void {
    if (this.#opened.get(tenantId) !== opened) return;
    this.#opened.delete(tenantId);
    const closed: Promise<unknown> = this.#unused(tenantId)
      .then(async () => (await opened).close())
      .catch(() => {})
      .finally(() => this.#outdated.delete(closed));
    this.#outdated.add(closed);
  }

  /** When those who use the tenant's repository now have ended. */
  #unused(tenantId: string): Promise<unknown> {
    return Promise.allSettled([...this.#users].flatMap(([using, id]) => (id === tenantId ? [using] : [])));
  }

  /** Destroys what opens the tenant's repository here: the passphrase, and the keys that are in memory once nobody uses them. Again is no harm. */
  async destroyPassphrase(tenantId: string): Promise<void> {
    destroyFile(this.#passphraseFile(tenantId));
    await this.#unused(tenantId);
    const opened = this.#opened.get(tenantId);
    this.#opened.delete(tenantId);
    await opened?.then((repository) => repository.close()).catch(() => {});
  }

  /** Runs `work` with the bare store of the tenant's repository: without keys. */
  async useStore<T>(tenantId: string, work: (store: ObjectStore, place: TenantPlace) => Promise<T>): Promise<T> {
    const place = await this.place(tenantId);
    const store = await this.#openStore(tenantId, place);
    try {
      return await work(store, place);
    } finally {
      await store.close();
    }
  }

  /** Waits for those who use one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#users.keys());
    await Promise.all(this.#outdated);
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
    if (!existsSync(place.passphraseFile))
      throw new Fault('TENANT_KEY_GONE', `There is no passphrase of the repository of ${tenantId}`);
    const store = await this.#openStore(tenantId, place);
    try {
      const repository = await Repository.open(this.#optionsOf(place, store)).catch(
        gone(tenantId, place, 'FORMAT_NOT_A_REPOSITORY'),
      );
      await this.#recognise(tenantId, place, hex(repository.parameters.id));
      return repository;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  #openStore(tenantId: string, place: TenantPlace): Promise<ObjectStore> {
    return this.#options.openStore(place.location, false).catch(gone(tenantId, place, 'STORE_BUCKET_MISSING'));
  }

  /** What lies there is what lay there. */
  async #recognise(tenantId: string, { location }: TenantPlace, id: string): Promise<void> {
    const { settings } = this.#options.catalog;
    const known = await this.#notes.id(settings, tenantId);
    if (known === undefined) return this.#notes.setId(settings, tenantId, id);
    if (known !== id)
      throw new Fault('TENANT_REPOSITORY_GONE', `At ${location} is the repository ${id}, and that of ${tenantId} was ${known}`);
  }

  #optionsOf({ passphraseFile, cacheDirectory }: TenantPlace, store: ObjectStore): RepositoryOptions {
    return { store, passphrase: readPassphraseFile(passphraseFile), cacheDirectory, process: this.#options.process };
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
    replaceFile(path, Buffer.from(this.#options.random(32)).toString('base64url'), 0o600);
  }
}

function gone(tenantId: string, { location }: TenantPlace, code: FaultCode): (error: unknown) => never {
  return (error) => {
    if (!isFault(error, code)) throw error;
    throw new Fault('TENANT_REPOSITORY_GONE', `The repository of ${tenantId} is not at ${location}`, { cause: error });
  };
}

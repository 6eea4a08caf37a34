// Executes the erasure of a closed tenant: two people have agreed, and the waiting time is over.
//
//   look      what there is, while it can still be told; nothing of the tenant may be running
//   keys      the passphrase here, then the key objects in the store: from now on nobody can open anything
//   content   everything else in the store, what this host remembers of it, the recovery points
//   backups   the service is backed up anew, and of its older backups those go that hold the passphrase, proved
//   certify   signed, stored beside the audit, told
//
// Each step can be done again, and notes in the catalogue that it was done: whoever goes on after a crash says on the certificate what was
// done before it. What a copy elsewhere could undo stands on the certificate.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { canonicalJson } from '../base/canonical-json.ts';
import { Fault, isFault } from '../base/faults.ts';
import type { Destroyed, ErasureCertificate, ErasureOrder } from '../model/erasure.ts';
import { instantOf } from '../model/instant.ts';
import { eachItem } from '../model/page-items.ts';
import type { Tenant } from '../model/tenant.ts';
import { deleteCache, deleteContent, deleteKeys, factsOf, type RepositoryFacts } from '../tenants/erase-repository.ts';
import { appendAudit } from '../trust/audit-chain.ts';
import { certificateSetting, erasureSetting } from '../trust/erasure-certificate.ts';
import { remainsOf } from './erasure-remains.ts';
import {
  type Execution,
  endOfFailure,
  faultText,
  outcomeOf,
  type ServiceRun,
  type ServiceRunPorts,
  type VerbOutcome,
} from './service-run.ts';

/** What is noted between the steps. */
type Erasure = { readonly facts: RepositoryFacts; readonly sites: readonly string[]; readonly destroyed: Destroyed };

const NOTHING: Destroyed = { keys: [], objects: 0, bytes: 0, recoveryPoints: 0, olderBackups: 0 };

export const runErase: ServiceRun = async (ports, execution) => {
  const { catalog } = ports;
  const { run } = execution;
  const tenant = await catalog.tenants.get(run.tenantId);
  if (tenant?.state !== 'closed') throw new Fault('REQUEST_CONFLICT', `The tenant ${run.tenantId} is not closed`);
  // Once it has begun it is brought to its end: half of an erasure is no use to anybody.
  const signal = stopsOnly(execution.signal);
  const work = new EraseWork(ports, { ...execution, signal }, tenant);
  try {
    await work.look();
  } catch (error) {
    if (!isFault(error, 'RUN_CANCELED')) throw error;
    return { state: 'canceled', fault: faultText('RUN_CANCELED', error.message) };
  }
  await work.destroyKeys();
  await work.deleteContent();
  const failed = await work.dropBackups();
  if (failed !== undefined) return endOfFailure(failed);
  const { objects, bytes, keys } = (await work.certify()).destroyed;
  return { state: 'succeeded', result: { keys: keys.length, objects, bytes } };
};

/** Aborted with the signal, unless that is a cancellation. */
function stopsOnly(signal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const follow = (): void => {
    if (signal.reason !== 'canceled') controller.abort(signal.reason);
  };
  if (signal.aborted) follow();
  else signal.addEventListener('abort', follow, { once: true });
  return controller.signal;
}

class EraseWork {
  readonly #ports: ServiceRunPorts;
  readonly #execution: Execution;
  readonly #tenant: Tenant;
  #erasure: Erasure | undefined;

  constructor(ports: ServiceRunPorts, execution: Execution, tenant: Tenant) {
    this.#ports = ports;
    this.#execution = execution;
    this.#tenant = tenant;
  }

  async look(): Promise<void> {
    const { catalog, tenants } = this.#ports;
    const { id } = this.#tenant;
    const text = await catalog.settings.get(erasureSetting(id));
    if (text !== undefined) {
      this.#erasure = JSON.parse(text) as Erasure;
      return;
    }
    for await (const run of eachItem((page) => catalog.runs.list(id, { states: ['queued', 'running'] }, page)))
      if (run.id !== this.#execution.run.id && run.kind !== 'catalog-backup')
        throw new Fault('ERASURE_WAITS', `The ${run.kind} ${run.id} of the tenant ${this.#tenant.name} is not over`);
    const facts = await tenants.useStore(id, (store) => factsOf(store, this.#call));
    await this.#begin({ facts, sites: await this.#sites(), destroyed: NOTHING });
  }

  /** Or hears, in the same transaction, that it was taken back: never both. */
  async #begin(erasure: Erasure): Promise<void> {
    const { run } = this.#execution;
    const { id } = this.#tenant;
    const isTakenBack = await this.#ports.catalog.transaction(async (tables) => {
      if ((await tables.runs.get(id, run.id))?.cancelRequestedAt !== undefined) return true;
      await tables.settings.set(erasureSetting(id), JSON.stringify(erasure));
      await appendAudit(tables, this.#auditLine('tenant.erase.begin', {}));
      return false;
    });
    if (isTakenBack) throw new Fault('RUN_CANCELED', `The erasure of ${this.#tenant.name} was taken back`);
    this.#erasure = erasure;
  }

  async destroyKeys(): Promise<void> {
    const { tenants } = this.#ports;
    const { facts, destroyed } = this.#now;
    if (destroyed.keysAt !== undefined) return;
    this.#execution.tell({ phase: 'keys', bytesDone: 0 });
    await tenants.destroyPassphrase(this.#tenant.id);
    await tenants.useStore(this.#tenant.id, (store) => deleteKeys(store, this.#call));
    await this.#done({ keysAt: this.#at, keys: [...facts.keys] });
  }

  async deleteContent(): Promise<void> {
    const { catalog, tenants } = this.#ports;
    const { facts, destroyed } = this.#now;
    if (destroyed.contentAt !== undefined) return;
    const deleted = { objects: destroyed.objects, bytes: destroyed.bytes };
    const tell = setInterval(() => this.#execution.tell({ phase: 'content', bytesDone: deleted.bytes }), 1000);
    try {
      await tenants.useStore(this.#tenant.id, async (store, { cacheDirectory }) => {
        await deleteContent(store, deleted, this.#call);
        if (facts.id !== undefined) await deleteCache(cacheDirectory, facts.id);
      });
    } catch (error) {
      // What an attempt has deleted counts, unless it dies without a word.
      await this.#done(deleted);
      throw error;
    } finally {
      clearInterval(tell);
    }
    let recoveryPoints = 0;
    for (;;) {
      const { items } = await catalog.recoveryPoints.list(this.#tenant.id, undefined, { limit: 500 });
      if (items.length === 0) break;
      for (const { snapshot } of items) await catalog.recoveryPoints.remove(this.#tenant.id, snapshot);
      recoveryPoints += items.length;
    }
    await this.#done({ ...deleted, recoveryPoints, contentAt: this.#at });
  }

  /** Answers how it failed. */
  async dropBackups(): Promise<VerbOutcome | undefined> {
    const { home, store } = this.#ports.service;
    if (this.#now.destroyed.backupsAt !== undefined) return undefined;
    const { environment } = await this.#ports.tenants.place(this.#tenant.id);
    const where = ['--home', home, ...(store === undefined ? [] : ['--store', store]), '--cache-dir', join(home, 'cache')];
    const outcome = await outcomeOf(this.#ports, this.#execution, environment, [
      'catalog',
      'backup',
      '--drop-older-secrets',
      ...where,
    ]);
    if (outcome.end.status !== 0) return outcome;
    await this.#done({ backupsAt: this.#at, olderBackups: Number(outcome.summary?.secretsDropped ?? 0) });
    return undefined;
  }

  async certify(): Promise<ErasureCertificate> {
    const { catalog, tenants, erasure } = this.#ports;
    const { facts, sites, destroyed } = this.#now;
    const { id, name, label } = this.#tenant;
    const { location } = await tenants.place(id);
    const { run, signal } = this.#execution;
    const certificate = await erasure.certify(
      {
        tenant: { id, name, label },
        repository: { location, ...(facts.id === undefined ? {} : { id: facts.id }) },
        order: run.parameters['order'] as ErasureOrder,
        run: run.id,
        destroyed,
        remains: [...remainsOf({ location, sites, ...facts })],
        at: this.#at,
        program: erasure.program,
      },
      signal,
    );
    const digest = createHash('sha256').update(canonicalJson(certificate)).digest('hex');
    await catalog.transaction(async (tables) => {
      await tables.settings.set(certificateSetting(id), JSON.stringify(certificate));
      await appendAudit(tables, this.#auditLine('tenant.erase', { sha256: digest, key: certificate.key }));
      await tables.events.add(
        {
          tenantId: id,
          runId: run.id,
          kind: 'tenant.erased',
          severity: 'warning',
          message: `The key of the tenant ${name} was destroyed: nothing that it has stored can be opened any more`,
          action: 'Hand over the certificate ("holdfast tenant certificate"), and see on it what is still held elsewhere.',
        },
        this.#at,
      );
    });
    return certificate;
  }

  get #now(): Erasure {
    if (this.#erasure === undefined) throw new Error('An erasure begins with a look');
    return this.#erasure;
  }

  get #at(): string {
    return instantOf(this.#ports.now());
  }

  get #call(): { readonly signal: AbortSignal } {
    return { signal: this.#execution.signal };
  }

  #done(what: Partial<Destroyed>): Promise<void> {
    return this.#note({ ...this.#now, destroyed: { ...this.#now.destroyed, ...what } });
  }

  async #note(erasure: Erasure): Promise<void> {
    await this.#ports.catalog.transaction(async (tables) => {
      await tables.settings.set(erasureSetting(this.#tenant.id), JSON.stringify(erasure));
    });
    this.#erasure = erasure;
  }

  #auditLine(action: string, details: Readonly<Record<string, unknown>>) {
    const { id } = this.#tenant;
    const { run } = this.#execution;
    const system = { actor: 'system:system', actorLabel: 'system' };
    return {
      at: this.#at,
      tenantId: id,
      ...system,
      action,
      subject: id,
      outcome: 'done' as const,
      details: { run: run.id, ...details },
    };
  }

  /** Where policies want copies of what the tenant has. */
  async #sites(): Promise<readonly string[]> {
    const { catalog, book } = this.#ports;
    await book.refreshTenant(this.#tenant.id);
    const sites = new Set(book.inForce(this.#tenant).policy.copies.map(({ site }) => site));
    for await (const asset of eachItem((page) => catalog.assets.list(this.#tenant.id, page)))
      for (const { site } of book.inForce(this.#tenant, asset).policy.copies) sites.add(site);
    return [...sites].sort();
  }
}

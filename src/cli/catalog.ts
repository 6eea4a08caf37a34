// The catalogue of the service: back it up, bring it back, make it again.

import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, isFault } from '../base/faults.ts';
import { makeHome } from '../base/make-directory.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { RepositoryNotes } from '../catalog/tenant-repository.ts';
import { eachItem } from '../model/page-items.ts';
import type { FoundTenant } from '../recovery/rebuild.ts';
import { readPassphraseFile } from '../repository/passphrase.ts';
import { Repository } from '../repository/repository.ts';
import { absoluteLocation, parseLocation } from '../store/location.ts';
import { momentOf } from './moment.ts';
import { cacheDirectoryOf, closing, locationOf, openStoreOf, processFacts, repositoryOptions } from './open.ts';
import { usage } from './option.ts';
import { hostOf, userOf } from './person.ts';
import { mustHaveCatalog, type ServiceHome, serviceHome, serviceStore } from './service-home.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

const PASSPHRASE_FILE = /^(ten_[0-9a-z]{26})\.passphrase$/;
/** Of backups of the service. Those of the secrets and of the catalogue each for itself. */
const KEEP = { keepLast: 3, keepDaily: 14, keepWeekly: 8, keepMonthly: 12 } as const;
const now = (): Date => new Date();

export async function backup(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const home = serviceHome(invocation);
  mustHaveCatalog(home);
  const [{ backUpService }, { openSystemRepository, SYSTEM_PASSPHRASE }] = await Promise.all([
    import('../recovery/service-backup.ts'),
    import('../recovery/system-repository.ts'),
  ]);
  makeHome(home.scratch, 0o700);
  const baseLocation = serviceStore(invocation, home);
  await withCatalog(home, (catalog) => mustBeTheStore(catalog, home, baseLocation));
  const repository = await openSystemRepository({
    baseLocation,
    secretsDirectory: home.secrets,
    cacheDirectory: cacheDirectoryOf(invocation),
    openStore: (location, create) => openStoreOf(invocation, location, create),
    process: processFacts(),
    random: randomBytes,
  });
  try {
    return await withCatalog(home, async (catalog) => {
      const { catalog: snapshot, secrets } = await backUpService({
        catalog,
        repository,
        secretsDirectory: home.secrets,
        scratchDirectory: home.scratch,
        host: hostOf(undefined),
        user: userOf(),
        program: versionText(),
        now,
        signal,
      });
      const forgotten = await thinOut(repository, signal);
      const dropped = invocation.options.flag('drop-older-secrets')
        ? await (await import('../recovery/drop-older-secrets.ts')).dropOlderSecrets(repository, secrets, {
            by: `${userOf()}@${hostOf(undefined)}`,
            signal,
          })
        : undefined;
      const { bytesScanned, bytesStored } = snapshot.statistics;
      output.line(`Snapshot ${shortId(snapshot.id)} of the catalogue in ${repository.store.location}`);
      output.notice(`Keep a copy of "${join(home.secrets, SYSTEM_PASSPHRASE)}" in the safe: nothing else opens it.`);
      const { location } = repository.store;
      if (dropped !== undefined)
        output.line(`Dropped ${dropped} older snapshots of the secrets, and proved that nothing of them is left`);
      output.summary('catalog backup', {
        snapshot: snapshot.id,
        location,
        bytesScanned,
        bytesStored,
        forgotten,
        ...(dropped === undefined ? {} : { secretsDropped: dropped }),
      });
      return 0;
    });
  } finally {
    await repository.close();
  }
}

/** Of the repository that is the service's own, older backups; what they alone held comes back with the next "prune" of it. */
async function thinOut(repository: Repository, signal: AbortSignal): Promise<number> {
  const [{ planForget }, { listSnapshots }, { forgetSnapshots }] = await Promise.all([
    import('../policy/retention.ts'),
    import('../repository/snapshots.ts'),
    import('../repository/registry.ts'),
  ]);
  const snapshots = await listSnapshots(repository, await repository.heads.read({ signal }), { signal });
  const dropped = planForget(snapshots, KEEP, { now: new Date() }).groups.flatMap((group) =>
    group.dropped.map(({ snapshot }) => snapshot.id),
  );
  if (dropped.length > 0) await forgetSnapshots(repository.heads, new Set(dropped), { signal });
  return dropped.length;
}

export async function restore(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const home = serviceHome(invocation);
  const before = momentOf(options.text('before'));
  const location = locationOf(options, invocation.environment);
  const details = await repositoryOptions(invocation, { location, passphraseFile: options.text('passphrase-file'), isNew: false });
  return closing(
    details.store,
    () => Repository.open(details),
    async (repository) => {
      const { restoreService } = await import('../recovery/service-restore.ts');
      await repository.openIndex({ signal });
      makeHome(home.home, 0o700);
      const { catalog, secretsWritten } = await restoreService({
        repository,
        passphrase: details.passphrase,
        catalogPath: home.catalog,
        secretsDirectory: home.secrets,
        ...(before === undefined ? {} : { before }),
        now,
        signal,
      });
      await continueAudit(invocation, home);
      output.line(`The catalogue of ${catalog.startedAt} is at ${home.catalog}, with ${secretsWritten.length} secrets beside it`);
      output.notice(
        'Now "holdfast catalog rebuild" adds the recovery points that were made since. What was revoked since has to be revoked again, and what was put on hold or promised since has to be so again: for 7 days no rule lets anything go.',
      );
      const secrets = secretsWritten.length;
      output.summary('catalog restore', { snapshot: catalog.id, startedAt: catalog.startedAt, catalog: home.catalog, secrets });
      return 0;
    },
  );
}

/** Behind the checkpoints that lie beside the repository, if there are any. */
async function continueAudit(invocation: Invocation, home: ServiceHome): Promise<void> {
  const [{ AuditCheckpoints, readCheckpoints }, { openAuditKey }, { checkpointStore }, { auditBeside }] = await Promise.all([
    import('../trust/audit-checkpoint.ts'),
    import('../trust/audit-key.ts'),
    import('../recovery/checkpoint-store.ts'),
    import('../recovery/system-repository.ts'),
  ]);
  const location = auditBeside(locationOf(invocation.options, invocation.environment));
  const store = location === undefined ? undefined : await openStoreOf(invocation, location, false).catch(notThere);
  if (store === undefined) return;
  try {
    const key = openAuditKey(home.secrets);
    const checkpoints = checkpointStore(store);
    const marks = await readCheckpoints(checkpoints, [key.verifyKey]);
    await withCatalog(home, async (catalog) => {
      await new AuditCheckpoints({ catalog, key, store: checkpoints, now }).continueBehind(marks);
      return 0;
    });
  } finally {
    await store.close();
  }
}

function notThere(error: unknown): undefined {
  if (!isFault(error, 'STORE_BUCKET_MISSING')) throw error;
}

export async function rebuild(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { rebuildTenant } = await import('../recovery/rebuild.ts');
  const home = serviceHome(invocation);
  const passphrases = passphrasesOf(home);
  if (passphrases.size === 0)
    throw usage(`There are no passphrases of tenants in "${home.secrets}"`, 'Bring them back first: "holdfast catalog restore".');
  const waiting = new Map(passphrases);
  const named = [...invocation.options.texts('at').map(absoluteLocation), ...locationsBelow(serviceStore(invocation, home))];
  return withCatalog(home, async (catalog) => {
    const repositories = new RepositoryNotes(home.home);
    const ports = { catalog, repositories, now, random: randomBytes };
    let points = 0;
    const known = new Set<string>();
    for (const id of passphrases.keys()) known.add((await repositories.location(catalog.settings, id)) ?? '');
    // Where it was, if that place is among those that are named; then what is named, which may be a replica; then where it was.
    const locations = new Set([...named.filter((location) => known.has(location)), ...named, ...known]);
    locations.delete('');
    for (const location of locations) {
      const found = await openByAny(invocation, location, waiting);
      if (found === undefined) continue;
      try {
        waiting.delete(found.tenant.id);
        const rebuilt = await rebuildTenant(ports, found.tenant, found.repository, signal);
        points += rebuilt.points;
        output.record('tenant', { ...rebuilt, tenant: rebuilt.tenant.name, tenantId: rebuilt.tenant.id, location });
        output.line(
          `${rebuilt.tenant.name}: ${rebuilt.points} recovery points (${rebuilt.pointsAdded} added, ${rebuilt.pointsRemoved} removed), ${rebuilt.assetsAdded} assets added`,
        );
        if (rebuilt.isNewTenant)
          output.notice(
            '  Not known before: its recovery points are on hold and its assets paused; quotas and allow-lists are to be set again.',
          );
      } finally {
        await found.repository.close();
      }
    }
    for (const id of waiting.keys())
      output.warning(`No repository was found that the passphrase of ${id} opens; name it with --at`, { tenantId: id });
    output.summary('catalog rebuild', { tenants: passphrases.size - waiting.size, points, notFound: waiting.size });
    return waiting.size === 0 ? 0 : EXIT.warnings;
  });
}

/** Nobody looks for a backup of the service below its home when the repositories lie elsewhere, and it would be lost with the home. */
async function mustBeTheStore({ tenants, settings }: Catalog, { home }: ServiceHome, baseLocation: string): Promise<void> {
  const notes = new RepositoryNotes(home);
  if (!notes.isInside(baseLocation)) return;
  for await (const { id, name } of eachItem((page) => tenants.list(page))) {
    const location = await notes.location(settings, id);
    if (location !== undefined && !notes.isInside(location))
      throw usage(
        `The repository of the tenant "${name}" is ${location}, and this backup would go to "${baseLocation}"`,
        'Name the store that the service was given: --store LOCATION, or HOLDFAST_STORE.',
      );
  }
}

async function withCatalog<T>(home: ServiceHome, work: (catalog: Catalog) => Promise<T>): Promise<T> {
  const { openSqliteCatalog } = await import('../catalog/sqlite/open.ts');
  const catalog = await openSqliteCatalog({ path: home.catalog, now, random: randomBytes });
  try {
    return await work(catalog);
  } finally {
    await catalog.close();
  }
}

/** By id of the tenant. */
function passphrasesOf({ secrets }: ServiceHome): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const name of namesIn(secrets)) {
    const id = PASSPHRASE_FILE.exec(name)?.[1];
    if (id !== undefined) found.set(id, readPassphraseFile(join(secrets, name)));
  }
  return found;
}

/** A bucket cannot be looked through for repositories without listing all of it. */
function locationsBelow(store: string): string[] {
  const location = parseLocation(store);
  if (location.kind !== 'directory') return [];
  return namesIn(location.path)
    .filter((name) => /^[a-z0-9]/.test(name))
    .map((name) => join(location.path, name));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The repository at `location` with whichever passphrase opens it; undefined when none does or there is none. */
async function openByAny(
  invocation: Invocation,
  location: string,
  passphrases: ReadonlyMap<string, Uint8Array>,
): Promise<{ readonly tenant: FoundTenant; readonly repository: Repository } | undefined> {
  const { Repository } = await import('../repository/repository.ts');
  const cacheDirectory = cacheDirectoryOf(invocation);
  for (const [id, passphrase] of passphrases) {
    const store = await openStoreOf(invocation, location, false);
    try {
      const repository = await Repository.open({ store, passphrase, cacheDirectory, process: processFacts() });
      return { tenant: { id, name: location.replace(/\/+$/, '').split('/').at(-1)!, location }, repository };
    } catch (error) {
      await store.close();
      if (isFault(error, 'KEY_PASSPHRASE_WRONG')) continue;
      if (isFault(error, 'FORMAT_NOT_A_REPOSITORY')) return undefined;
      throw error;
    }
  }
  return undefined;
}

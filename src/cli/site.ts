// The daemon of a site: making its configuration and key, entering databases in the register, running it, asking it.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { adoptDatabase, epochAfterSeals } from '../../agents/site/adopt.ts';
import { changeTerms } from '../../agents/site/registered-terms.ts';
import { listenAddress, openSiteRegistry, siteClients } from '../../agents/site/site-clients.ts';
import { type DatabaseConfig, type PlaceConfig, readSiteConfig, type SiteConfig } from '../../agents/site/site-config.ts';
import { SITE_STATE, siteConfigExample } from '../../agents/site/site-config-example.ts';
import { SiteDaemon } from '../../agents/site/site-daemon.ts';
import { Fault } from '../base/faults.ts';
import { makeHome } from '../base/make-directory.ts';
import { writeOnce } from '../base/write-once.ts';
import type { DatabaseStatus } from '../dr/site-control.ts';
import type { Registry } from '../registry/registry.ts';
import { openRepository } from '../repository/open.ts';
import { Repository } from '../repository/repository.ts';
import { openSigningKey } from '../trust/audit-key.ts';
import { openStoreOf, repositoryOptions } from './open.ts';
import { usage } from './option.ts';
import { REPOSITORY_PASSPHRASE, readPassphrase } from './passphrase.ts';
import { PROGRAM } from './pg-target.ts';
import { tableLines } from './table.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';
import { versionText } from './version.ts';

const KEY = 'site-key';
const STATUS_TIMEOUT_MS = 10_000;

export async function siteInit({ options, output }: Invocation): Promise<number> {
  const site = options.text('site');
  if (site === undefined || !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(site))
    throw usage('"holdfast site init" needs --site NAME: lower-case letters, digits and "-"');
  const file = resolve(options.text('config') ?? 'site.yaml');
  const state = resolve(options.text('state') ?? SITE_STATE);
  makeHome(state, 0o700);
  const { verifyKey } = openSigningKey(state, KEY);
  const key = Buffer.from(verifyKey).toString('base64url');
  const config = siteConfigExample({ site, state });
  if (writeOnce(file, config, 0o600, `${process.pid}`) === 'exists') output.notice(`${file} is there already, and stays as it is.`);
  else output.line(`Wrote ${file}: fill it in.`);
  output.line('The peers of the other sites need this line, with the address of this host:');
  output.line(`  - { site: ${site}, url: http://HOST:7410, key: ${key} }`);
  output.summary('site init', { site, config: file, state, key });
  return 0;
}

export function siteAdopt(invocation: Invocation): Promise<number> {
  const { output } = invocation;
  return withRegistry(invocation, async (registry, config, database) => {
    const { asset } = database;
    const { epoch, holder, candidates, terms, onLeaseLoss } = await adoptDatabase(
      registry,
      config.site,
      database,
      epochAfterSeals(config, database),
    );
    output.line(
      `${asset} is registered: epoch ${epoch}, written at "${holder.site}", candidates: ${candidates.map(({ site }) => site).join(', ') || 'none'}`,
    );
    output.line('From now on its server starts through "holdfast site run" only.');
    output.summary('site adopt', { asset, epoch, holder, candidates, terms, onLeaseLoss });
  });
}

export function siteLease(invocation: Invocation): Promise<number> {
  const { output } = invocation;
  return withRegistry(invocation, async (registry, config, database) => {
    const { asset } = database;
    const { epoch, terms, onLeaseLoss } = await changeTerms(registry, config, database);
    const [ttl, margin] = [terms.ttlMs, terms.marginMs].map((ms) => `${ms / 1000}s`);
    output.line(`The lease of ${asset} is ${ttl} with a margin of ${margin}; when it ends the primary does "${onLeaseLoss}".`);
    output.line('Start the daemon again.');
    output.summary('site lease', { asset, epoch, terms, onLeaseLoss });
  });
}

export async function siteRun(invocation: Invocation): Promise<number> {
  const { options, output, signal, environment } = invocation;
  const { config, file } = configOf(invocation);
  const passphraseOf = ({ passphraseFile }: PlaceConfig): Promise<Uint8Array> =>
    readPassphrase({ ...REPOSITORY_PASSPHRASE, file: passphraseFile, isNew: false }, environment, output);
  const daemon = new SiteDaemon({
    config,
    pair: keyOf(config),
    openPlace: async ({ location, passphraseFile }) =>
      Repository.open(await repositoryOptions(invocation, { location, passphraseFile, isNew: false })),
    openCopy: async (from, to, signal) => {
      const store = await openStoreOf(invocation, from.location, false);
      return {
        source: await openRepository(store, await passphraseOf(from), undefined, { signal }),
        replica: await openStoreOf(invocation, to.location, true),
      };
    },
    program: versionText(),
    helper: PROGRAM,
    threads: threadsOf(options),
    random: randomBytes,
    now: () => new Date(),
    onEvent: (asset, { what, text }) => {
      const at = new Date().toISOString();
      output.line(`${at}  ${asset}  ${what}: ${text}`);
      output.record('event', { at, asset, what, text });
      output.flush();
    },
  });
  await daemon.run(signal, (port) => {
    const { host } = listenAddress(config.listen);
    output.line(`The daemon of the site "${config.site}" listens at ${host}:${port} (${file})`);
    output.record('listening', { site: config.site, host, port });
    output.flush();
  });
  return 0;
}

export async function siteStatus(invocation: Invocation): Promise<number> {
  const { output, signal, options } = invocation;
  const { config } = configOf(invocation);
  const clients = siteClients(config, keyOf(config), randomBytes);
  const wanted = options.text('site');
  const asked = [...clients.values()].filter(({ site }) => wanted === undefined || site === wanted);
  if (asked.length === 0) throw usage(`--site is none of: ${[...clients.keys()].join(', ')}`);
  const statuses: DatabaseStatus[] = [];
  const problems: string[] = [];
  try {
    for (const { asset } of config.databases)
      await Promise.all(
        asked.map(async (client) => {
          try {
            const call = { signal: AbortSignal.any([signal, AbortSignal.timeout(STATUS_TIMEOUT_MS)]) };
            statuses.push(await client.status(asset, call));
          } catch (error) {
            signal.throwIfAborted();
            problems.push(error instanceof Error ? error.message : String(error));
          }
        }),
      );
  } finally {
    for (const client of clients.values()) client.close();
  }
  for (const status of statuses) output.record('database', status);
  const columns = ['asset', 'site', 'role', 'epoch', 'server', 'log', 'behind'].map((title) => ({ title }));
  for (const line of tableLines(columns, statuses.sort(byPlace).map(rowOf))) output.line(line);
  for (const { site, asset, gate, problems: more } of statuses)
    for (const problem of new Set([...(gate.problem === null ? [] : [`gate: ${gate.problem}`]), ...more]))
      output.warning(`${asset} at ${site}: ${problem}`, { asset, site });
  for (const problem of problems) output.warning(problem, {});
  output.summary('site status', { databases: statuses.length, problems });
  if (statuses.length === 0) throw new Fault('SITE_UNREACHABLE', `No site daemon answered: ${problems.join('; ')}`);
  return 0;
}

function byPlace(a: DatabaseStatus, b: DatabaseStatus): number {
  return a.asset.localeCompare(b.asset) || a.site.localeCompare(b.site);
}

function rowOf({ asset, site, gate, server, log, capture, replica }: DatabaseStatus): string[] {
  const behind =
    capture !== null ? `${capture.behindBytes} B` : replica?.lagMs === null || replica === null ? '-' : `${replica.lagMs} ms`;
  const at = log === null ? '-' : `${log.lsn} (${log.timeline})`;
  return [asset, site, gate.role, gate.epoch === 0 ? '-' : String(gate.epoch), server.state, at, behind];
}

function configOf({ options }: Invocation): { readonly config: SiteConfig; readonly file: string } {
  const file = options.text('config');
  if (file === undefined) throw usage('The configuration of the site daemon was not named', 'Give --config FILE.');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The configuration ${file} cannot be read: ${(error as Error).message}`);
  }
  return { config: readSiteConfig(text, file), file: resolve(file) };
}

/** For the database that --asset names. */
async function withRegistry(
  invocation: Invocation,
  work: (registry: Registry, config: SiteConfig, database: DatabaseConfig) => Promise<void>,
): Promise<number> {
  const { config } = configOf(invocation);
  const database = databaseOf(invocation, config);
  const registry = openSiteRegistry(config);
  try {
    await work(registry, config, database);
    return 0;
  } finally {
    await registry.close();
  }
}

function databaseOf({ options, verb }: Invocation, { databases }: SiteConfig): DatabaseConfig {
  const asset = options.text('asset');
  const database = databases.find((one) => one.asset === asset);
  if (database !== undefined) return database;
  throw usage(`"holdfast ${verb.name}" needs --asset, one of: ${databases.map((one) => one.asset).join(', ')}`);
}

/** Made by "site init": a daemon that drew another would be a stranger to its peers. */
function keyOf({ state }: SiteConfig): ReturnType<typeof openSigningKey> {
  if (!existsSync(join(state, KEY)))
    throw new Fault('SITE_CONFIG', `There is no key in ${state}: run "holdfast site init" with the same --state first`);
  return openSigningKey(state, KEY);
}

// The daemon of one site and host: its databases, its server, its clients of other sites. It holds no state but what lies in its directory, so
// it may be killed at any moment; what it was doing is asked for again, or seen from what is.

import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { freeBytes } from '../../src/base/free-bytes.ts';
import { makeHome } from '../../src/base/make-directory.ts';
import { MIB } from '../../src/base/units.ts';
import { isFull } from '../../src/base/write-whole.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type { PromiseRequest } from '../../src/dr/promotion-candidate.ts';
import type { EpochOfFailover } from '../../src/dr/site-control.ts';
import type { LogEnd, Member } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { RecentLog } from '../../src/engine/recent-log.ts';
import { DAY_MS, parseDuration } from '../../src/policy/duration.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { KeptLocks } from '../../src/replica/kept-locks.ts';
import type { OpenedRepository } from '../../src/repository/open.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { bootMs } from '../gate/boot-clock.ts';
import { accountName } from '../host/account-name.ts';
import { parseServerAddress } from '../postgres/connection-string.ts';
import { DatabaseCapture } from './database-capture.ts';
import { DatabaseReplica } from './database-replica.ts';
import { DatabaseStandby } from './database-standby.ts';
import { mustAgreeAll, tokenFileOf } from './registered-terms.ts';
import { rejoin } from './rejoin.ts';
import { SealFile, sealFileOf } from './seal-file.ts';
import { SiteAudit } from './site-audit.ts';
import type { SiteClient } from './site-client.ts';
import { listenAddress, openSiteRegistry, siteClients } from './site-clients.ts';
import { SiteCommands } from './site-commands.ts';
import type { DatabaseConfig, PlaceConfig, SiteConfig } from './site-config.ts';
import { SiteDatabase } from './site-database.ts';
import { type SiteEvent, SiteEvents } from './site-events.ts';
import { SiteFiles } from './site-files.ts';
import { type CallMessage, decodeKey } from './site-message.ts';
import { siteMetrics } from './site-metrics.ts';
import { type OpenPlace, SiteRepository } from './site-repository.ts';
import { SiteServer } from './site-server.ts';

const SLOT = 'holdfast_site';
/** How often it is looked whether something is to be said. */
const TELL_MS = 100;
/** Asked all the time, and changes nothing: not in the audit. */
const QUIET = new Set(['status', 'promise', 'loss', 'point', 'compare']);

export type SiteDaemonOptions = {
  readonly config: SiteConfig;
  readonly pair: SigningPair;
  /** Stores with their credentials, passphrases read: whoever starts the daemon knows how. */
  readonly openPlace: OpenPlace;
  /** A place that is copied from, and the one that is copied to, made when it is not there. */
  readonly openCopy: (
    from: PlaceConfig,
    to: PlaceConfig,
    signal: AbortSignal,
  ) => Promise<{ readonly source: OpenedRepository; readonly replica: ObjectStore }>;
  readonly program: string;
  /** What helpers of servers are started by: "holdfast", by its path. */
  readonly helper: readonly string[];
  readonly threads: number;
  readonly random: (bytes: number) => Uint8Array;
  readonly now: () => Date;
  readonly onEvent: (asset: string, event: SiteEvent) => void;
};

export class SiteDaemon {
  readonly #options: SiteDaemonOptions;
  readonly #registry: Registry;
  readonly #clients: ReadonlyMap<string, SiteClient>;
  readonly #databases: ReadonlyMap<string, { readonly database: SiteDatabase; readonly commands: SiteCommands }>;
  readonly #files: ReadonlyMap<string, SiteFiles>;
  readonly #audit: SiteAudit;
  readonly #server: SiteServer;
  #metrics: Server | undefined;

  constructor(options: SiteDaemonOptions) {
    const { config, pair, random, now } = options;
    this.#options = options;
    makeHome(join(config.state, 'seals'), 0o700);
    // The server's account reads its token there.
    makeHome(config.runtime, 0o755);
    this.#registry = openSiteRegistry(config);
    this.#clients = siteClients(config, pair, random);
    this.#audit = new SiteAudit(join(config.state, 'audit.jsonl'), now);
    const databases = config.databases.map((one) => this.#databaseOf(one));
    this.#databases = new Map(
      databases.map((database) => [database.options.config.asset, { database, commands: new SiteCommands(database, pair, now) }]),
    );
    const { program, threads } = options;
    const more = { state: config.state, program, threads, now };
    this.#files = new Map(
      (config.files ?? []).map((one) => {
        const { database } = this.#databases.get(one.with)!;
        return [one.asset, new SiteFiles({ config: one, database, ...more })];
      }),
    );
    const peers = (config.peers ?? []).map(({ site, key }) => [site, decodeKey(key)] as const);
    this.#server = new SiteServer({
      site: config.site,
      pair,
      callers: new Map([[config.site, pair.verifyKey], ...peers]),
      life: randomUUID(),
      nowMs: bootMs,
      answer: (from, message, signal) => this.#answer(from, message, signal),
    });
  }

  /** Until the signal; then every server is stopped in order. `onListening`: with the port. SITE_LEASE. */
  async run(signal: AbortSignal, onListening: (port: number) => void): Promise<void> {
    const { listen, metrics } = this.#options.config;
    await mustAgreeAll(this.#registry, this.#options.config, signal);
    const { host, port } = listenAddress(listen);
    onListening(await this.#server.listen(host, port));
    if (metrics !== undefined) this.#metrics = await this.#serveMetrics(metrics);
    await Promise.all([...this.#databases].map(([asset, { database }]) => this.#told(asset, database, signal)));
    this.#metrics?.closeAllConnections();
    this.#metrics?.close();
    await this.#server.close();
    for (const client of this.#clients.values()) client.close();
    await this.#registry.close();
    this.#audit.close();
  }

  async #told(asset: string, database: SiteDatabase, signal: AbortSignal): Promise<void> {
    const events = new SiteEvents();
    const tell = (): void => {
      for (const event of events.of(database.sight, bootMs())) this.#options.onEvent(asset, event);
    };
    const timer = setInterval(tell, TELL_MS);
    try {
      await database.run(signal);
    } finally {
      clearInterval(timer);
      tell();
    }
  }

  #databaseOf(database: DatabaseConfig): SiteDatabase {
    const { config, pair, openPlace, openCopy, program, helper, threads, now } = this.#options;
    const { asset, incarnation, connection, slot = SLOT, repository: place, copyFrom, baseEvery, immutability } = database;
    const address = parseServerAddress(connection, {}, accountName());
    const repository = new SiteRepository(place, asset, openPlace);
    const recent = new RecentLog();
    const baseEveryMs = baseEvery === undefined ? DAY_MS : parseDuration(baseEvery)!;
    const capture = { asset, site: config.site, address, slot, repository, baseEveryMs, program, threads, pair, now };
    return new SiteDatabase({
      site: config.site,
      config: database,
      address,
      register: new WriterRegister(this.#registry, incarnation),
      tokenFile: tokenFileOf(config.runtime, incarnation),
      repository,
      capture: new DatabaseCapture(capture),
      replica:
        copyFrom === undefined
          ? undefined
          : new DatabaseReplica({ open: (signal) => openCopy(copyFrom, place, signal), recent, nowMs: bootMs, now }),
      locks:
        immutability === undefined
          ? undefined
          : new KeptLocks({
              promisedMs: parseDuration(immutability)!,
              directory: join(config.state, 'locks'),
              nowMs: bootMs,
              now,
            }),
      standby: new DatabaseStandby({ dataDirectory: database.dataDirectory, address, repository, recent, program: helper, now }),
      seals: new SealFile(sealFileOf(config.state, incarnation)),
      ask: async (candidate, request, signal) => (await this.#clients.get(candidate)?.promise(asset, request, { signal })) ?? false,
      now,
    });
  }

  async #answer(from: string, message: CallMessage, signal: AbortSignal): Promise<unknown> {
    try {
      return await this.#audited(from, message, signal);
    } catch (error) {
      throw isFull(error) ? this.#full(error as Error) : error;
    }
  }

  /** The system does not say where. */
  #full(cause: Error): Fault {
    const { site, state, runtime, databases } = this.#options.config;
    const places = [state, join(state, 'divergence'), runtime, ...databases.map(({ dataDirectory }) => dataDirectory)];
    const full = places.filter((path) => freeBytes(path) < MIB);
    const where = full.length === 0 ? '' : ` in ${full.join(' and ')}`;
    return new Fault('TARGET_FULL', `There is no room left at ${site}${where}: ${cause.message}`, { cause });
  }

  async #audited(from: string, message: CallMessage, signal: AbortSignal): Promise<unknown> {
    const { verb, asset, argument } = message;
    if (QUIET.has(verb)) return this.#obey(message, signal);
    const entry = { from, verb, asset, argument };
    this.#audit.append({ ...entry, outcome: 'begun' });
    try {
      const value = await this.#obey(message, signal);
      this.#audit.append({ ...entry, outcome: 'done' });
      return value;
    } catch (error) {
      this.#audit.append({ ...entry, outcome: isFault(error) ? error.code : 'INTERNAL' });
      throw error;
    }
  }

  /** What is signed comes from one of our own programs: its arguments are trusted to be of their types. */
  #obey({ verb, asset, argument }: CallMessage, signal: AbortSignal): Promise<unknown> | unknown {
    const known = this.#databases.get(asset);
    const files = this.#files.get(asset);
    if (files !== undefined) return this.#obeyFiles(files, verb, argument, signal);
    if (known === undefined)
      throw new Fault('SITE_UNKNOWN_ASSET', `The daemon of the site "${this.#options.config.site}" has no asset "${asset}"`);
    const { database, commands } = known;
    const of = argument as EpochOfFailover & { readonly at?: LogEnd };
    switch (verb) {
      case 'status':
        return database.status();
      case 'promise':
        return database.promise(argument as PromiseRequest);
      case 'admit':
        return database.gate.admit(argument as Member, signal);
      case 'demote':
        return commands.demote(of, signal);
      case 'revoke':
        return commands.revoke(of, signal);
      case 'seal':
        return commands.seal(of, signal);
      case 'unseal':
        return commands.unseal(of);
      case 'catchUp':
        return commands.catchUp(argument as LogEnd, signal);
      case 'loss':
        return commands.loss(signal);
      case 'promoted':
        return commands.promoted(of, signal);
      case 'writeTest':
        return commands.writeTest(signal);
      case 'verifyPages':
        return commands.verifyPages(signal);
      case 'protect':
        return commands.protect(of, signal);
      case 'rejoin': {
        const { helper, threads, now, config } = this.#options;
        const directory = join(config.state, 'divergence');
        return rejoin({ database, directory, helper, threads, now }, argument as Parameters<typeof rejoin>[1], signal);
      }
      default:
        throw new Fault('MESSAGE_INVALID', `A site daemon of this version knows no "${verb}"`);
    }
  }

  #obeyFiles(files: SiteFiles, verb: string, argument: unknown, signal: AbortSignal): Promise<unknown> {
    switch (verb) {
      case 'point':
        return files.point(argument as Parameters<SiteFiles['point']>[0], signal);
      case 'keep':
        return files.keep(signal);
      case 'bring':
        return files.bring(argument as Parameters<SiteFiles['bring']>[0], signal);
      case 'compare':
        return files.compare(argument as Parameters<SiteFiles['compare']>[0], signal);
      default:
        throw new Fault('MESSAGE_INVALID', `A site daemon of this version knows no "${verb}" of files`);
    }
  }

  async #serveMetrics(listen: string): Promise<Server> {
    const server = createServer((request, response) => {
      const isAsked = request.method === 'GET' && request.url === '/metrics';
      response.writeHead(isAsked ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4' });
      response.end(isAsked ? siteMetrics([...this.#databases.values()].map(({ database }) => database.status())) : '');
    });
    const { host, port } = listenAddress(listen);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) =>
        reject(new Fault('SITE_CONFIG', `The daemon cannot listen at ${listen}: ${cause.message}`, { cause })),
      );
      server.listen(port, host, resolve);
    });
    return server;
  }
}

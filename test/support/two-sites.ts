// Two sites on one machine: a real daemon each (the command line, in a process of its own), real servers, a repository at A and its copy at B
// that B's daemon keeps. Everything lies in one scratch directory and ends with the test.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from '../../agents/gate/server-processes.ts';
import { PgConnection } from '../../agents/postgres/connection.ts';
import type { ServerAddress } from '../../agents/postgres/connection-string.ts';
import { adoptDatabase } from '../../agents/site/adopt.ts';
import { SiteClient } from '../../agents/site/site-client.ts';
import { openSiteRegistry, siteClients } from '../../agents/site/site-clients.ts';
import { readSiteConfig, type SiteConfig } from '../../agents/site/site-config.ts';
import type { SigningPair } from '../../src/codec/signature.ts';
import type { DatabaseStatus } from '../../src/dr/site-control.ts';
import { granted, type LogEnd, type ProofKind, type WriterRecord, withheld } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { openEtcd } from '../../src/registry/etcd.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { openSigningKey } from '../../src/trust/audit-key.ts';
import { makeOwned, removeScratch, serverScratch, serverUser, TEST_PORT, TestServer } from './postgres.ts';
import { sendSignal } from './send-signal.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/holdfast');
const CONDITION_TIMEOUT_MS = 150_000;
export const ASSET = 'pg/portal';
export const INCARNATION = 'portal-1';
export const FILES = 'files/uploads';
/** The second database of sites that have two. */
export const LEDGER = 'pg/ledger';

export type SiteName = 'a' | 'b';

export type TwoSitesOptions = {
  readonly programs: string;
  /** Members, as a site reaches them. Absent: an embedded registry. */
  readonly etcd?: (from: SiteName | 'test') => readonly string[];
  readonly lease?: { readonly ttl: string; readonly margin: string };
  /** Words before the daemon's command: "ip netns exec a". */
  readonly within?: (site: SiteName) => readonly string[];
  /** Where a site listens, and where it is reached from (absent: a free port of the loopback). */
  readonly network?: { readonly listen: string; readonly url: (of: SiteName, from: SiteName | 'test') => string };
  /** Where the repository of a site is (absent: a directory), and the variables that lead into it. */
  readonly location?: (of: SiteName) => string;
  readonly variables?: Readonly<Record<string, string>>;
  /** With a directory of files at each site that moves with the database: FILES. */
  readonly files?: boolean;
  /** With a second database, in a repository of its own: LEDGER. */
  readonly ledger?: boolean;
  /** The peer's key in the configuration of a site is another one. */
  readonly strangers?: boolean;
};

export async function until<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + CONDITION_TIMEOUT_MS;
  for (let last: unknown; ; ) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`It did not come to be: ${what}`, { cause: last });
    await sleep(30);
  }
}

export class TwoSites {
  readonly scratch = serverScratch();
  readonly configs: Record<SiteName, SiteConfig>;
  readonly #options: TwoSitesOptions;
  readonly #daemons = new Map<SiteName, SiteProcess>();
  readonly #clients = new Map<SiteName, ReadonlyMap<string, SiteClient>>();
  #registry: Registry | undefined;

  private constructor(options: TwoSitesOptions, texts: (scratch: string) => Record<SiteName, string>) {
    this.#options = options;
    const { a, b } = texts(this.scratch);
    for (const [site, text] of Object.entries({ a, b })) writeFileSync(this.file(site as SiteName), text);
    this.configs = { a: readSiteConfig(a, 'a.yaml'), b: readSiteConfig(b, 'b.yaml') };
  }

  /** A has a cluster with a table, registered. No daemon runs yet. */
  static async create(options: TwoSitesOptions): Promise<TwoSites> {
    const [portA, portB] = await freePorts(2);
    const place = (site: SiteName): string => `127.0.0.1:${site === 'a' ? portA : portB}`;
    const listen = (site: SiteName): string => options.network?.listen ?? place(site);
    const url = options.network?.url ?? ((of: SiteName) => `http://${place(of)}`);
    const sites = new TwoSites(options, (scratch) => textsOf(scratch, options, listen, url));
    const passphrase = join(sites.scratch, 'passphrase');
    writeFileSync(passphrase, 'the passphrase\n');
    for (const database of sites.configs.a.databases) {
      const { asset } = database;
      sites.holdfast(['init', '--repo', database.repository.location, '--passphrase-file', passphrase]);
      const server = await TestServer.create(options.programs, sites.scratch, basename(sites.data('a', asset)));
      await server.sql('CREATE TABLE kept (id bigserial PRIMARY KEY, word text)');
      await server.stop();
      makeOwned(sites.socket('b', asset));
      if (options.etcd === undefined) sites.holdfast(['site', 'adopt', '--config', sites.file('a'), '--asset', asset]);
      else await adoptDatabase(sites.registry, 'a', database);
    }
    return sites;
  }

  /** Both daemons run, A is written, B is a healthy standby made from its own copy. */
  async run(): Promise<void> {
    this.start('a');
    this.start('b');
    for (const { asset, repository } of this.configs.b.databases) {
      await until('A takes writes', () => this.writes('a', 'first', asset));
      await until('B has a copy that can be restored', async () => (await this.status('b', asset)).base ?? undefined);
      const { location, passphraseFile } = repository;
      const words = ['--asset', asset, '--target', this.data('b', asset), '--bin-dir', this.#options.programs];
      this.holdfast(['standby', 'make', '--repo', location, '--passphrase-file', passphraseFile, ...words]);
      await until('B is a healthy standby', async () => (await this.status('b', asset)).standby?.isHealthy);
    }
  }

  file(site: SiteName): string {
    return join(this.scratch, `${site}.yaml`);
  }

  data(site: SiteName, asset = ASSET): string {
    return join(this.scratch, placeOf(site, asset));
  }

  socket(site: SiteName, asset = ASSET): string {
    return `${this.data(site, asset)}-socket`;
  }

  get registry(): Registry {
    const { etcd } = this.#options;
    this.#registry ??= etcd === undefined ? openSiteRegistry(this.configs.a) : openEtcd({ endpoints: etcd('test') });
    return this.#registry;
  }

  get register(): WriterRegister {
    return new WriterRegister(this.registry, INCARNATION);
  }

  pair(site: SiteName): SigningPair {
    return openSigningKey(this.configs[site].state, 'site-key');
  }

  /** Who asks as an orchestrator at that site does. */
  clients(at: SiteName = 'b'): Record<SiteName, SiteClient> {
    let clients = this.#clients.get(at);
    if (clients === undefined) this.#clients.set(at, (clients = this.#clientsAt(at)));
    return { a: clients.get('a')!, b: clients.get('b')! };
  }

  #clientsAt(at: SiteName): ReadonlyMap<string, SiteClient> {
    const { network } = this.#options;
    const [config, pair] = [this.configs[at], this.pair(at)];
    if (network === undefined) return siteClients(config, pair, randomBytes);
    const clientOf = (site: SiteName): SiteClient =>
      new SiteClient({
        site,
        url: network.url(site, 'test'),
        key: this.pair(site).verifyKey,
        from: at,
        pair,
        random: randomBytes,
        nowMs: () => performance.now(),
      });
    return new Map([
      ['a', clientOf('a')],
      ['b', clientOf('b')],
    ]);
  }

  start(site: SiteName): SiteProcess {
    const daemon = new SiteProcess(
      [...(this.#options.within?.(site) ?? []), PROGRAM, 'site', 'run', '--config', this.file(site)],
      this.environment,
    );
    this.#daemons.set(site, daemon);
    return daemon;
  }

  daemon(site: SiteName): SiteProcess {
    return this.#daemons.get(site)!;
  }

  status(site: SiteName, asset = ASSET): Promise<DatabaseStatus> {
    return this.clients(site)[site].status(asset, { signal: AbortSignal.timeout(10_000) });
  }

  /** As an orchestrator does: renewals withheld for the failover, then the next epoch. */
  async grant(to: SiteName, failover: string, sealed: LogEnd, proof: ProofKind): Promise<void> {
    for (const rule of [
      (record: WriterRecord) => withheld(record, failover),
      (record: WriterRecord) => granted(record, { failover, to, sealed, proof }),
    ]) {
      const answer = await this.register.change(rule);
      if ('refused' in answer) throw new Error(`The register refused: ${answer.refused}`);
    }
  }

  address(site: SiteName, asset = ASSET): ServerAddress {
    return {
      host: this.socket(site, asset),
      port: TEST_PORT,
      user: 'postgres',
      password: undefined,
      database: 'postgres',
      tls: 'disable',
    };
  }

  async sql(site: SiteName, text: string, asset = ASSET): Promise<readonly (readonly (string | null)[])[]> {
    const sql = await PgConnection.open({ address: this.address(site, asset) });
    try {
      return (await sql.query(text)).rows;
    } finally {
      sql.close();
    }
  }

  /** Whether the row was acknowledged. */
  async writes(site: SiteName, word: string, asset = ASSET): Promise<boolean> {
    return this.sql(site, `INSERT INTO kept (word) VALUES ('${word}')`, asset).then(
      () => true,
      () => false,
    );
  }

  isStopped(site: SiteName): boolean {
    return this.#processes(site).length === 0;
  }

  /** Another after each start. */
  serverOf(site: SiteName): string {
    return readFileSync(join(this.data(site), 'postmaster.pid'), 'utf8')
      .split('\n')
      .slice(0, 3)
      .join();
  }

  /** As a restart of the host leaves it. */
  emptyRuntime(site: SiteName): void {
    rmSync(this.configs[site].runtime, { recursive: true, force: true });
  }

  holdfast(args: readonly string[]): string {
    return execFileSync(PROGRAM, [...args], { env: this.environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  serverLog(site: SiteName): string {
    const file = join(this.data(site), 'server.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async end(): Promise<void> {
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.kill()));
    for (const clients of this.#clients.values()) for (const client of clients.values()) client.close();
    await this.#registry?.close();
    for (const site of ['a', 'b'] as const)
      await until('its server is gone', () => {
        for (const pid of this.#processes(site)) sendSignal(pid, 'SIGKILL');
        return this.isStopped(site);
      });
    removeScratch(this.scratch);
  }

  #processes(site: SiteName): readonly number[] {
    const directories = this.configs[site].databases.map(({ dataDirectory }) => dataDirectory);
    return directories.flatMap((directory) => (existsSync(directory) ? processesIn(directory) : []));
  }

  get environment(): Record<string, string> {
    return {
      PATH: process.env['PATH']!,
      HOME: this.scratch,
      HOLDFAST_CACHE_DIR: join(this.scratch, 'cache'),
      TZ: 'UTC',
      ...this.#options.variables,
    };
  }
}

/** A daemon in a process of its own. */
export class SiteProcess {
  readonly #child: ChildProcess;
  output = '';
  readonly ended: Promise<number | null>;

  constructor(words: readonly string[], environment: Record<string, string>) {
    this.#child = spawn(words[0]!, words.slice(1), { env: environment, stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    this.ended = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code)));
  }

  /** Of the daemon itself, also behind "ip netns exec": that becomes it. */
  get pid(): number {
    return this.#child.pid!;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

function textsOf(
  scratch: string,
  {
    programs,
    etcd,
    lease = { ttl: '2s', margin: '2s' },
    strangers = false,
    location,
    files = false,
    ledger = false,
  }: TwoSitesOptions,
  listen: (site: SiteName) => string,
  url: (of: SiteName, from: SiteName) => string,
): Record<SiteName, string> {
  const keyOf = (site: SiteName): string => {
    const state = join(scratch, `${site}-state`);
    mkdirSync(state, { recursive: true });
    const name = strangers ? `site-key-of-a-stranger` : 'site-key';
    openSigningKey(state, 'site-key');
    return Buffer.from(openSigningKey(state, name).verifyKey).toString('base64url');
  };
  const user = serverUser();
  if (user !== undefined) chownSync(scratch, user.uid, user.gid);
  const place = (site: SiteName, asset: string): string => {
    const directory = join(scratch, asset === ASSET ? `${site}-repository` : `${site}-ledger-repository`);
    return `{ location: ${location?.(site) ?? directory}, passphraseFile: ${join(scratch, 'passphrase')} }`;
  };
  const database = (site: SiteName, peer: SiteName, asset: string, incarnation: string): string => `
  - asset: ${asset}
    incarnation: ${incarnation}
    dataDirectory: ${join(scratch, placeOf(site, asset))}
    programs: ${programs}
    arguments: [-k, ${join(scratch, placeOf(site, asset))}-socket, -p, '${TEST_PORT}']
    connection: host=${join(scratch, placeOf(site, asset))}-socket port=${TEST_PORT} user=postgres
    repository: ${place(site, asset)}
    copyFrom: ${place(peer, asset)}
    candidates: [${peer}]
    lease: { ttl: ${lease.ttl}, margin: ${lease.margin} }`;
  const text = (site: SiteName, peer: SiteName): string => `site: ${site}
listen: ${listen(site)}
state: ${join(scratch, `${site}-state`)}
runtime: ${join(scratch, `${site}-runtime`)}
registry: { ${etcd === undefined ? `embedded: ${join(scratch, 'registry.db')}` : `etcd: [${etcd(site).join(', ')}]`} }
peers:
  - { site: ${peer}, url: ${url(peer, site)}, key: ${keyOf(peer)} }
databases:${database(site, peer, ASSET, INCARNATION)}${ledger ? database(site, peer, LEDGER, 'ledger-1') : ''}
${files ? `files: [{ asset: ${FILES}, kind: files, path: ${join(scratch, `${site}-files`)}, with: ${ASSET} }]` : ''}
`;
  return { a: text('a', 'b'), b: text('b', 'a') };
}

function placeOf(site: SiteName, asset: string): string {
  return asset === ASSET ? `${site}-data` : `${site}-ledger-data`;
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

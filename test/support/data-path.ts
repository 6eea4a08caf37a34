// The data path of the service for tests: catalogue, tenants' repositories, the routes of agents on a port of the loopback, and an agent
// that speaks to them as the real one does. Without vitest: benchmarks use it too.

import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FastifyInstance, fastify } from 'fastify';
import { pino } from 'pino';
import { openFileSource } from '../../agents/files/source.ts';
import { HttpTransport } from '../../agents/host/http-transport.ts';
import { openVolume, readVolume } from '../../agents/volume/source.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { backUpTo } from '../../src/engine/backup.ts';
import { backUpFiles } from '../../src/engine/backup-files.ts';
import { BackupProgress } from '../../src/engine/backup-progress.ts';
import { ReadingPool } from '../../src/engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../../src/engine/restore-progress.ts';
import { restoreSingle } from '../../src/engine/restore-single.ts';
import { restoreTree } from '../../src/engine/restore-tree.ts';
import type { ProcessFacts } from '../../src/format/head.ts';
import { agentRoutes } from '../../src/gateway/agent-routes.ts';
import { AgentWaker } from '../../src/gateway/agent-waker.ts';
import { sessionRoutes } from '../../src/gateway/session-routes.ts';
import type { Agent } from '../../src/model/agent.ts';
import type { Asset } from '../../src/model/asset.ts';
import { newId } from '../../src/model/identifier.ts';
import type { Run } from '../../src/model/run.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import type { Quota, Tenant } from '../../src/model/tenant.ts';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import { RemoteReader } from '../../src/remote/remote-reader.ts';
import { RemoteTarget } from '../../src/remote/remote-target.ts';
import { ServiceClient } from '../../src/remote/service-client.ts';
import { StoreClient } from '../../src/remote/store-client.ts';
import { rotatePair } from '../../src/repository/keys.ts';
import { Repository } from '../../src/repository/repository.ts';
import { openStore } from '../../src/store/open.ts';
import type { RetryOptions } from '../../src/store/retry.ts';
import { systemTiming } from '../../src/store/timing.ts';
import { TenantRepositories } from '../../src/tenants/tenant-repositories.ts';
import type { TestS3 } from './ceph.ts';
import { processFacts } from './repository.ts';

const now = (): Date => new Date();
const random = (bytes: number): Uint8Array => randomBytes(bytes);
const LEASE_MS = 600_000;

export type TestServiceOptions = {
  readonly directory: string;
  /** Packs in a bucket, instead of a directory below `directory`. */
  readonly s3?: TestS3 | undefined;
  readonly prefix?: string;
  readonly quota?: Quota;
  readonly process?: ProcessFacts;
};

export class TestService {
  readonly catalog: Catalog;
  readonly tenants: TenantRepositories;
  readonly tenant: Tenant;
  readonly url: string;
  readonly #app: FastifyInstance;
  readonly #options: TestServiceOptions;

  private constructor(
    options: TestServiceOptions,
    parts: { catalog: Catalog; tenants: TenantRepositories; tenant: Tenant; url: string; app: FastifyInstance },
  ) {
    this.#options = options;
    this.catalog = parts.catalog;
    this.tenants = parts.tenants;
    this.tenant = parts.tenant;
    this.url = parts.url;
    this.#app = parts.app;
  }

  static async start(options: TestServiceOptions): Promise<TestService> {
    const { directory, s3, prefix = 'tenants', quota = {}, process = processFacts() } = options;
    mkdirSync(directory, { recursive: true });
    const catalog = await openSqliteCatalog({ path: join(directory, 'catalog.sqlite'), now, random });
    const credentials = s3 === undefined ? {} : { credentials: s3.credentials, region: s3.region };
    const environment =
      s3 === undefined
        ? {}
        : {
            AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
            AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
            AWS_REGION: s3.region,
          };
    const tenants = new TenantRepositories({
      catalog,
      home: directory,
      baseLocation: s3 === undefined ? join(directory, 'repositories') : `s3+${s3.endpoint}/${s3.bucket}/${prefix}`,
      secretsDirectory: join(directory, 'secrets'),
      cacheDirectory: join(directory, 'cache'),
      environment,
      openStore: (location, create) => openStore(location, { create, ...credentials }),
      process,
      random,
    });
    const tenant = await addTenant(catalog, tenants, 'bureau', quota);
    const log = pino({ level: 'silent' });
    const app = fastify({ forceCloseConnections: true });
    await app.register(async (scope) => {
      await scope.register(
        agentRoutes({
          catalog,
          now,
          random,
          log,
          wake: new AgentWaker(),
          audit: async () => {},
          onRunEnded: async () => {},
        } as never),
      );
      await scope.register(sessionRoutes({ catalog, tenants, now, random, log, onRunEnded: async () => {} }));
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    return new TestService(options, { catalog, tenants, tenant, url, app });
  }

  /** An enrolled agent with an asset. */
  async agent(details: { tenant?: Tenant; name?: string } = {}): Promise<TestAgent> {
    const { tenant = this.tenant, name = `host-${randomBytes(3).toString('hex')}` } = details;
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const agent: Agent = {
      id: newId('agent', now(), random),
      tenantId: tenant.id,
      label: name,
      publicKey: publicKey.export({ format: 'jwk' }).x!,
      host: { hostname: name, platform: 'linux', version: '0.3.0', cpus: 2, memoryBytes: 1 },
      state: 'active',
      enrolledAt: now().toISOString(),
    };
    await this.catalog.agents.add(agent);
    return new TestAgent(this, agent, privateKey, join(this.#options.directory, `agent-${agent.id}`));
  }

  async secondTenant(): Promise<Tenant> {
    return addTenant(this.catalog, this.tenants, 'other-bureau', {});
  }

  /** As a command does that runs beside the service with the passphrase that it has. */
  async beside<T>(work: (repository: Repository, passphrase: Uint8Array) => Promise<T>): Promise<T> {
    return this.tenants.useStore(this.tenant.id, async (store, { passphraseFile, cacheDirectory }) => {
      const passphrase = readFileSync(passphraseFile);
      return work(await Repository.open({ store, passphrase, cacheDirectory, process: processFacts() }), passphrase);
    });
  }

  /** As "holdfast key rotate" does. Answers the pairs of before. */
  rotateKeys(): Promise<readonly string[]> {
    return this.beside(async (repository, passphrase) => {
      await rotatePair(repository, { passphrase, label: 'rotated', now: new Date(), dropOtherOwners: false });
      return repository.keyring.pairIds;
    });
  }

  async stop(): Promise<void> {
    await this.#app.close();
    await this.tenants.close();
    await this.catalog.close();
  }

  /** As if the process died: connections break, nothing is ended. */
  async die(): Promise<void> {
    this.#app.server.closeAllConnections();
    await new Promise((resolve) => this.#app.server.close(resolve));
  }
}

async function addTenant(catalog: Catalog, tenants: TenantRepositories, name: string, quota: Quota): Promise<Tenant> {
  const known = await catalog.tenants.byName(name);
  if (known !== undefined) return known;
  const tenant: Tenant = {
    id: newId('tenant', now(), random),
    name,
    label: name,
    quota,
    allowedSources: [],
    state: 'active',
    createdAt: now().toISOString(),
    version: 1,
  };
  await catalog.tenants.add(tenant);
  await tenants.create(tenant);
  return tenant;
}

export type ThroughOptions = {
  readonly threads?: number;
  readonly level?: number;
  readonly signal?: AbortSignal;
  readonly wrap?: (transport: AgentTransport) => AgentTransport;
  readonly retry?: Partial<RetryOptions>;
  /** Awaited when the session has begun. */
  readonly before?: () => Promise<void>;
  readonly run?: Run;
};

/** What went which way, in bytes of bodies. */
export type Traffic = { readonly control: number; readonly store: number };

export class TestAgent {
  readonly agent: Agent;
  readonly directory: string;
  service: TestService;
  readonly #key: KeyObject;
  traffic: Traffic = { control: 0, store: 0 };

  constructor(service: TestService, agent: Agent, key: KeyObject, directory: string) {
    this.service = service;
    this.agent = agent;
    this.directory = directory;
    this.#key = key;
    mkdirSync(directory, { recursive: true });
  }

  /** Goes on with another service (the same, restarted). */
  at(service: TestService): TestAgent {
    const moved = new TestAgent(service, this.agent, this.#key, this.directory);
    return moved;
  }

  transport(): HttpTransport {
    return new HttpTransport({ url: this.service.url, key: this.#key, agentId: this.agent.id, now, random });
  }

  async asset(path: string, kind: 'files' | 'volume' = 'files'): Promise<Asset> {
    const id = newId('asset', now(), random);
    const asset: Asset = {
      id,
      tenantId: this.agent.tenantId,
      agentId: this.agent.id,
      name: `host/${id.slice(-8)}`,
      source: kind === 'files' ? { kind, paths: [path] } : { kind, path },
      state: 'active',
      createdAt: now().toISOString(),
      version: 1,
    };
    await this.service.catalog.assets.add(asset);
    return asset;
  }

  /** A run that this agent holds. */
  async claim(asset: Asset, kind: RunKind = 'backup', parameters: Record<string, unknown> = {}): Promise<Run> {
    const { catalog } = this.service;
    const at = now().toISOString();
    const id = newId('run', now(), random);
    await catalog.runs.add(
      {
        id,
        tenantId: asset.tenantId,
        assetId: asset.id,
        agentId: this.agent.id,
        kind,
        key: id,
        parameters,
        priority: 50,
        dueAt: at,
        notBefore: at,
        attemptsMax: 5,
        requestedBy: 'test',
      },
      at,
    );
    return this.claimNext();
  }

  async end(run: Run, state: 'succeeded' | 'failed'): Promise<void> {
    const at = now().toISOString();
    await this.service.catalog.runs.end(run.id, run.fence, at, state === 'failed' ? { state, retryAt: at } : { state });
  }

  async claimNext(): Promise<Run> {
    const run = await this.service.catalog.runs.claim({
      by: `agent:${this.agent.id}`,
      kinds: ['backup', 'capture', 'restore', 'restore-test'],
      agentId: this.agent.id,
      at: now().toISOString(),
      leaseMs: LEASE_MS,
      perAgentMax: 100,
      perTenantMax: 100,
      totalMax: 100,
    });
    if (run === undefined) throw new Error('nothing to claim');
    return run;
  }

  client(options: ThroughOptions = {}): { client: ServiceClient; store: StoreClient; close: () => Promise<void> } {
    const own = this.transport();
    const transport = options.wrap?.(own) ?? own;
    const client = new ServiceClient({
      transport,
      timing: systemTiming,
      ...(options.retry === undefined ? {} : { retry: options.retry }),
    });
    const store = new StoreClient(transport);
    const close = async (): Promise<void> => {
      this.traffic = {
        control: this.traffic.control + client.bytesSent + client.bytesReceived,
        store: this.traffic.store + store.bytesStored + store.bytesFetched,
      };
      store.close();
      await own.close();
    };
    return { client, store, close };
  }

  async backUp(asset: Asset, options: ThroughOptions = {}): Promise<Snapshot> {
    const run = options.run ?? (await this.claim(asset));
    const { client, store, close } = this.client(options);
    const target = new RemoteTarget({ client, store, runId: run.id, fence: run.fence, directory: this.directory });
    const progress = new BackupProgress();
    const problems: unknown[] = [];
    const listener = { onProblem: (problem: unknown) => void problems.push(problem) };
    const { source } = asset;
    if (source.kind === 'postgres') throw new Error('Databases are backed up by their own tests');
    const paths = source.kind === 'files' ? source.paths : [source.path];
    const details = {
      asset: asset.name,
      type: source.kind,
      host: 'test',
      user: 'test',
      paths,
      tags: [],
      program: 'test',
      now,
      threads: options.threads ?? 2,
      level: options.level ?? 1,
      signal: options.signal ?? new AbortController().signal,
      progress,
      listener,
    } as const;
    let state: 'succeeded' | 'failed' = 'failed';
    try {
      const snapshot = await backUpTo(target, details, async ({ pipeline, parent, readNode, parameters }) => {
        await options.before?.();
        if (source.kind === 'volume')
          return readVolume({
            volume: openVolume(source.path),
            pipeline,
            parent,
            unitBytes: parameters.paged.unitBytes,
            changedRanges: undefined,
            rereadAll: false,
            readNode,
            progress,
            listener,
          });
        const root = await backUpFiles({
          session: pipeline,
          source: openFileSource(paths),
          paged: parameters.paged,
          parentRoot: parent?.root,
          readNode,
          progress,
          listener,
          parentStartedMs: parent === undefined ? undefined : Date.parse(parent.startedAt),
        });
        return { root };
      });
      state = 'succeeded';
      return snapshot;
    } finally {
      await close();
      if (options.run === undefined) await this.end(run, state);
    }
  }

  async openReader(
    asset: Asset,
    snapshot: string,
    options: ThroughOptions = {},
  ): Promise<{ reader: RemoteReader; close: () => Promise<void> }> {
    const run = options.run ?? (await this.claim(asset, 'restore', { snapshot, target: '/nowhere' }));
    const { client, store, close } = this.client(options);
    const signal = options.signal ?? new AbortController().signal;
    try {
      const reader = await RemoteReader.open({ client, store, runId: run.id, fence: run.fence, signal });
      return {
        reader,
        close: async () => {
          await reader.close();
          await close();
          if (options.run === undefined) await this.end(run, 'succeeded');
        },
      };
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** Restores all of a snapshot; answers what went wrong. */
  async restore(asset: Asset, snapshot: string, target: string, options: ThroughOptions = {}): Promise<RestoreProblem[]> {
    const { reader, close } = await this.openReader(asset, snapshot, options);
    const problems: RestoreProblem[] = [];
    const isTree = asset.source.kind === 'files';
    const spec = { idKey: reader.keyring.payload.idKey, target: isTree ? target : undefined };
    const pool = new ReadingPool(reader.store, options.threads ?? 2, spec, options.signal ?? new AbortController().signal);
    const common = {
      delta: false,
      unitBytes: reader.parameters.paged.unitBytes,
      readNode: reader.readNode,
      blocks: reader.blocks,
      keys: reader.keys,
      pool,
      progress: new RestoreProgress(),
      onProblem: (problem: RestoreProblem) => void problems.push(problem),
    };
    try {
      const { root } = reader.snapshot;
      if (isTree) {
        mkdirSync(target, { recursive: true });
        await restoreTree({ ...common, root: root.reference, below: '', target });
      } else
        await restoreSingle({
          ...common,
          content: { kind: 'units-map', root: root.reference },
          sizeBytes: root.contentBytes,
          path: target,
        });
    } finally {
      await pool.close();
      await close();
    }
    return problems;
  }
}

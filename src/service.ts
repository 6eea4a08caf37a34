// The composition root of `holdfast serve`: every part is made here and handed to those that need it. Nothing else knows all of them.
//
// Order of the start: catalogue, first tenant and administrator, repositories, API (listening), scheduler, local agent. The stop goes the
// other way; a crash anywhere is a stop, because what was acknowledged is durable and what was begun is taken up.

import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { AgentHome } from '../agents/host/agent-home.ts';
import { enrolAgent } from '../agents/host/host-agent.ts';
import { openAgent, type ToldAgent } from '../agents/host/open-agent.ts';
import { buildApi } from './api/app.ts';
import { API_CONFIG_DEFAULT } from './api/config.ts';
import { ApiMetrics } from './api/metrics.ts';
import { startTracing } from './api/tracing.ts';
import { Fault } from './base/faults.ts';
import { LOG_OPTIONS } from './base/log-options.ts';
import { makeHome } from './base/make-directory.ts';
import type { Catalog } from './catalog/catalog.ts';
import { openSqliteCatalog } from './catalog/sqlite/open.ts';
import { agentRoutes } from './gateway/agent-routes.ts';
import { AgentWaker } from './gateway/agent-waker.ts';
import { planRoutes } from './gateway/plan-routes.ts';
import { sessionRoutes } from './gateway/session-routes.ts';
import { newId } from './model/identifier.ts';
import { instantOf, laterBy } from './model/instant.ts';
import type { CopySite } from './model/replica.ts';
import type { Tenant } from './model/tenant.ts';
import { secretReader, writeChannels } from './notify/channel-settings.ts';
import { channelSilence } from './notify/channel-state.ts';
import { DAY_MS } from './policy/duration.ts';
import type { PolicyDocument } from './policy/policy-document.ts';
import { parsePolicy } from './policy/read-policy.ts';
import { certifier } from './recovery/certificates.ts';
import { checkpointStore } from './recovery/checkpoint-store.ts';
import { auditLocation } from './recovery/system-repository.ts';
import type { RepositoryOptions } from './repository/repository.ts';
import { Bookkeeping } from './scheduler/bookkeeping.ts';
import type { HistoryTerms } from './scheduler/history.ts';
import { runTerms } from './scheduler/run-terms.ts';
import { Scheduler } from './scheduler/scheduler.ts';
import type { ObjectStore } from './store/object-store.ts';
import { openStore } from './store/open.ts';
import { readOnly } from './store/read-only.ts';
import { ServiceClaim } from './tenants/service-claim.ts';
import { mustBeWhole, settleHome } from './tenants/settle-home.ts';
import { TenantRepositories } from './tenants/tenant-repositories.ts';
import { watchClaim } from './tenants/watch-claim.ts';
import { appendAudit } from './trust/audit-chain.ts';
import { AuditCheckpoints, readCheckpoints } from './trust/audit-checkpoint.ts';
import { openAuditKey } from './trust/audit-key.ts';
import { firstAdminSecret, firstTenant, issueAdminSecret } from './trust/bootstrap.ts';
import { newSecret } from './trust/tokens.ts';

const ENROLMENT_MS = 60_000;
const CLAIM_LOOK_MS = 60_000;
/** Of the environment, what a child process of the service may see. */
const CHILD_VARIABLES = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'NODE_EXTRA_CA_CERTS', 'XDG_CACHE_HOME', 'HOLDFAST_CACHE_DIR'];
const STORE_VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_REGION', 'AWS_DEFAULT_REGION'];

export type ServiceOptions = {
  /** Absolute. */
  readonly home: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Where new tenants' repositories go; below the home when absent. */
  readonly store: string | undefined;
  /** Where other sites keep copies of repositories. */
  readonly copies: readonly CopySite[];
  readonly publicUrl: string | undefined;
  /** Addresses and blocks. */
  readonly trustedProxies: readonly string[];
  readonly channelsFile: string | undefined;
  /** What the agent of this host is told; undefined: there is none. */
  readonly localAgent: ToldAgent | undefined;
  readonly hasScheduler: boolean;
  readonly logLevel: string;
  /** How long runs and events that are over are remembered; undefined: as src/scheduler/history.ts says. */
  readonly historyDays: number | undefined;
  /** From the approval of an erasure to its beginning; undefined: as src/api/config.ts says. */
  readonly eraseAfterDays: number | undefined;
  /** Of repositories that another service served before. */
  readonly takesOver: boolean;
  /** A new token of the administrator, for who has lost the first. */
  readonly hasNewAdminToken: boolean;
  /** Of a collector of OpenTelemetry traces. */
  readonly traceEndpoint: string | undefined;
  readonly version: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly process: RepositoryOptions['process'];
};

export type Service = {
  readonly url: string;
  /** At the very first start, and when a new one was asked for. */
  readonly firstToken: string | undefined;
  readonly tenant: string;
  /** Comes when another service serves the repositories: this one is to be stopped at once. */
  readonly superseded: Promise<Fault>;
  /** In an orderly way; what runs is interrupted and taken up by the next start. */
  readonly stop: () => Promise<void>;
};

const now = (): Date => new Date();

export async function startService(options: ServiceOptions): Promise<Service> {
  const { home } = options;
  for (const name of ['', 'secrets', 'scratch']) makeHome(join(home, name), 0o700);
  const log = pino({ ...LOG_OPTIONS, level: options.logLevel, base: null }, pino.destination({ fd: 2, sync: false }));
  const undo: (() => Promise<unknown> | unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of undo.splice(0).reverse()) await one();
    log.flush();
  };
  try {
    return await compose(options, log, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

function historyOf({ historyDays }: ServiceOptions): Partial<HistoryTerms> {
  return historyDays === undefined ? {} : { runs: historyDays * DAY_MS, events: historyDays * DAY_MS };
}

async function compose(
  options: ServiceOptions,
  log: Logger,
  undo: (() => Promise<unknown> | unknown)[],
  stop: () => Promise<void>,
): Promise<Service> {
  const { home } = options;
  mustBeWhole(home);
  const catalog = await openSqliteCatalog({
    path: join(home, 'catalog.sqlite'),
    now,
    random: randomBytes,
    onFailure: (error) => log.error({ err: error }, 'the catalogue could not be written'),
  });
  undo.push(() => catalog.close());
  const metrics = new ApiMetrics({ catalog, now, version: options.version, assetsMax: API_CONFIG_DEFAULT.metricAssetsMax });
  const openStore = storeOpener(options, metrics);
  const tenants = openTenants(options, catalog, openStore);
  undo.push(() => tenants.close());
  const shippedPolicies = readShippedPolicies();
  const tenant = await catalog.transaction((tables) => firstTenant(tables, { now, random: randomBytes }));
  await storeShippedPolicies(catalog, shippedPolicies);
  if (options.channelsFile !== undefined) await writeChannels(catalog, await readYaml(options.channelsFile));
  await settleHome(catalog, home);
  const claim = new ServiceClaim({
    catalog,
    home,
    host: options.process.host,
    baseLocation: baseLocationOf(options),
    openStore,
    now,
    random: randomBytes,
  });
  await claim.begin(options.takesOver);
  const { superseded, stopWatching } = watchClaim(claim, log, CLAIM_LOOK_MS);
  undo.push(stopWatching);
  // Closed, it may be erased: nothing of it is made again.
  if (tenant.state !== 'closed') await tenants.create(tenant);

  const program = {
    command: fileURLToPath(new URL('../bin/holdfast', import.meta.url)),
    environment: chosen(options, CHILD_VARIABLES),
  };
  const auditStore = await openStore(auditLocation(baseLocationOf(options)), true);
  undo.push(() => auditStore.close());
  const auditKey = openAuditKey(join(home, 'secrets'));
  const waker = new AgentWaker();
  const scheduler = new Scheduler({
    catalog,
    tenants,
    erasure: { certify: certifier(auditStore, auditKey), program: `holdfast ${options.version}` },
    now,
    monotonic: () => performance.now(),
    random: randomBytes,
    log,
    name: `service:${options.process.host}:${options.process.processId}`,
    program,
    service: { home, store: options.store },
    mustServe: () => claim.check(),
    readSecret: secretReader(join(home, 'secrets')),
    copies: { sites: options.copies, openStore: copyOpener(options, metrics) },
    shippedPolicies,
    catalogTenant: async () => tenant.id,
    onQueued: (agentId) => waker.wake(agentId),
    history: historyOf(options),
  });
  metrics.watchLogs(scheduler.logs);
  metrics.watchChannels(() => channelSilence(catalog, now()));
  const tracing =
    options.traceEndpoint === undefined
      ? undefined
      : await startTracing({ endpoint: options.traceEndpoint, version: options.version });
  if (tracing !== undefined) undo.push(() => tracing.close());
  const app = await buildApi({
    catalog,
    metrics,
    auditMarks: () => readCheckpoints(checkpointStore(auditStore), [auditKey.verifyKey]),
    ...(tracing === undefined ? {} : { tracing }),
    tenants,
    now,
    random: randomBytes,
    log,
    logs: scheduler.logs,
    wake: (agentId) => (agentId === undefined ? scheduler.wake() : waker.wake(agentId)),
    config: {
      version: options.version,
      trustedProxies: options.trustedProxies,
      ...(options.eraseAfterDays === undefined ? {} : { eraseAfterMs: options.eraseAfterDays * DAY_MS }),
    },
    shippedPolicies,
    // In a scope of their own, which they share: what agents sign is nothing that people could.
    plugins: [
      async (scope) => {
        await scope.register(
          agentRoutes({
            catalog,
            now,
            random: randomBytes,
            log,
            wake: waker,
            onRunEnded: scheduler.onRunEnded,
            termsOf: runTerms(scheduler.book, now),
          }),
        );
        await scope.register(planRoutes({ catalog, now }));
        await scope.register(
          sessionRoutes({
            catalog,
            tenants,
            now,
            random: randomBytes,
            log,
            onRunEnded: scheduler.onRunEnded,
            onLogNote: scheduler.onLogNote,
          }),
        );
      },
    ],
  });
  undo.push(() => app.close());
  const url = await listen(app, options);
  if (options.hasScheduler) {
    await scheduler.start();
    undo.push(() => scheduler.stop());
    const checkpoints = new AuditCheckpoints({ catalog, key: auditKey, store: checkpointStore(auditStore), now });
    const bookkeeping = new Bookkeeping({ catalog, tenants, checkpoints, program, now, log });
    bookkeeping.start();
    undo.push(() => bookkeeping.stop());
  }
  if (options.localAgent !== undefined) undo.push(await startLocalAgent(options, { catalog, tenant, url, log }));
  // Last of all: a start that fails shows nothing, and what was made for it nobody would ever see.
  const issue = options.hasNewAdminToken ? issueAdminSecret : firstAdminSecret;
  const adminSecret = await catalog.transaction((tables) => issue(tables, tenant, { now, random: randomBytes }));
  log.info({ url: url.public, home }, 'serving');
  return { url: url.public, firstToken: adminSecret, tenant: tenant.name, superseded, stop };
}

function openTenants(options: ServiceOptions, catalog: Catalog, openStore: OpenStore): TenantRepositories {
  const { home } = options;
  return new TenantRepositories({
    catalog,
    home,
    baseLocation: baseLocationOf(options),
    secretsDirectory: join(home, 'secrets'),
    cacheDirectory: join(home, 'cache'),
    environment: chosen(options, STORE_VARIABLES),
    openStore,
    process: options.process,
    random: randomBytes,
  });
}

function baseLocationOf({ store, home }: ServiceOptions): string {
  return store ?? join(home, 'repositories');
}

type OpenStore = (location: string, create: boolean) => Promise<ObjectStore>;

/** Every failed request is counted, also one that a retry makes good. */
function storeOpener(options: ServiceOptions, metrics: ApiMetrics): OpenStore {
  const variables = chosen(options, STORE_VARIABLES);
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = variables;
  const region = variables.AWS_REGION ?? variables.AWS_DEFAULT_REGION;
  const hasCredentials = accessKeyId !== undefined && secretAccessKey !== undefined;
  return (location, create) =>
    openStore(location, {
      create,
      onEvent: ({ verb, fault }) => {
        if (fault !== undefined && fault.code !== 'STORE_NOT_FOUND') metrics.storeErrors.inc({ operation: verb });
      },
      ...(hasCredentials
        ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }
        : {}),
      ...(region === undefined ? {} : { region }),
    });
}

/** Read only, whatever its credentials allow: those of the repositories, unless HOLDFAST_COPY_AWS_... are given, all together. */
function copyOpener(options: ServiceOptions, metrics: ApiMetrics): (location: string) => Promise<ObjectStore> {
  const { variables } = options;
  const own = STORE_VARIABLES.map((name) => [name, variables[`HOLDFAST_COPY_${name}`]] as const);
  const hasOwn = variables['HOLDFAST_COPY_AWS_ACCESS_KEY_ID'] !== undefined;
  const open = storeOpener({ ...options, variables: hasOwn ? Object.fromEntries(own) : variables }, metrics);
  return async (location) => readOnly(await open(location, false));
}

/** `local`: how this process's own agent reaches it. */
async function listen(
  app: FastifyInstance,
  { listen: { host, port }, publicUrl }: ServiceOptions,
): Promise<{ local: string; public: string }> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new Fault('SERVICE_CANNOT_LISTEN', `Cannot listen at ${host}:${port}: ${code ?? message}`, { cause });
  }
  const { port: actual } = app.server.address() as AddressInfo;
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const local = `http://${name}:${actual}`;
  return { local, public: publicUrl ?? local };
}

/** Answers how to stop it. It speaks to the service over the loopback as every other agent does. */
async function startLocalAgent(
  options: ServiceOptions,
  { catalog, tenant, url, log }: { catalog: Catalog; tenant: Tenant; url: { local: string }; log: Logger },
): Promise<() => Promise<void>> {
  const directory = join(options.home, 'agent');
  await setStrangerAside(directory, catalog);
  const home = new AgentHome(directory);
  home.prepare();
  if (home.readState() === undefined) {
    const { secret, digest } = newSecret(randomBytes);
    const at = instantOf(now());
    const enrolment = { id: newId('enrolment', now(), randomBytes), tenantId: tenant.id, label: options.process.host };
    await catalog.tokens.addEnrolment({ ...enrolment, expiresAt: laterBy(at, ENROLMENT_MS), createdBy: 'system' }, digest);
    await enrolAgent({
      home,
      service: url.local,
      token: secret,
      label: options.process.host,
      programVersion: options.version,
      now,
      random: randomBytes,
    });
  }
  const { run } = openAgent({
    home: directory,
    log: log.child({ part: 'agent' }),
    now,
    random: randomBytes,
    program: `holdfast ${options.version}`,
    service: url.local,
    // Never its own repository, catalogue and keys.
    neverBackUp: [options.home],
    ...options.localAgent,
  });
  const stopping = new AbortController();
  const running = run(stopping.signal).catch((error: unknown) => log.error({ err: error }, 'the local agent ended'));
  return async () => {
    stopping.abort(new Fault('SERVICE_STOPPING', 'The service is stopping'));
    await running;
  };
}

/** An agent that the catalogue does not know, because it was made anew: it enrols again. A revoked one stays what it is. */
async function setStrangerAside(directory: string, catalog: Catalog): Promise<void> {
  if (!existsSync(directory)) return;
  const state = new AgentHome(directory).readState();
  if (state !== undefined && (await catalog.agents.get(state.agentId)) === undefined)
    renameSync(directory, `${directory}-${state.agentId}`);
}

function readShippedPolicies(): readonly PolicyDocument[] {
  const directory = fileURLToPath(new URL('../policies/', import.meta.url));
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => parsePolicy(readFileSync(join(directory, name), 'utf8'), name));
}

/** So that they can be attached by name. Those that people changed stay as they are. */
async function storeShippedPolicies(catalog: Catalog, shipped: readonly PolicyDocument[]): Promise<void> {
  const directory = fileURLToPath(new URL('../policies/', import.meta.url));
  await catalog.transaction(async (tables) => {
    for (const { name } of shipped) {
      if ((await tables.policies.byName(undefined, name)) !== undefined) continue;
      const id = newId('policy', now(), randomBytes);
      const at = instantOf(now());
      const text = readFileSync(join(directory, `${name}.yaml`), 'utf8');
      await tables.policies.add({ id, name, level: 'asset', text, version: 1, changedAt: at, changedBy: 'system:system' });
      await appendAudit(tables, {
        at,
        actor: 'system:system',
        actorLabel: 'Holdfast',
        action: 'policy.create',
        subject: id,
        outcome: 'done',
        details: { name },
      });
    }
  });
}

async function readYaml(path: string): Promise<unknown> {
  const { parse } = await import('yaml');
  try {
    return parse(readFileSync(resolve(path), 'utf8'), { maxAliasCount: 0 });
  } catch (cause) {
    throw new Fault('CHANNEL_INVALID', `The file "${path}" cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function chosen({ variables }: ServiceOptions, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (variables[name] ? [[name, variables[name]]] : [])));
}

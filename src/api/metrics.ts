// What Prometheus reads at /metrics. Counters and histograms are kept by whoever counts; gauges of what the catalogue knows are read when
// somebody asks. Labels are few and bounded: an asset has its own series up to a number of assets, never a path, a message or a person.

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type Catalog, JUDGED_SETTING, type PromiseState } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import { PAGE_ITEMS_MAX } from '../model/page.ts';
import { type LogWindows, latestOf } from '../scheduler/log-windows.ts';
import { CopyMetrics } from './copy-metrics.ts';
import { PlanMetrics } from './plan-metrics.ts';

const LATENCY_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const DAY_MS = 86_400_000;

export type MetricsOptions = {
  readonly catalog: Catalog;
  readonly now: () => Date;
  readonly version: string;
  readonly assetsMax: number;
};

export type ChannelSilence = () => Promise<readonly { readonly channel: string; readonly seconds: number }[]>;

export class ApiMetrics {
  readonly registry = new Registry();
  readonly requests: Histogram<'method' | 'route' | 'status'>;
  /** Counted by whoever talks to a store. */
  readonly storeErrors: Counter<'operation'>;
  readonly #options: MetricsOptions;
  #logs: Pick<LogWindows, 'proved'> | undefined;
  #channels: ChannelSilence | undefined;
  readonly #gauges: ReturnType<typeof makeGauges>;
  readonly #plans: PlanMetrics;
  readonly #copies: CopyMetrics;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const registers = [this.registry];
    this.requests = new Histogram({
      name: 'holdfast_http_request_duration_seconds',
      help: 'Time to answer requests',
      labelNames: ['method', 'route', 'status'],
      buckets: LATENCY_BUCKETS_SECONDS,
      registers,
    });
    this.storeErrors = new Counter({
      name: 'holdfast_store_errors_total',
      help: 'Requests to object stores that failed',
      labelNames: ['operation'],
      registers,
    });
    this.#gauges = makeGauges(registers);
    this.#plans = new PlanMetrics(registers);
    this.#copies = new CopyMetrics(registers);
    new Gauge({ name: 'holdfast_build_info', help: 'Always 1', labelNames: ['version'], registers }).set(
      { version: options.version },
      1,
    );
  }

  /** Where it is known what databases can be brought back to. */
  watchLogs(logs: Pick<LogWindows, 'proved'>): void {
    this.#logs = logs;
  }

  /** How it is known which channels are not reached. */
  watchChannels(channels: ChannelSilence): void {
    this.#channels = channels;
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  async text(): Promise<string> {
    await this.#read();
    return this.registry.metrics();
  }

  async #read(): Promise<void> {
    const { catalog } = this.#options;
    const gauges = this.#gauges;
    for (const gauge of Object.values(gauges)) gauge.reset();
    for (const { kind, state, count } of await catalog.runs.counts()) gauges.runs.set({ kind, state }, count);
    const assets = await this.#readAssets();
    this.#showPromises(await catalog.promises.list(undefined), assets);
    await this.#readTenants();
    await this.#plans.read(catalog, this.#options.now(), this.#options.assetsMax);
    const judged = await catalog.settings.get(JUDGED_SETTING);
    if (judged !== undefined) gauges.judged.set(Date.parse(judged) / 1000);
    for (const { channel, seconds } of (await this.#channels?.()) ?? []) gauges.channelDown.set({ channel }, seconds);
    gauges.memory.set(process.memoryUsage.rss());
  }

  /** Ids of assets that have series of their own. */
  async #readAssets(): Promise<ReadonlySet<string>> {
    const { catalog, now, assetsMax } = this.#options;
    const { assetCount, rpo } = this.#gauges;
    const shown = new Set<string>();
    let count = 0;
    let after: string | undefined;
    do {
      const page = await catalog.assets.listAll({ limit: PAGE_ITEMS_MAX, ...(after === undefined ? {} : { after }) });
      for (const asset of page.items) {
        const { id, tenantId, state } = asset;
        if (state !== 'active') continue;
        count++;
        if (shown.size >= assetsMax) continue;
        shown.add(id);
        if (asset.source.kind === 'postgres') {
          await this.#readLog(asset);
          continue;
        }
        const latest = await catalog.recoveryPoints.latest(id);
        // What was changed since the point's begin is not in it.
        if (latest !== undefined) rpo.set({ tenant: tenantId, asset: id }, (now().getTime() - Date.parse(latest.startedAt)) / 1000);
      }
      after = page.next;
    } while (after !== undefined);
    assetCount.set(count);
    return shown;
  }

  /** By what the stored log was last seen to prove. */
  async #readLog(asset: Asset): Promise<void> {
    const { rpo, windowStart, windowEnd, windowIntervals } = this.#gauges;
    const window = await this.#logs?.proved(asset);
    const latest = window === undefined ? undefined : latestOf(window);
    if (window === undefined || latest === undefined) return;
    const labels = { tenant: asset.tenantId, asset: asset.id };
    rpo.set(labels, (this.#options.now().getTime() - latest) / 1000);
    windowStart.set(labels, window.intervals[0]!.from.time / 1_000_000);
    windowEnd.set(labels, latest / 1000);
    windowIntervals.set(labels, window.intervals.length);
  }

  #showPromises(states: readonly PromiseState[], shown: ReadonlySet<string>): void {
    const { kept, measured, promised, broken } = this.#gauges;
    const brokenOf = { rpo: 0, window: 0, proof: 0, copies: 0 };
    for (const state of states) {
      if (!state.isKept) brokenOf[state.objective]++;
      if (!shown.has(state.assetId)) continue;
      const labels = { tenant: state.tenantId, asset: state.assetId, objective: state.objective };
      kept.set(labels, state.isKept ? 1 : 0);
      promised.set(labels, state.promised);
      if (state.measured !== undefined) measured.set(labels, state.measured);
    }
    for (const [objective, count] of Object.entries(brokenOf)) broken.set({ objective }, count);
  }

  async #readTenants(): Promise<void> {
    const { catalog, now } = this.#options;
    const { protectedBytes, storedBytes, dedup, agentSeen, queueDepth, queueAge } = this.#gauges;
    const today = now().toISOString().slice(0, 10);
    const from = new Date(now().getTime() - 7 * DAY_MS).toISOString().slice(0, 10);
    let [queued, oldest, agents] = [0, Number.POSITIVE_INFINITY, 0];
    this.#copies.reset();
    let after: string | undefined;
    do {
      const page = await catalog.tenants.list({ limit: PAGE_ITEMS_MAX, ...(after === undefined ? {} : { after }) });
      for (const { id } of page.items) {
        await this.#copies.readTenant(catalog, id, now());
        const usage = (await catalog.usage.list(id, from, today)).at(-1);
        if (usage !== undefined) {
          protectedBytes.set({ tenant: id }, usage.protectedBytes);
          storedBytes.set({ tenant: id }, usage.storedBytes);
          if (usage.storedBytes > 0) dedup.set({ tenant: id }, usage.protectedBytes / usage.storedBytes);
        }
        const waiting = await catalog.runs.list(id, { states: ['queued'] }, { limit: PAGE_ITEMS_MAX });
        for (const { notBefore } of waiting.items) {
          const at = Date.parse(notBefore);
          if (at > now().getTime()) continue;
          queued++;
          oldest = Math.min(oldest, at);
        }
        const seen = await catalog.agents.list(id, { limit: PAGE_ITEMS_MAX });
        for (const agent of seen.items)
          if (agent.state === 'active' && agent.lastSeenAt !== undefined && agents++ < this.#options.assetsMax)
            agentSeen.set({ tenant: id, agent: agent.id }, Date.parse(agent.lastSeenAt) / 1000);
      }
      after = page.next;
    } while (after !== undefined);
    queueDepth.set(queued);
    queueAge.set(queued === 0 ? 0 : (now().getTime() - oldest) / 1000);
  }
}

function makeGauges(registers: Registry[]) {
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers });
  return {
    runs: gauge('holdfast_runs', 'Runs in the catalogue', 'kind', 'state'),
    assetCount: gauge('holdfast_assets', 'Active assets'),
    rpo: gauge(
      'holdfast_rpo_seconds',
      'Age of the newest sound recovery point, or of the last stored transaction',
      'tenant',
      'asset',
    ),
    windowStart: gauge(
      'holdfast_window_start_timestamp_seconds',
      'Earliest instant of a database that can be restored',
      'tenant',
      'asset',
    ),
    windowEnd: gauge(
      'holdfast_window_end_timestamp_seconds',
      'Latest instant of a database that can be restored',
      'tenant',
      'asset',
    ),
    windowIntervals: gauge('holdfast_window_intervals', 'More than one: there are gaps between', 'tenant', 'asset'),
    kept: gauge('holdfast_promise_kept', '1: the objective is kept', 'tenant', 'asset', 'objective'),
    measured: gauge('holdfast_promise_measured_seconds', 'What was measured of an objective', 'tenant', 'asset', 'objective'),
    promised: gauge('holdfast_promise_promised_seconds', 'What is promised', 'tenant', 'asset', 'objective'),
    broken: gauge('holdfast_promises_broken', 'Objectives that are broken, of all assets', 'objective'),
    judged: gauge('holdfast_promises_judged_timestamp_seconds', 'When all promises were judged last'),
    queueDepth: gauge('holdfast_queue_depth', 'Runs that could start now and wait'),
    queueAge: gauge('holdfast_queue_oldest_seconds', 'How long the oldest of them has waited'),
    protectedBytes: gauge('holdfast_protected_bytes', 'Bytes that the assets of a tenant hold', 'tenant'),
    storedBytes: gauge('holdfast_stored_bytes', 'Bytes in the store of a tenant', 'tenant'),
    dedup: gauge('holdfast_dedup_ratio', 'Protected bytes for one stored', 'tenant'),
    agentSeen: gauge('holdfast_agent_last_seen_timestamp_seconds', 'Last sign of life of an agent', 'tenant', 'agent'),
    channelDown: gauge('holdfast_channel_down_seconds', 'How long nothing has reached the receiver of a channel', 'channel'),
    memory: gauge('holdfast_process_resident_bytes', 'Memory of the control plane'),
  };
}

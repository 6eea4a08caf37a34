// What a client of a service does that is killed all the time; and what the service acknowledged to it. A request that was not answered was not
// acknowledged: it may have happened or not.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Asset } from '../../src/model/asset.ts';
import type { Run } from '../../src/model/run.ts';
import type { RunKind } from '../../src/model/run-kind.ts';
import type { ServiceProcess } from './service-process.ts';

export type Acknowledged = {
  readonly assets: Map<string, Asset>;
  readonly queued: Set<string>;
  /** Run -> what it said when it was seen to have succeeded. */
  readonly succeeded: Map<string, Run>;
};

const PLAN = `name: soak
schedule:
  - cron: "* * * * *"
retention: { keepLast: 20 }
`;
const ANSWER_MS_MAX = 10_000;

export class SoakClient {
  readonly #service: ServiceProcess;
  readonly #acknowledged: Acknowledged;
  #tenant = '';

  constructor(service: ServiceProcess, acknowledged: Acknowledged) {
    this.#service = service;
    this.#acknowledged = acknowledged;
  }

  async prepare(sources: readonly string[]): Promise<void> {
    const tenants = await this.#must<{ items: { id: string }[] }>('GET', '/v1/tenants');
    this.#tenant = tenants.items[0]!.id;
    await this.#must('PUT', `${this.#base}/policies/soak`, { text: PLAN });
    const agentId = await this.#agent();
    for (const [n, path] of sources.entries()) {
      const body = { name: `${hostname()}/source-${n}`, agentId, source: { kind: 'files', paths: [path] }, policy: 'soak' };
      const asset = await this.#must<Asset>('POST', `${this.#base}/assets`, body);
      this.#acknowledged.assets.set(asset.id, asset);
    }
  }

  /** Asks for a run. The same question is put again after a lost answer, under the same idempotency key, as a client would. */
  async ask(kind: RunKind, chance: () => number): Promise<void> {
    const assets = [...this.#acknowledged.assets.keys()];
    const isOfAsset = kind === 'backup' || kind === 'forget';
    const assetId = assets[Math.floor(chance() * assets.length)]!;
    const key = randomUUID();
    const body = { kind, ...(isOfAsset ? { assetId } : {}), ...(kind === 'verify' ? { verify: { mode: 'full' } } : {}) };
    for (let attempt = 0; attempt < 2; attempt++) {
      const run = await this.#call<Run>('POST', `${this.#base}/runs`, body, key);
      if (run === undefined) continue;
      this.#acknowledged.queued.add(run.id);
      return;
    }
  }

  /** Notes the runs that are told to have succeeded. */
  async look(): Promise<void> {
    const page = await this.#call<{ items: Run[] }>('GET', `${this.#base}/runs?limit=100`);
    for (const run of page?.items ?? [])
      if (run.state === 'succeeded' || run.state === 'warned') this.#acknowledged.succeeded.set(run.id, run);
  }

  async unfinished(): Promise<number> {
    let count = 0;
    for (const state of ['queued', 'running']) {
      const { items } = await this.#must<{ items: Run[] }>('GET', `${this.#base}/runs?limit=100&state=${state}`);
      // What is due in a minute is always there.
      count += items.filter(({ id, requestedBy }) => requestedBy !== 'scheduler' || this.#acknowledged.queued.has(id)).length;
    }
    return count;
  }

  get #base(): string {
    return `/v1/tenants/${this.#tenant}`;
  }

  async #agent(): Promise<string> {
    for (;;) {
      const { items } = await this.#must<{ items: { id: string }[] }>('GET', `${this.#base}/agents`);
      if (items[0] !== undefined) return items[0].id;
    }
  }

  async #must<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.#call<T>(method, path, body, method === 'POST' ? randomUUID() : undefined);
    if (answer === undefined) throw new Error(`${method} ${path} was not answered`);
    return answer;
  }

  /** Undefined: not answered, or with an error of a service that is going. */
  async #call<T>(method: string, path: string, body?: unknown, key?: string): Promise<T | undefined> {
    let response: Response;
    try {
      response = await fetch(`${this.#service.url}${path}`, {
        method,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        headers: {
          authorization: `Bearer ${this.#service.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as T;
      if (response.status === 503 || response.status === 429) return undefined;
      throw new RefusedError(`${method} ${path} was answered with ${response.status}: ${text}`);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      return undefined;
    }
  }
}

class RefusedError extends Error {}

// The registry in an etcd cluster (3.4 or newer), over its JSON gateway. Members are asked one after the other: a read may go to any of them,
// for a linearizable read asks the majority; a swap goes on to the next member only where the one before certainly did not get it, because the
// same swap sent twice would answer "conflict" for what its first sending did.

import { Fault } from '../base/faults.ts';
import { checkCall } from './check-call.ts';
import type { Registry, RegistryOptions, RegistryValue } from './registry.ts';

const TIMEOUT_MS = 2_000;
const PREFIX = 'holdfast/';
/** Connecting failed: no byte of the request was sent. */
const NOT_SENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

export type EtcdOptions = {
  /** "http://10.0.0.1:2379", one for each member. */
  readonly endpoints: readonly string[];
  /** Of one call, all members that it asks together. */
  readonly timeoutMs?: number;
};

type Range = { readonly kvs?: readonly { readonly value?: string; readonly mod_revision: string }[] };
type Txn = { readonly header: { readonly revision: string }; readonly succeeded?: boolean };

export function openEtcd({ endpoints, timeoutMs = TIMEOUT_MS }: EtcdOptions): Registry {
  return new EtcdRegistry(endpoints, timeoutMs);
}

class EtcdRegistry implements Registry {
  readonly location: string;
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  /** The member that answered last comes first. */
  #endpoints: readonly string[];

  constructor(endpoints: readonly string[], timeoutMs: number) {
    this.location = endpoints.join(',');
    this.#endpoints = endpoints;
    this.#timeoutMs = timeoutMs;
  }

  async read(key: string, options: RegistryOptions = {}): Promise<RegistryValue | undefined> {
    checkCall(key);
    const answer = (await this.#ask('/v3/kv/range', { key: base64(PREFIX + key) }, true, options)) as Range;
    const [found] = answer.kvs ?? [];
    if (found === undefined) return undefined;
    return { value: Buffer.from(found.value ?? '', 'base64').toString('utf8'), revision: this.#number(found.mod_revision) };
  }

  async swap(key: string, value: string, revision: number, options: RegistryOptions = {}): Promise<number | 'conflict'> {
    checkCall(key, value);
    const name = base64(PREFIX + key);
    const answer = (await this.#ask(
      '/v3/kv/txn',
      {
        compare: [{ key: name, target: 'MOD', result: 'EQUAL', mod_revision: String(revision) }],
        success: [{ requestPut: { key: name, value: base64(value) } }],
      },
      false,
      options,
    )) as Txn;
    return answer.succeeded === true ? this.#number(answer.header?.revision) : 'conflict';
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  /** `isRepeatable`: a member whose answer was lost may be followed by the next. */
  async #ask(path: string, body: unknown, isRepeatable: boolean, { signal }: RegistryOptions): Promise<unknown> {
    const endsAt = performance.now() + this.#timeoutMs;
    const problems: string[] = [];
    for (const [i, endpoint] of this.#endpoints.entries()) {
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) break;
      // Members whose network swallows everything must not use up the time of those that answer.
      const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(isRepeatable ? leftMs / (this.#endpoints.length - i) : leftMs)));
      try {
        const answer = await this.#post(
          `${endpoint}${path}`,
          body,
          AbortSignal.any([timeout, this.#closed.signal, ...(signal ? [signal] : [])]),
        );
        this.#endpoints = [endpoint, ...this.#endpoints.filter((other) => other !== endpoint)];
        return answer;
      } catch (error) {
        // The next call begins with another member, also when this one had no time left to ask it.
        this.#endpoints = [...this.#endpoints.filter((other) => other !== endpoint), endpoint];
        signal?.throwIfAborted();
        if (error instanceof Fault && error.retry === 'never') throw error;
        problems.push(`${endpoint}: ${reasonOf(error)}`);
        if (!isRepeatable && !wasNotSent(error)) break;
      }
    }
    throw new Fault('REGISTRY_UNREACHABLE', `The registry did not answer: ${problems.join('; ') || 'no time was left'}`);
  }

  async #post(url: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
      redirect: 'error',
    });
    const text = await response.text();
    if (response.status === 401 || response.status === 403)
      throw new Fault('REGISTRY_DENIED', `The registry ${url} refused: ${text.slice(0, 200)}`);
    // No leader, a full disk, an overload: another member may know better.
    if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 200)}`);
    const answer: unknown = JSON.parse(text);
    // Every answer of etcd has one: what has none is somebody else's.
    if (typeof answer !== 'object' || answer === null || !('header' in answer)) throw new Error('not an answer of etcd');
    return answer;
  }

  #number(text: string | undefined): number {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number <= 0)
      throw new Fault('REGISTRY_DAMAGED', `The registry ${this.location} answered the revision "${text}"`);
    return number;
  }
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function codeOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  return first instanceof Error && 'code' in first ? first.code : undefined;
}

function wasNotSent(error: unknown): boolean {
  const code = codeOf(error);
  return typeof code === 'string' && NOT_SENT.has(code);
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  return typeof code === 'string' ? code : (error as Error).message;
}

// Speaks to the service: one function for every operation of the OpenAPI document, typed by it. What the service refuses is a fault with the
// service's own code; what can be repeated without harm (reading, and POSTs under an Idempotency-Key) is repeated when the way was broken.

import { FAULTS, Fault, type FaultCode } from '../base/faults.ts';
import { OPERATIONS, type Operations, type Problem } from './generated.ts';
import { readEvents, type ServerEvent } from './server-events.ts';

export type Operation = keyof Operations;

export type ServiceClientOptions = {
  /** "https://backup.example.org" */
  readonly url: string;
  /** Undefined: only what is public. */
  readonly secret?: string | undefined;
  /** A fresh Idempotency-Key. */
  readonly newKey: () => string;
  readonly fetch?: typeof fetch;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

export type Answered<T> = { readonly status: number; readonly body: T; readonly etag: string | undefined };

type Input = Readonly<Record<string, unknown>> & {
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly ifMatch?: string;
  readonly idempotencyKey?: string;
  readonly lastEventId?: string;
};

const ATTEMPTS_MAX = 3;
const PAUSE_MS = 300;
const TIMEOUT_MS = 60_000;
/** A service that is started anew is waited for: some twenty seconds in all. */
const STREAM_FAILURES_MAX = 10;
const STREAM_PAUSE_MS_MAX = 3000;

export class ServiceClient {
  readonly #options: ServiceClientOptions;
  readonly #fetch: typeof fetch;

  constructor(options: ServiceClientOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
  }

  /** Throws the fault that the service named, or SERVICE_UNREACHABLE. */
  async call<O extends Operation>(operation: O, input: Operations[O]['input']): Promise<Answered<Operations[O]['output']>> {
    const { isIdempotent, method } = OPERATIONS[operation];
    const given = input as Input;
    const keyed =
      isIdempotent && method !== 'GET' ? { ...given, idempotencyKey: given.idempotencyKey ?? this.#options.newKey() } : given;
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#request(operation, keyed, AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS));
        return await answered<Operations[O]['output']>(response);
      } catch (error) {
        const isWorthIt = isIdempotent && attempt < ATTEMPTS_MAX && isOfTheWay(error) && this.#options.signal?.aborted !== true;
        if (!isWorthIt) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
      }
    }
  }

  /** Every item of a list, page by page. */
  async *each<O extends Operation>(
    operation: O,
    input: Operations[O]['input'],
  ): AsyncGenerator<Operations[O]['output'] extends { readonly items: readonly (infer T)[] } ? T : never> {
    type Page = { readonly items: readonly never[]; readonly next?: string };
    let after: string | undefined;
    do {
      const query = { ...(input as Input).query, ...(after === undefined ? {} : { after }) };
      const { body } = await this.call(operation, { ...input, query });
      yield* (body as unknown as Page).items;
      after = (body as unknown as Page).next;
    } while (after !== undefined);
  }

  /** Server-sent events, until the signal or, of a stream that has an end, its end. A broken or ended connection is taken up behind the
   *  last event. */
  async *stream(
    operation: Operation,
    input: Input,
    isOver: (event: ServerEvent) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<ServerEvent> {
    let last = input.lastEventId;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const response = await this.#request(operation, { ...input, ...(last === undefined ? {} : { lastEventId: last }) }, signal);
        if (!response.ok) await answered(response);
        for await (const event of readEvents(response.body!)) {
          failures = 0;
          last = event.id ?? last;
          yield event;
          if (isOver(event)) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isOfTheWay(error) || ++failures > STREAM_FAILURES_MAX) throw error;
      }
      await pause(Math.min(PAUSE_MS * 2 ** failures, STREAM_PAUSE_MS_MAX), signal);
    }
  }

  async #request(operation: Operation, input: Input, signal: AbortSignal): Promise<Response> {
    const { method, path } = OPERATIONS[operation];
    const { secret, signal: outer } = this.#options;
    const address = new URL(
      path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(input[name]))),
      `${this.#options.url.replace(/\/+$/, '')}/`,
    );
    for (const [name, value] of Object.entries(input.query ?? {}))
      if (value !== undefined) address.searchParams.set(name, String(value));
    const headers: Record<string, string> = {
      accept: 'application/json, */*',
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
      ...(input.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(input.ifMatch === undefined ? {} : { 'if-match': input.ifMatch }),
      ...(input.idempotencyKey === undefined ? {} : { 'idempotency-key': input.idempotencyKey }),
      ...(input.lastEventId === undefined ? {} : { 'last-event-id': input.lastEventId }),
    };
    const body = input.body === undefined ? {} : { body: JSON.stringify(input.body) };
    try {
      return await this.#fetch(address, {
        method,
        headers,
        ...body,
        redirect: 'error',
        signal: outer === undefined ? signal : AbortSignal.any([outer, signal]),
      });
    } catch (error) {
      if (outer?.aborted === true) throw outer.reason;
      throw unreachable(address.origin, error);
    }
  }
}

async function answered<T>(response: Response): Promise<Answered<T>> {
  const text = await response.text().catch((error: unknown) => {
    throw unreachable(new URL(response.url).origin, error);
  });
  if (!response.ok) throw faultOf(response, text);
  const isJson = (response.headers.get('content-type') ?? '').startsWith('application/json');
  const body = text === '' ? undefined : isJson ? JSON.parse(text) : text;
  return { status: response.status, body: body as T, etag: response.headers.get('etag') ?? undefined };
}

function faultOf({ status, url }: Response, text: string): Fault {
  let problem: Partial<Problem> = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Not by the service: something in between answered.
  }
  const { code, detail, hint, requestId } = problem;
  if (code === undefined)
    return new Fault('SERVICE_UNREACHABLE', `${new URL(url).origin} answered ${status}, and not as the service does`);
  const known = code in FAULTS ? (code as FaultCode) : 'INTERNAL';
  const id = status >= 500 ? ` (request ${requestId})` : '';
  return new Fault(known, `${detail ?? code}${id}`, hint === undefined ? {} : { hint });
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

function unreachable(origin: string, error: unknown): Fault {
  const reason = error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error);
  return new Fault('SERVICE_UNREACHABLE', `No answer from ${origin}: ${reason}`, { cause: error });
}

function isOfTheWay(error: unknown): boolean {
  return (
    error instanceof Fault &&
    (error.code === 'SERVICE_UNREACHABLE' || error.code === 'SERVICE_NOT_READY' || error.code === 'REQUEST_KEY_BUSY')
  );
}

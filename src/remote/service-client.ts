// Messages to the service, repeated as long as that can help: while the network is gone, the service restarts, or is busy. Every message is
// made so that saying it twice is safe (src/protocol/session-messages.ts).

import type { Static, TSchema } from 'typebox';
import { FAULTS, Fault, type FaultCode, isFault } from '../base/faults.ts';
import { ProblemAnswer } from '../protocol/agent-messages.ts';
import type { AgentAnswer, AgentCallOptions, AgentTransport } from '../protocol/agent-transport.ts';
import { readMessage } from '../protocol/read-message.ts';
import type { RetryOptions } from '../store/retry.ts';
import type { Timing } from '../store/timing.ts';

/** A lease is over sooner; then the service says so. */
export const SERVICE_RETRY: RetryOptions = { attemptsMax: 1_000, baseMs: 100, capMs: 5_000, totalMs: 10 * 60_000 };

/** Said once, they stay so for this session. */
const FINAL: readonly FaultCode[] = ['SESSION_GONE', 'SESSION_REVOKED', 'RUN_FENCED', 'GRANT_REFUSED', 'AGENT_CLOCK_SKEW'];

export type ServiceClientOptions = {
  readonly transport: AgentTransport;
  readonly timing: Timing;
  readonly retry?: Partial<RetryOptions>;
};

export class ServiceClient {
  readonly transport: AgentTransport;
  readonly timing: Timing;
  readonly #retry: RetryOptions;
  /** Of bodies, both ways. */
  bytesSent = 0;
  bytesReceived = 0;

  constructor({ transport, timing, retry }: ServiceClientOptions) {
    this.transport = transport;
    this.timing = timing;
    this.#retry = { ...SERVICE_RETRY, ...retry };
  }

  /** Says `message`, answers what the schema says. */
  async say<T extends TSchema>(path: string, message: unknown, schema: T, signal?: AbortSignal): Promise<Static<T>> {
    const body = Buffer.from(JSON.stringify(message));
    const answer = await this.#call(path, body, optionsOf('application/json', signal));
    return readMessage(schema, parse(answer, path), `The answer to ${path}`);
  }

  /** Says bytes, answers a message. */
  async tell<T extends TSchema>(path: string, body: Uint8Array, schema: T, signal?: AbortSignal): Promise<Static<T>> {
    const answer = await this.#call(path, body, optionsOf('application/octet-stream', signal));
    return readMessage(schema, parse(answer, path), `The answer to ${path}`);
  }

  /** Says bytes, answers bytes. */
  async ask(path: string, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return (await this.#call(path, body, optionsOf('application/octet-stream', signal))).body;
  }

  /** Repeats `work` as long as that can help. */
  async repeat<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { attemptsMax, baseMs, capMs, totalMs } = this.#retry;
    const startMs = this.timing.nowMs();
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!isFault(error) || error.retry !== 'later' || isFault(error, ...FINAL) || attempt >= attemptsMax) throw error;
        const pauseMs = this.timing.random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16));
        if (this.timing.nowMs() - startMs + pauseMs > totalMs) throw error;
        await this.timing.sleep(pauseMs, signal);
      }
    }
  }

  #call(path: string, body: Uint8Array, options: AgentCallOptions): Promise<AgentAnswer> {
    return this.repeat(async () => {
      this.bytesSent += body.length;
      const answer = await this.transport.request('POST', path, body, options);
      this.bytesReceived += answer.body.length;
      if (answer.status < 200 || answer.status > 299) throw problemOf(answer, path);
      return answer;
    }, options.signal);
  }
}

function optionsOf(contentType: string, signal: AbortSignal | undefined): AgentCallOptions {
  return { contentType, ...(signal === undefined ? {} : { signal }) };
}

/** The fault that an answer other than 2xx stands for. */
export function problemOf(answer: AgentAnswer, path: string): Fault {
  let problem: ProblemAnswer;
  try {
    problem = readMessage(ProblemAnswer, parse(answer, path), `The refusal of ${path}`);
  } catch (cause) {
    // A proxy's page, or that of a service that is starting.
    const code = answer.status >= 500 ? 'SERVICE_UNREACHABLE' : 'SERVICE_CORRUPT_ANSWER';
    return new Fault(code, `${path}: an answer with status ${answer.status} that is not the service's`, { cause });
  }
  const { code, detail = '', hint } = problem;
  if (!Object.hasOwn(FAULTS, code))
    return new Fault('MESSAGE_INVALID', `${path} was refused with ${code}, which this version does not know: ${detail}`);
  return new Fault(code as FaultCode, detail === '' ? `${path} was refused` : detail, hint === undefined ? {} : { hint });
}

function parse({ body }: AgentAnswer, path: string): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch (cause) {
    throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${path} is not JSON`, { cause });
  }
}

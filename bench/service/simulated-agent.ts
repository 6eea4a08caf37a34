// An agent as the service sees it: polls, holds what it is given for a while with progress in its polls, says the end. It does no work.

import type { KeyObject } from 'node:crypto';
import { randomBytes } from 'node:crypto';
import type { HttpTransport } from '../../agents/host/http-transport.ts';
import { call } from '../../agents/host/service-calls.ts';
import { AGENT_PATHS, EndAnswer, type HeldRun, PollAnswer } from '../../src/protocol/agent-messages.ts';

const IDLE_WAIT_MS = 25_000;
const BUSY_WAIT_MS = 3_000;
const RUN_MS = 15_000;

export type Samples = {
  /** An answer's time beyond what the poll asked to wait: of polls that ended without news. */
  readonly pollMs: number[];
  /** Polls that do not wait: a plain heartbeat. */
  readonly heartbeatMs: number[];
  /** From the run being queued to the agent having it. */
  readonly claimMs: number[];
  readonly endMs: number[];
  failures: number;
  /** What began before this is not counted: the start is not what is measured. */
  fromMs: number;
};

export type Identity = { readonly id: string; readonly key: KeyObject };

export class SimulatedAgent {
  readonly #transport: HttpTransport;
  readonly #samples: Samples;
  readonly #instance = randomBytes(12).toString('base64url');
  readonly #running = new Map<string, { readonly fence: number; readonly endsAt: number }>();

  constructor(transport: HttpTransport, samples: Samples) {
    this.#transport = transport;
    this.#samples = samples;
  }

  /** `spreadMs`: the first poll comes somewhere within. */
  async run(signal: AbortSignal, spreadMs: number): Promise<void> {
    await pause(Math.random() * spreadMs, signal);
    while (!signal.aborted) {
      try {
        await this.#endDue();
        await this.#poll(signal, Math.random() < 0.2);
      } catch {
        if (signal.aborted) return;
        this.#samples.failures++;
        await pause(1_000 * Math.random(), signal);
      }
    }
  }

  async #poll(signal: AbortSignal, isHeartbeat: boolean): Promise<void> {
    const longest = this.#running.size > 0 ? BUSY_WAIT_MS : IDLE_WAIT_MS;
    const waitMs = isHeartbeat ? 0 : Math.round(longest * (0.8 + Math.random() * 0.2));
    const at = new Date().toISOString();
    const running = [...this.#running].map(
      ([runId, { fence }]): HeldRun => ({ runId, fence, progress: { phase: 'copying', bytesDone: 1, at } }),
    );
    const message = { instance: this.#instance, running, capacity: 2 - this.#running.size, waitMs };
    const startedMs = performance.now();
    const answer = await call(this.#transport, AGENT_PATHS.poll, message, PollAnswer, { signal, timeoutMs: waitMs + 15_000 });
    const beyondMs = performance.now() - startedMs - waitMs;
    for (const { run } of answer.claimed) {
      this.#samples.claimMs.push(Date.now() - Date.parse(run.createdAt));
      this.#running.set(run.id, { fence: run.fence, endsAt: performance.now() + RUN_MS });
    }
    if (answer.claimed.length > 0 || startedMs < this.#samples.fromMs) return;
    if (isHeartbeat) this.#samples.heartbeatMs.push(beyondMs);
    else this.#samples.pollMs.push(beyondMs);
  }

  async #endDue(): Promise<void> {
    for (const [runId, { fence, endsAt }] of this.#running) {
      if (performance.now() < endsAt) continue;
      const startedMs = performance.now();
      const end = { fence, state: 'succeeded', result: { snapshot: '0'.repeat(20), bytesStored: 1 } };
      await call(this.#transport, AGENT_PATHS.end(runId), end, EndAnswer);
      this.#samples.endMs.push(performance.now() - startedMs);
      this.#running.delete(runId);
    }
  }
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, durationMs);
    const onAbort = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

// The host agent: asks for work by long polls, which are its sign of life and what keeps the leases of its runs, and does it in processes of
// their own.
//
// - Losing the network stops nothing: runs go on, and polls are repeated with pauses that grow. Only the service decides that a run is
//   somebody else's by now ("fenced"); then it is stopped by force.
// - Stopping is orderly: runs abandon what they do in a way that the next attempt takes up, and that is told.
// - Being killed loses nothing either: what was held is noted in the home, and the lease runs out.

import type { Logger } from 'pino';
import { Fault, isFault } from '../../src/base/faults.ts';
import {
  AGENT_PATHS,
  EndAnswer,
  EnrolAnswer,
  type EnrolRequest,
  PollAnswer,
  type PollRequest,
} from '../../src/protocol/agent-messages.ts';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import type { AgentHome, AgentState } from './agent-home.ts';
import { HeldRuns } from './held-runs.ts';
import { hostFacts } from './host-facts.ts';
import { HttpTransport } from './http-transport.ts';
import type { RunOutcome } from './run-messages.ts';
import type { StartRun } from './run-process.ts';
import { call } from './service-calls.ts';

const IDLE_WAIT_MS = 25_000;
/** With runs under way: so old is what the service knows of their progress. */
const BUSY_WAIT_MS = 3_000;
/** On top of the wait, for the answer to come. */
const ANSWER_MS = 15_000;
const TELL_TIMEOUT_MS = 20_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MS_MAX = 30_000;
/** After an answer that came early and said nothing. */
const BREATH_MS = 1_000;
const TELL_ON_STOP_MS = 10_000;

/** What no repetition changes: the agent ends. */
const FINAL = ['AGENT_REVOKED', 'AGENT_UNKNOWN', 'AGENT_VERSION_UNSUPPORTED', 'TENANT_CLOSED'] as const;

export type HostAgentOptions = {
  readonly home: AgentHome;
  readonly transport: AgentTransport;
  readonly start: StartRun;
  readonly log: Logger;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  /** Of this program. */
  readonly programVersion: string;
  /** The site whose configuration it has. */
  readonly planSite?: string | undefined;
  /** Runs at the same time. */
  readonly concurrency: number;
  /** Of the protocol; for tests. */
  readonly version?: string;
  readonly idleWaitMs?: number;
  readonly busyWaitMs?: number;
};

export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #runs: HeldRuns;
  readonly #instance: string;
  #saysHost = true;
  #nudge = new AbortController();

  constructor(options: HostAgentOptions) {
    const { home, start, now, log, random } = options;
    this.#options = options;
    this.#instance = Buffer.from(random(12)).toString('base64url');
    this.#runs = new HeldRuns({
      home,
      start,
      now,
      log,
      tellEnd: (runId, fence, outcome) => this.#tellEnd(runId, fence, outcome),
      pause: (failures, signal) => this.#pause(failures, signal),
      onRoom: () => this.#nudge.abort(),
    });
  }

  /** Until the signal fires, or the service will not have this agent: AGENT_REVOKED, AGENT_UNKNOWN, AGENT_VERSION_UNSUPPORTED;
   *  AGENT_HOME_BUSY. The transport stays open. */
  async run(signal: AbortSignal): Promise<void> {
    const { home, log } = this.#options;
    home.prepare();
    const unlock = home.lock();
    try {
      this.#runs.takeUp(home.keptRuns());
      await this.#loop(signal);
      log.info('stopping');
      await this.#runs.stopAll(TELL_ON_STOP_MS);
    } catch (error) {
      this.#runs.killAll();
      throw error;
    } finally {
      unlock();
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { log, random } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const startedMs = performance.now();
      this.#nudge = new AbortController();
      try {
        const answer = await this.#poll(AbortSignal.any([signal, this.#nudge.signal]));
        if (failures > 0) log.info({ failures }, 'the service answers again');
        failures = 0;
        if (!this.#take(answer) && performance.now() - startedMs < BREATH_MS)
          await sleep(BREATH_MS * (0.5 + random(1)[0]! / 256), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (this.#nudge.signal.aborted) continue;
        if (isFault(error, ...FINAL)) throw error;
        failures++;
        const level = failures === 1 || failures % 20 === 0 ? 'warn' : 'debug';
        log[level]({ err: error, failures }, 'no poll: the service cannot be asked for work');
        await this.#pause(failures, signal);
      }
    }
  }

  async #poll(signal: AbortSignal): Promise<PollAnswer> {
    const {
      concurrency,
      transport,
      programVersion,
      planSite,
      idleWaitMs = IDLE_WAIT_MS,
      busyWaitMs = BUSY_WAIT_MS,
      random,
    } = this.#options;
    const running = this.#runs.describe();
    // Never in step with other agents.
    const waitMs = Math.round((this.#runs.busy > 0 ? busyWaitMs : idleWaitMs) * (0.8 + random(1)[0]! / 1280));
    const message: PollRequest = {
      instance: this.#instance,
      ...(this.#saysHost ? { host: hostFacts(programVersion, planSite) } : {}),
      running,
      capacity: Math.max(0, concurrency - this.#runs.active),
      waitMs,
    };
    const answer = await call(transport, AGENT_PATHS.poll, message, PollAnswer, this.#callOptions(waitMs + ANSWER_MS, signal));
    this.#saysHost = false;
    return answer;
  }

  /** Whether it said anything. */
  #take({ claimed, cancel, fenced }: PollAnswer): boolean {
    for (const runId of fenced) this.#runs.fenced(runId);
    for (const runId of cancel) this.#runs.stop(runId, 'RUN_CANCELED');
    for (const one of claimed) this.#runs.begin(one);
    return claimed.length + cancel.length + fenced.length > 0;
  }

  async #tellEnd(runId: string, fence: number, outcome: RunOutcome): Promise<void> {
    const { transport, log } = this.#options;
    const tell = async (said: RunOutcome): Promise<void> => {
      await call(transport, AGENT_PATHS.end(runId), { fence, ...said }, EndAnswer, this.#callOptions(TELL_TIMEOUT_MS));
    };
    try {
      await tell(outcome);
    } catch (error) {
      if (!isFault(error, 'MESSAGE_INVALID') || outcome.result === undefined) throw error;
      // How it ended matters more than its figures.
      log.warn({ runId, err: error }, 'the service does not take the result of the run: told without it');
      const { result, ...rest } = outcome;
      await tell(typeof result.snapshot === 'string' ? { ...rest, result: { snapshot: result.snapshot } } : rest);
    }
  }

  #callOptions(timeoutMs: number, signal?: AbortSignal): { timeoutMs: number; signal?: AbortSignal; version?: string } {
    const { version } = this.#options;
    return { timeoutMs, ...(signal === undefined ? {} : { signal }), ...(version === undefined ? {} : { version }) };
  }

  /** Doubles with each failure; half of it is chance. */
  #pause(failures: number, signal: AbortSignal): Promise<void> {
    const longest = Math.min(BACKOFF_MS_MAX, BACKOFF_FIRST_MS * 2 ** Math.min(10, failures - 1));
    return sleep(longest * (0.5 + this.#options.random(1)[0]! / 512), signal);
  }
}

export type Enrolment = {
  readonly home: AgentHome;
  readonly service: string;
  readonly token: string;
  readonly label?: string;
  /** PEM file. */
  readonly caFile?: string;
  readonly ca?: string;
  readonly programVersion: string;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly version?: string;
};

/** Makes a key, has it enrolled and keeps who this agent is. AGENT_ENROLLED_ALREADY, AGENT_ENROLMENT_REFUSED and faults of the way there. */
export async function enrolAgent(enrolment: Enrolment): Promise<AgentState> {
  const { home, service, token, label, caFile, ca, programVersion, now, random, version } = enrolment;
  home.prepare();
  const unlock = home.lock();
  try {
    if (home.readState() !== undefined)
      throw new Fault('AGENT_ENROLLED_ALREADY', `The home ${home.directory} is that of an enrolled agent already`);
    const publicKey = home.makeKey();
    const said = version === undefined ? {} : { version };
    const transport = new HttpTransport({
      url: service,
      key: home.readKey(),
      now,
      random,
      ...(ca === undefined ? {} : { ca }),
      ...said,
    });
    try {
      const request: EnrolRequest = {
        token,
        publicKey,
        host: hostFacts(programVersion),
        ...(label === undefined ? {} : { label }),
      };
      const answer = await call(transport, AGENT_PATHS.enrol, request, EnrolAnswer, { timeoutMs: TELL_TIMEOUT_MS, ...said });
      const { agentId, tenantId } = answer;
      const state: AgentState = { agentId, tenantId, label: answer.label, service, ...(caFile === undefined ? {} : { caFile }) };
      home.writeState(state);
      return state;
    } finally {
      await transport.close();
    }
  } finally {
    unlock();
  }
}

/** Resolves early when the signal fires. */
function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, durationMs);
    signal.addEventListener('abort', finish, { once: true });
  });
}

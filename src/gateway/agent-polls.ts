// A poll: the agent's sign of life, the lease of what it holds, and how it gets work. It waits until there is something to say.
//
// Claims are the catalogue's: whichever poll comes first gets a run, with a fence of its own. An answer that was lost on its way is said
// again: a run that was told and does not appear among what the same process of the agent holds is told once more, as long as it is
// still this claim's. (After a restart of the service the lease tells instead.) A process has one poll at a time: a new one ends the one
// before, whose last claim may not have found anybody to hear it.

import type { Logger } from 'pino';
import { Fault } from '../base/faults.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Agent } from '../model/agent.ts';
import type { Asset } from '../model/asset.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import { AGENT_RUN_KINDS, isBeside } from '../model/run-kind.ts';
import type { ClaimedRun, HeldRun, PollAnswer, PollRequest, RunTerms } from '../protocol/agent-messages.ts';
import { activeTenant } from './agent-auth.ts';
import type { AgentWaker } from './agent-waker.ts';

/** Claims in one answer. */
const CLAIMS_MAX = 8;
/** So long nobody looks for runs of agents again after there were none at all in the queue. */
const EMPTY_MS = 1_000;
/** Processes of agents with claims whose arrival is not known yet. */
const PROCESSES_MAX = 20_000;

const REPLACED = new Error('Another poll of the same process came');

export type PollLimits = {
  /** How long a run stays the agent's after a poll. */
  readonly leaseMs: number;
  /** How long a poll waits at most, whatever the agent asks for. */
  readonly waitMsMax: number;
  /** Between two looks of a waiting poll. */
  readonly lookMs: number;
  readonly perAgentMax: number;
  readonly perTenantMax: number;
  readonly totalMax: number;
};

export const POLL_LIMITS: PollLimits = {
  leaseMs: 60_000,
  waitMsMax: 30_000,
  lookMs: 5_000,
  perAgentMax: 4,
  perTenantMax: 200,
  totalMax: 2_000,
};

export type PollsOptions = {
  readonly catalog: Catalog;
  readonly waker: AgentWaker;
  readonly now: () => Date;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Logger;
  readonly limits: PollLimits;
  /** What the policy says of how this run is done. */
  readonly termsOf: (run: Run, asset: Asset | undefined) => Promise<RunTerms>;
};

type Held = HeldRun & { readonly run: Run };
type Look = { readonly claimed: readonly ClaimedRun[]; readonly cancel: readonly string[]; readonly fenced: readonly string[] };

export class AgentPolls {
  readonly #options: PollsOptions;
  /** Of each process ("agent/instance"): its poll, and the claims that were told to it and have not appeared yet (run -> fence). */
  readonly #current = new Map<string, AbortController>();
  readonly #unconfirmed = new Map<string, Map<string, number>>();
  /** The queue held nothing for any agent; good until then, or until somebody was woken. */
  #empty = { untilMs: 0, wakes: -1 };

  constructor(options: PollsOptions) {
    this.#options = options;
  }

  /** `gone` fires when nobody hears the answer any more. AGENT_REVOKED when that happens while it waits. */
  async poll(agent: Agent, request: PollRequest, gone: AbortSignal): Promise<PollAnswer> {
    const { catalog, limits, now, waker } = this.#options;
    const name = processOf(agent, request);
    this.#current.get(name)?.abort(REPLACED);
    const own = new AbortController();
    const onGone = (): void => own.abort(gone.reason);
    gone.addEventListener('abort', onGone, { once: true });
    this.#current.set(name, own);
    try {
      await catalog.agents.seen(agent.id, instantOf(now()), request.host);
      const look = await this.#untilNews(agent, request, own.signal);
      // Nobody may hear what was claimed: the poll that follows says it.
      if (own.signal.aborted && look.claimed.length > 0) setImmediate(() => waker.wake(agent.id));
      return { ...copyOf(look), leaseMs: limits.leaseMs, at: instantOf(now()) };
    } finally {
      gone.removeEventListener('abort', onGone);
      if (this.#current.get(name) === own) this.#current.delete(name);
    }
  }

  async #untilNews(agent: Agent, request: PollRequest, signal: AbortSignal): Promise<Look> {
    const { limits, waker } = this.#options;
    const startedMs = performance.now();
    const waitMs = Math.min(request.waitMs, limits.waitMsMax);
    // Before anything is looked at: who is woken from now on does not wait.
    let since = waker.wakes;
    const { held, fenced } = await this.#extend(agent, request.running);
    let look: Look = { claimed: [], cancel: held.flatMap((one) => (isToCancel(one, one.run) ? [one.runId] : [])), fenced };
    for (;;) {
      look = await this.#claim(agent, request, look, signal);
      const leftMs = waitMs - (performance.now() - startedMs);
      if (isNews(look) || leftMs <= 0 || signal.aborted || waker.isClosed) return look;
      await waker.wait(agent.id, Math.min(leftMs, this.#lookMs()), signal, since);
      since = waker.wakes;
      look = await this.#lookAtHeld(agent, held);
    }
  }

  /** Between 0.75 and 1.25 of the time, so that a thousand polls do not look in step. */
  #lookMs(): number {
    const { limits, random } = this.#options;
    return limits.lookMs * (0.75 + random(1)[0]! / 512);
  }

  async #extend(agent: Agent, running: readonly HeldRun[]): Promise<{ held: readonly Held[]; fenced: readonly string[] }> {
    const { catalog, now, limits } = this.#options;
    const held: Held[] = [];
    const fenced: string[] = [];
    for (const one of running) {
      const { runId, fence, progress } = one;
      // The fence alone is no proof: it is a small number.
      const run = await this.#runOf(agent, runId);
      const extended =
        run === undefined ? 'fenced' : await catalog.runs.extend(runId, fence, instantOf(now()), limits.leaseMs, progress);
      if (extended === 'fenced') fenced.push(runId);
      else held.push({ ...one, run: extended });
    }
    return { held, fenced };
  }

  async #runOf(agent: Agent, runId: string): Promise<Run | undefined> {
    const run = await this.#options.catalog.runs.get(agent.tenantId, runId);
    return run?.agentId === agent.id ? run : undefined;
  }

  /** Claims that were told to this process of the agent and have not arrived. */
  async #sayAgain(agent: Agent, request: PollRequest): Promise<readonly ClaimedRun[]> {
    const claimed: ClaimedRun[] = [];
    const name = processOf(agent, request);
    const unconfirmed = this.#unconfirmed.get(name);
    if (unconfirmed === undefined) return claimed;
    this.#unconfirmed.delete(name);
    for (const [runId, fence] of unconfirmed) {
      if (request.running.some((one) => one.runId === runId)) continue;
      const run = await this.#runOf(agent, runId);
      if (run?.state !== 'running' || run.fence !== fence || run.claimedBy !== claimerOf(agent)) continue;
      claimed.push(await this.#tell(agent, request, run));
    }
    return claimed;
  }

  async #claim(agent: Agent, request: PollRequest, look: Look, signal: AbortSignal): Promise<Look> {
    if (signal.aborted) return look;
    const { catalog, now, limits } = this.#options;
    const kinds = AGENT_RUN_KINDS.filter((kind) => request.kinds?.includes(kind) ?? true);
    const claimed = [...(await this.#sayAgain(agent, request))];
    let room = request.capacity - claimed.filter(({ run }) => !isBeside(run.kind)).length;
    while (claimed.length < CLAIMS_MAX && !signal.aborted && (await this.#mayHaveWork())) {
      // It may have been suspended while the poll waited.
      activeTenant(await catalog.tenants.get(agent.tenantId));
      const { leaseMs, perAgentMax, perTenantMax, totalMax } = limits;
      const claim = {
        by: claimerOf(agent),
        kinds: room > 0 ? kinds : kinds.filter(isBeside),
        agentId: agent.id,
        at: instantOf(now()),
        leaseMs,
        perAgentMax,
        perTenantMax,
        totalMax,
      };
      const run = await catalog.runs.claim(claim);
      if (run === undefined) break;
      if (!isBeside(run.kind)) room--;
      claimed.push(await this.#tell(agent, request, run));
    }
    return { ...look, claimed };
  }

  /** A thousand idle agents look often: one look at the counts answers for all of them. */
  async #mayHaveWork(): Promise<boolean> {
    const { catalog, waker } = this.#options;
    const { wakes } = waker;
    if (this.#empty.wakes === wakes && performance.now() < this.#empty.untilMs) return false;
    const counts = await catalog.runs.counts();
    if (counts.some(({ kind, state, count }) => state === 'queued' && count > 0 && AGENT_RUN_KINDS.includes(kind))) return true;
    this.#empty = { untilMs: performance.now() + EMPTY_MS, wakes };
    return false;
  }

  async #tell(agent: Agent, request: PollRequest, run: Run): Promise<ClaimedRun> {
    const { catalog, termsOf, log } = this.#options;
    this.#note(processOf(agent, request), run);
    const asset = run.assetId === undefined ? undefined : await catalog.assets.get(run.tenantId, run.assetId);
    log.info({ runId: run.id, agentId: agent.id, kind: run.kind, fence: run.fence, attempt: run.attempt }, 'run claimed');
    const plan = await this.#planOf(run);
    const more = { ...(asset === undefined ? {} : { asset }), ...(plan === undefined ? {} : { plan }) };
    return { run, ...more, terms: await termsOf(run, asset) };
  }

  /** The version that was asked for, whatever is in force by now. */
  async #planOf({ tenantId, parameters }: Run): Promise<string | undefined> {
    const { plan, version } = parameters;
    if (typeof plan !== 'string' || typeof version !== 'number') return undefined;
    return (await this.#options.catalog.plans.version(tenantId, plan, version))?.text;
  }

  #note(name: string, { id, fence }: Run): void {
    const unconfirmed = this.#unconfirmed.get(name) ?? new Map<string, number>();
    unconfirmed.set(id, fence);
    if (!this.#unconfirmed.has(name) && this.#unconfirmed.size >= PROCESSES_MAX)
      for (const oldest of this.#unconfirmed.keys()) {
        this.#unconfirmed.delete(oldest);
        break;
      }
    this.#unconfirmed.set(name, unconfirmed);
  }

  /** What happened while the poll waited. */
  async #lookAtHeld(agent: Agent, held: readonly Held[]): Promise<Look> {
    const { catalog } = this.#options;
    const current = await catalog.agents.get(agent.id);
    if (current?.state !== 'active') throw new Fault('AGENT_REVOKED', `The agent ${agent.id} was revoked`);
    const cancel: string[] = [];
    const fenced: string[] = [];
    for (const one of held) {
      const run = await this.#runOf(agent, one.runId);
      if (run === undefined || run.fence !== one.fence || run.state !== 'running') fenced.push(one.runId);
      else if (isToCancel(one, run)) cancel.push(one.runId);
    }
    return { claimed: [], cancel, fenced };
  }
}

export function claimerOf(agent: Agent): string {
  return `agent:${agent.id}`;
}

function processOf(agent: Agent, { instance }: PollRequest): string {
  return `${agent.id}/${instance}`;
}

function isToCancel({ isStopping }: HeldRun, run: Run): boolean {
  return isStopping !== true && run.cancelRequestedAt !== undefined;
}

function isNews({ claimed, cancel, fenced }: Look): boolean {
  return claimed.length + cancel.length + fenced.length > 0;
}

function copyOf({ claimed, cancel, fenced }: Look): Pick<PollAnswer, 'claimed' | 'cancel' | 'fenced'> {
  return { claimed: [...claimed], cancel: [...cancel], fenced: [...fenced] };
}

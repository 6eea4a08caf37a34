// The runs that an agent holds, from their claim to the acknowledged end. Each is noted in the agent's home before it begins, and its outcome
// before it is told, if that can be: a restart knows what it left behind and says so, instead of letting the lease run out.

import type { Logger } from 'pino';
import { FAULTS, isFault } from '../../src/base/faults.ts';
import { isBeside } from '../../src/model/run-kind.ts';
import type { ClaimedRun, HeldRun } from '../../src/protocol/agent-messages.ts';
import type { AgentHome, KeptRun } from './agent-home.ts';
import type { RunOutcome, StopCode } from './run-messages.ts';
import type { RunningRun, StartRun } from './run-process.ts';

export type HeldRunsOptions = {
  readonly home: AgentHome;
  readonly start: StartRun;
  readonly now: () => Date;
  readonly log: Logger;
  /** Tells the service, once. Throws RUN_FENCED when it does not count. */
  readonly tellEnd: (runId: string, fence: number, outcome: RunOutcome) => Promise<void>;
  /** Before the `failures`-th repetition. */
  readonly pause: (failures: number, signal: AbortSignal) => Promise<void>;
  /** A run is over: there is room for another. */
  readonly onRoom: () => void;
};

type Held = {
  readonly runId: string;
  readonly fence: number;
  readonly isBeside: boolean;
  /** Absent: over, and the service does not know yet. */
  running: RunningRun | undefined;
  isStopping: boolean;
  readonly forgotten: AbortController;
};

export class HeldRuns {
  readonly #options: HeldRunsOptions;
  readonly #held = new Map<string, Held>();
  readonly #tasks = new Set<Promise<void>>();

  constructor(options: HeldRunsOptions) {
    this.#options = options;
  }

  /** Runs under way: those that only wait to be told do not count, nor do those that run beside them. */
  get active(): number {
    let count = 0;
    for (const { running, isBeside } of this.#held.values()) if (running !== undefined && !isBeside) count++;
    return count;
  }

  /** Runs of which somebody may want to hear soon. */
  get busy(): number {
    let count = 0;
    for (const { running, isBeside } of this.#held.values()) if (running === undefined || !isBeside) count++;
    return count;
  }

  /** For the poll. */
  describe(): HeldRun[] {
    const at = this.#options.now().toISOString();
    return [...this.#held.values()].map(({ runId, fence, running, isStopping }) => ({
      runId,
      fence,
      ...(isStopping || running === undefined ? { isStopping: true } : {}),
      ...(running?.progress === undefined ? {} : { progress: { ...running.progress, at } }),
    }));
  }

  begin(claimed: ClaimedRun): void {
    const { start, log } = this.#options;
    const { id: runId, fence, kind, attempt } = claimed.run;
    const known = this.#held.get(runId);
    // Told again because our last poll was lost.
    if (known?.fence === fence) return;
    if (known !== undefined) this.fenced(runId);
    this.#note(runId, (home) => home.keepRun({ runId, fence }));
    log.info({ runId, kind, fence, attempt }, 'run begins');
    const held: Held = {
      runId,
      fence,
      isBeside: isBeside(kind),
      running: start(claimed),
      isStopping: false,
      forgotten: new AbortController(),
    };
    this.#held.set(runId, held);
    this.#track(this.#follow(held));
  }

  stop(runId: string, code: StopCode): void {
    const held = this.#held.get(runId);
    if (held === undefined || held.isStopping) return;
    held.isStopping = true;
    held.running?.stop(code);
  }

  /** Somebody else has it: whatever runs here stops at once, and nothing is said. */
  fenced(runId: string): void {
    const held = this.#held.get(runId);
    if (held === undefined) return;
    this.#options.log.warn({ runId, fence: held.fence }, 'run was given to another: stopped');
    this.#held.delete(runId);
    held.forgotten.abort();
    held.running?.kill();
    this.#note(runId, (home) => home.dropRun(runId));
  }

  /** What a process before this one left behind. */
  takeUp(kept: readonly KeptRun[]): void {
    for (const { runId, fence, end } of kept) {
      const code = 'AGENT_INTERRUPTED';
      const outcome: RunOutcome = (end as RunOutcome | undefined) ?? {
        state: 'failed',
        fault: { code, message: 'The agent died during the run', hint: FAULTS[code].hint },
      };
      const held: Held = { runId, fence, isBeside: false, running: undefined, isStopping: true, forgotten: new AbortController() };
      this.#held.set(runId, held);
      this.#track(this.#tell(held, outcome));
    }
  }

  /** Stops all in an orderly way and tells what can be told within the time. */
  async stopAll(tellMs: number): Promise<void> {
    for (const runId of this.#held.keys()) this.stop(runId, 'AGENT_INTERRUPTED');
    await Promise.all([...this.#held.values()].map(({ running }) => running?.done));
    const timer = setTimeout(() => {
      for (const { forgotten } of this.#held.values()) forgotten.abort();
    }, tellMs);
    await Promise.all(this.#tasks);
    clearTimeout(timer);
  }

  killAll(): void {
    for (const { running, forgotten } of this.#held.values()) {
      forgotten.abort();
      running?.kill();
    }
  }

  /** A home that is full or cannot be written keeps no run from its work, nor its end from being told: when the agent dies then, leases run out. */
  #note(runId: string, note: (home: AgentHome) => void): void {
    const { home, log } = this.#options;
    try {
      note(home);
    } catch (error) {
      log.warn({ runId, err: error }, 'the home cannot note the run');
    }
  }

  #track(work: Promise<void>): void {
    const task: Promise<void> = work.finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  async #follow(held: Held): Promise<void> {
    const outcome = await held.running!.done;
    held.running = undefined;
    if (held.forgotten.signal.aborted) return;
    const { log, onRoom } = this.#options;
    const { runId, fence } = held;
    log.info({ runId, fence, state: outcome.state, ...(outcome.fault === undefined ? {} : { fault: outcome.fault }) }, 'run ended');
    this.#note(runId, (home) => home.keepRun({ runId, fence, end: outcome }));
    await this.#tell(held, outcome);
    onRoom();
  }

  /** Until it is known, or does not matter any more. */
  async #tell({ runId, fence, forgotten }: Held, outcome: RunOutcome): Promise<void> {
    const { tellEnd, pause, log } = this.#options;
    for (let failures = 0; !forgotten.signal.aborted; ) {
      try {
        await tellEnd(runId, fence, outcome);
        break;
      } catch (error) {
        if (isFault(error, 'RUN_FENCED')) break;
        if (isFault(error) && error.retry === 'never') {
          log.error({ runId, err: error }, 'the service refuses the end of the run');
          break;
        }
        log.warn({ runId, err: error }, 'the end of the run could not be told yet');
        await pause(++failures, forgotten.signal);
      }
    }
    // What was not told stays in the home for the next start.
    if (forgotten.signal.aborted) return;
    this.#held.delete(runId);
    this.#note(runId, (home) => home.dropRun(runId));
  }
}

// The scheduler of a service: what is due is queued, what belongs to no agent is executed, what was promised is judged, and what happened is told.
//
// Any number of them may run on one catalogue, with no leader: all that must happen once is decided by a transaction there. Two clocks drive it: each
// minute of the wall clock (node-cron) everything is looked through; every few seconds of a clock that cannot be set, what is cheap. When the
// minute fails to come (the wall clock was put back), the second clock stands in for it.

import { createTask, type ScheduledTask } from 'node-cron';
import type { Logger } from 'pino';
import type { Program } from '../base/program-child.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Asset } from '../model/asset.ts';
import type { Run } from '../model/run.ts';
import { Deliverer } from '../notify/deliverer.ts';
import type { PolicyDocument } from '../policy/policy-document.ts';
import { CaptureKeeper } from './capture-keeper.ts';
import { type ClockState, ClockWatch } from './clock-watch.ts';
import { type CopyPorts, CopyWatch } from './copy-watch.ts';
import type { DueTask } from './due-task.ts';
import { Executor, type ExecutorLimits } from './executor.ts';
import { HISTORY_TERMS, type HistoryTerms, trimHistory } from './history.ts';
import { JudgeLoop } from './judge-loop.ts';
import { type LogNote, logNotes } from './log-notes.ts';
import { LogWatch } from './log-watch.ts';
import { LogWindows } from './log-windows.ts';
import { PlanKeeper } from './plan-keeper.ts';
import { catalogBackupTask, Planner } from './planner.ts';
import { PolicyBook } from './policy-book.ts';
import { type OnRunEnded, onRunEnded } from './run-ended.ts';
import type { ErasurePorts, ServicePlace, ServiceRunPorts } from './service-run.ts';
import { cutFutureLeases, dropOldAnswers, expireRuns } from './upkeep.ts';

const EVERY_MINUTE = '* * * * *';
const SHORT_TICK_MS = 3_000;
const LONG_TICK_MS_MAX = 75_000;
const TIDY_EVERY_MS = 3_600_000;
/** Wakes that come together are one. */
const WAKE_MS = 50;
/** Between looks that nobody's minute asks for: so many times as long as one takes. */
const LOOK_SHARE = 20;

export type SchedulerOptions = {
  readonly catalog: Catalog;
  readonly tenants: ServiceRunPorts['tenants'];
  /** Of repositories at other sites; absent: there are none. */
  readonly copies?: CopyPorts | undefined;
  readonly erasure: ErasurePorts;
  readonly now: () => Date;
  /** Milliseconds that nobody can set: performance.now. */
  readonly monotonic: () => number;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Of this process among all: "service:<host>:<process>". */
  readonly name: string;
  readonly program: Program;
  /** What backs up the service itself is told. */
  readonly service: ServicePlace;
  readonly mustServe?: ServiceRunPorts['mustServe'];
  /** The text of a secret that a channel names; see notify/channel-settings.ts. */
  readonly readSecret: (name: string) => Promise<string>;
  readonly shippedPolicies?: readonly PolicyDocument[];
  /** Among whose runs the backups of the service itself are listed; undefined: there are none. */
  readonly catalogTenant: () => Promise<string | undefined>;
  readonly limits?: Partial<ExecutorLimits>;
  /** How long what is over is remembered. */
  readonly history?: Partial<HistoryTerms> | undefined;
  /** A run was queued for this agent: it may be waiting in a poll. */
  readonly onQueued?: (agentId: string) => void;
};

export class Scheduler {
  readonly book: PolicyBook;
  /** For whoever ends runs: see run-ended.ts. */
  readonly onRunEnded: OnRunEnded;
  /** For whoever asks what a database can be brought back to. */
  readonly logs: LogWindows;
  /** For the gateway: what captures tell of. */
  readonly onLogNote: (note: LogNote, run: Run, asset: Asset) => Promise<void>;
  readonly #watch: LogWatch;
  readonly #options: SchedulerOptions;
  readonly #clock: ClockWatch;
  readonly #deliverer: Deliverer;
  readonly #planner: Planner;
  readonly #plans: PlanKeeper;
  readonly #executor: Executor;
  readonly #copies: CopyWatch;
  readonly #judge: JudgeLoop;
  readonly #stopping = new AbortController();
  #clockState: ClockState | undefined;
  #minute: ScheduledTask | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wakeTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #look = { endedAt: Number.NEGATIVE_INFINITY, tookMs: 0 };
  #busy: Promise<void> = Promise.resolve();
  #telling: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  #lookingAtCopies: Promise<void> | undefined;
  #longTickAt = Number.NEGATIVE_INFINITY;
  #tidiedAt = Number.NEGATIVE_INFINITY;
  #told = new Set<string>();

  constructor(options: SchedulerOptions) {
    const { catalog, shippedPolicies } = options;
    this.#options = options;
    this.book = new PolicyBook({ catalog, ...(shippedPolicies === undefined ? {} : { shipped: shippedPolicies }) });
    this.onRunEnded = onRunEnded(options);
    this.#clock = new ClockWatch(options);
    this.#deliverer = new Deliverer(options, this.#stopping.signal);
    this.#planner = new Planner({ ...options, book: this.book, ownTasks: () => this.#ownTasks() });
    this.#plans = new PlanKeeper(options);
    this.logs = new LogWindows(options);
    const keeper = new CaptureKeeper(options);
    const onQueued = (agentId: string): void => options.onQueued?.(agentId);
    this.onLogNote = logNotes({ ...options, keeper, windows: this.logs, onQueued });
    this.#watch = new LogWatch({ ...options, keeper, windows: this.logs, onQueued, databases: () => this.#planner.databases });
    this.#copies = new CopyWatch(options);
    this.#judge = new JudgeLoop({ ...options, book: this.book, logs: this.logs, copies: this.#copies });
    this.#executor = new Executor({
      ...options,
      book: this.book,
      onRunEnded: this.onRunEnded,
      onIdle: () => this.#after('fill', () => this.#executor.fill()),
    });
  }

  /** Begins at once with a look at everything. */
  async start(): Promise<void> {
    const { log } = this.#options;
    await this.tick();
    this.#minute = createTask(EVERY_MINUTE, () => this.tick(), {
      name: 'scheduler',
      timezone: 'UTC',
      noOverlap: true,
      suppressMissedWarning: true,
      logger: {
        info: () => {},
        debug: () => {},
        warn: (text) => log.warn({ text }, 'node-cron'),
        error: (text) => log.warn({ text }, 'node-cron'),
      },
    });
    await this.#minute.start();
    this.#timer = setInterval(() => {
      const isLate = this.#options.monotonic() - this.#longTickAt > LONG_TICK_MS_MAX;
      void (isLate ? this.tick() : this.shortTick());
    }, SHORT_TICK_MS);
  }

  /** Begins nothing more, interrupts what is under way here and waits for it. */
  async stop(): Promise<void> {
    this.#stopping.abort('stopping');
    clearInterval(this.#timer);
    clearTimeout(this.#wakeTimer);
    clearTimeout(this.#lookTimer);
    await this.#minute?.destroy();
    await this.#executor.stop();
    await this.#busy;
    await this.#telling;
    await this.#deliverer.idle();
    await this.#looking;
    await this.#lookingAtCopies;
  }

  /** Something was queued, or an asset or a policy was changed. What is queued begins at once; changes are looked for as often as a small share
   *  of the time allows. */
  wake(): void {
    if (this.#stopping.signal.aborted) return;
    this.#wakeTimer ??= setTimeout(() => {
      this.#wakeTimer = undefined;
      void this.shortTick();
    }, WAKE_MS);
    const sinceLookMs = this.#options.monotonic() - this.#look.endedAt;
    this.#lookTimer ??= setTimeout(
      () => {
        this.#lookTimer = undefined;
        void this.#inTurn(async () => {
          await this.#step('look for changes', () => this.#lookForChanges());
          await this.#shortSteps();
        });
      },
      Math.max(WAKE_MS, this.#look.tookMs * LOOK_SHARE - sinceLookMs),
    );
  }

  /** Everything, once. Never throws: what fails is logged and tried again with the next one. */
  tick(): Promise<void> {
    this.#longTickAt = this.#options.monotonic();
    return this.#inTurn(async () => {
      await this.#step('look at the clock', () => this.#lookAtClock());
      await this.#step('look for changes', () => this.#lookForChanges());
      await this.#shortSteps();
      await this.#step('keep plans', () => this.#keepPlans());
      this.#lookAtLogs();
      this.#lookAtCopies();
      await this.#step('judge promises', () => this.#judge.judgeAll(this.#stopping.signal));
      await this.#step('drop what is old', () => this.#tidy());
      this.#tell();
    });
  }

  /** What is due, what was lost, what may begin, what is to be told. */
  shortTick(): Promise<void> {
    return this.#inTurn(() => this.#shortSteps());
  }

  /** Resolves when nothing is under way here; for tests and for a stop without interruptions. */
  async idle(): Promise<void> {
    await this.#busy;
    await this.#executor.idle();
    await this.#busy;
    await this.#telling;
    await this.#deliverer.idle();
    await this.#looking;
    await this.#lookingAtCopies;
  }

  async #shortSteps(): Promise<void> {
    await this.#step('expire runs', () => expireRuns({ ...this.#options, onRunEnded: this.onRunEnded }));
    await this.#step('plan runs', async () => {
      if (this.#clockState === undefined) return;
      const { agents } = await this.#planner.planDue(this.#clockState, this.#stopping.signal);
      for (const agentId of agents) this.#options.onQueued?.(agentId);
    });
    await this.#step('keep captures', () => this.#watch.keepCaptures());
    await this.#step('begin runs', () => this.#executor.fill());
    await this.#step('hear of runs', () => this.#executor.listen());
    this.#tell();
  }

  async #keepPlans(): Promise<void> {
    for (const agentId of await this.#plans.keep()) this.#options.onQueued?.(agentId);
  }

  async #lookAtClock(): Promise<void> {
    const before = this.#clockState;
    this.#clockState = await this.#clock.look();
    if (before !== undefined && before.epoch !== this.#clockState.epoch) await cutFutureLeases(this.#options);
  }

  async #lookForChanges(): Promise<void> {
    const { monotonic } = this.#options;
    const begun = monotonic();
    if (this.#clockState === undefined) await this.#lookAtClock();
    await this.book.refresh();
    await this.#planner.refresh(this.#clockState!);
    await this.#tellOfPolicies();
    this.#look = { endedAt: monotonic(), tookMs: monotonic() - begun };
  }

  async #tellOfPolicies(): Promise<void> {
    const { catalog, now } = this.#options;
    for (const { id, tenantId, name, message } of this.book.problems) {
      const text = `The policy "${name}" cannot be read (${message})`;
      if (this.#told.has(`${id} ${text}`)) continue;
      this.#told.add(`${id} ${text}`);
      await catalog.events.add(
        {
          ...(tenantId === undefined ? {} : { tenantId }),
          kind: 'policy.unreadable',
          severity: 'critical',
          message: text,
          cause: 'It was stored by another version, or changed behind the back of the service',
          action: 'Correct the policy. Until then what could be read of it last stays in force, and nothing of it after a restart.',
        },
        now().toISOString(),
      );
    }
  }

  async #ownTasks(): Promise<readonly DueTask[]> {
    const tenantId = await this.#options.catalogTenant();
    return tenantId === undefined ? [] : [catalogBackupTask(tenantId)];
  }

  async #tidy(): Promise<void> {
    const at = this.#options.monotonic();
    if (at - this.#tidiedAt < TIDY_EVERY_MS) return;
    await dropOldAnswers(this.#options);
    const terms = { ...HISTORY_TERMS, ...this.#options.history };
    await trimHistory({ ...this.#options, terms, signal: this.#stopping.signal });
    this.#tidiedAt = at;
  }

  /** Beside everything else: a receiver that hangs keeps nothing waiting. */
  #tell(): void {
    if (this.#stopping.signal.aborted) return;
    this.#telling ??= this.#step('tell events', () => this.#deliverer.tell()).finally(() => {
      this.#telling = undefined;
    });
  }

  /** Beside everything else: a store that hangs keeps nothing waiting. */
  #lookAtLogs(): void {
    if (this.#stopping.signal.aborted) return;
    this.#looking ??= this.#step('look at logs', () => this.#watch.look(this.#stopping.signal)).finally(() => {
      this.#looking = undefined;
    });
  }

  #lookAtCopies(): void {
    if (this.#stopping.signal.aborted) return;
    this.#lookingAtCopies ??= this.#step('look at copies', () => this.#copies.look(this.#stopping.signal)).finally(() => {
      this.#lookingAtCopies = undefined;
    });
  }

  #after(name: string, work: () => Promise<unknown>): void {
    if (!this.#stopping.signal.aborted) void this.#step(name, work);
  }

  /** One after the other. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#busy = this.#busy.then(() => (this.#stopping.signal.aborted ? undefined : work()));
    return this.#busy;
  }

  async #step(name: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error({ err: error, step: name }, 'a step of the scheduler failed; it is tried again');
    }
  }
}

// A run in a process of its own: what crashes there, or eats memory there, takes neither the agent nor another run with it. The process
// ends by itself when the agent dies: the channel between them closes.

import { type ChildProcess, fork } from 'node:child_process';
import { FAULTS } from '../../src/base/faults.ts';
import { killGroup } from '../../src/base/process-group.ts';
import { isDuty } from '../../src/model/run-kind.ts';
import type { ClaimedRun } from '../../src/protocol/agent-messages.ts';
import type { FromRun, RunOutcome, RunProgress, RunSettings, StopCode, ToRun } from './run-messages.ts';

/** Of V8, as bin/holdfast gives them to a run of the command line; the agent may be the service's, which has others. The rest run-child.ts sets. */
const RUN_FLAGS = ['--max-semi-space-size=2'];
/** Of a run that goes on for days: as bin/holdfast gives them to "pg capture", and the one that bin/node gives to everything. */
const DUTY_FLAGS = [
  ...['--max-semi-space-size=8', '--initial-old-space-size=128'],
  ...['--invocation-count-for-maglev=400', '--invocation-count-for-turbofan=10000', '--wasm-wrapper-tiering-budget=1000000000'],
];
/** After it was told to stop. */
const STOP_GRACE_MS = 30_000;
/** Of what it wrote to standard error: for the message when it crashes. */
const LAST_WORDS_CHARS = 2_000;

/** A run under way. */
export interface RunningRun {
  readonly progress: RunProgress | undefined;
  /** Never rejects. */
  readonly done: Promise<RunOutcome>;
  /** In an orderly way; by force when that takes too long. */
  stop(code: StopCode): void;
  /** At once: nothing that it does counts any more. */
  kill(): void;
}

export type StartRun = (claimed: ClaimedRun) => RunningRun;

export function processRuns(settings: RunSettings, stopGraceMs = STOP_GRACE_MS): StartRun {
  return (claimed) => new RunProcess(claimed, settings, stopGraceMs);
}

class RunProcess implements RunningRun {
  readonly #child: ChildProcess;
  readonly #stopGraceMs: number;
  readonly done: Promise<RunOutcome>;
  #progress: RunProgress | undefined;
  #outcome: RunOutcome | undefined;
  #stopped: StopCode | undefined;
  #lastWords = '';
  #group: number | undefined;
  #force: NodeJS.Timeout | undefined;

  constructor(claimed: ClaimedRun, settings: RunSettings, stopGraceMs: number) {
    // What was frozen before is thawed by the hooks after, which have times of their own.
    const after = claimed.terms.hooks?.after ?? [];
    this.#stopGraceMs = stopGraceMs + after.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0);
    this.#child = fork(new URL('./run-child.ts', import.meta.url), [claimed.run.kind], {
      execArgv: isDuty(claimed.run.kind) ? DUTY_FLAGS : RUN_FLAGS,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS_CHARS);
    });
    this.#child.on('message', (message: FromRun) => {
      if (message.kind === 'progress') this.#progress = message.progress;
      else if (message.kind === 'group') this.#group = message.group;
      else this.#outcome = message.outcome;
    });
    this.done = new Promise((resolve) => {
      const finish = (how: string): void => {
        clearTimeout(this.#force);
        resolve(this.#outcome ?? this.#crashed(how));
      };
      this.#child.once('error', (error) => finish(error.message));
      // After its output and its messages.
      this.#child.once('close', (code, signal) => finish(signal === null ? `exit status ${code}` : `signal ${signal}`));
    });
    this.#send({ kind: 'begin', claimed, settings });
  }

  get progress(): RunProgress | undefined {
    return this.#progress;
  }

  stop(code: StopCode): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = code;
    this.#send({ kind: 'stop', code });
    this.#force = setTimeout(() => this.kill(), this.#stopGraceMs);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    if (this.#group !== undefined) killGroup(this.#group, 'SIGKILL');
  }

  #send(message: ToRun): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #crashed(how: string): RunOutcome {
    if (this.#stopped === 'RUN_CANCELED') return { state: 'canceled' };
    const code = this.#stopped ?? 'AGENT_RUN_CRASHED';
    const words = this.#lastWords.trim();
    const message = `The process of the run ended without a result (${how})${words === '' ? '' : `: ${words}`}`;
    return { state: 'failed', fault: { code, message, hint: FAULTS[code].hint } };
  }
}

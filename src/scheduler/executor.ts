// Executes the runs that belong to no agent. Each is claimed with a lease and a fence, kept alive while it works, and ended in one transaction
// with what follows from it. Heavy ones are child processes of our own command line, a few at once; light ones have a lane of their own, so
// that a verify of a whole night keeps no forget waiting.

import type { Logger } from 'pino';
import { isFault } from '../base/faults.ts';
import { instantOf } from '../model/instant.ts';
import type { Run } from '../model/run.ts';
import type { RunKind } from '../model/run-kind.ts';
import { runCatalogBackup } from './catalog-backup-run.ts';
import { runErase } from './erase-run.ts';
import { runForget } from './forget-run.ts';
import { HeldRun } from './held-run.ts';
import { runPrune } from './prune-run.ts';
import { retryAt } from './retry.ts';
import type { OnRunEnded } from './run-ended.ts';
import { type ExecutionEnd, faultText, type ServiceRun, type ServiceRunPorts } from './service-run.ts';
import { runVerify } from './verify-run.ts';

export type ExecutorLimits = {
  /** Child processes at once. */
  readonly heavyMax: number;
  readonly lightMax: number;
  /** Runs of one tenant at once, those of its agents included. */
  readonly perTenantMax: number;
  /** Of all, everywhere. */
  readonly totalMax: number;
  readonly leaseMs: number;
};

export const EXECUTOR_LIMITS: ExecutorLimits = { heavyMax: 2, lightMax: 4, perTenantMax: 1000, totalMax: 100_000, leaseMs: 60_000 };

export type ExecutorOptions = ServiceRunPorts & {
  /** Of this process among all: "service:<name>". */
  readonly name: string;
  readonly monotonic: () => number;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly onRunEnded: OnRunEnded;
  readonly limits?: Partial<ExecutorLimits>;
  /** Something ended: what waits for it may go on. */
  readonly onIdle?: () => void;
};

type Lane = { readonly kinds: readonly RunKind[]; readonly max: number; readonly held: Set<HeldRun> };

const forget: ServiceRun = async (ports, { run, signal }) => ({ state: 'succeeded', result: await runForget(ports, run, signal) });
const EXECUTIONS: Partial<Record<RunKind, ServiceRun>> = {
  forget,
  prune: runPrune,
  verify: runVerify,
  'catalog-backup': runCatalogBackup,
  erase: runErase,
};

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #limits: ExecutorLimits;
  readonly #lanes: readonly Lane[];
  readonly #working = new Set<Promise<void>>();
  #filling: Promise<void> | undefined;
  #isAskedAgain = false;
  #isStopping = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#limits = { ...EXECUTOR_LIMITS, ...options.limits };
    this.#lanes = [
      { kinds: ['prune', 'verify', 'catalog-backup', 'erase'], max: this.#limits.heavyMax, held: new Set() },
      { kinds: ['forget'], max: this.#limits.lightMax, held: new Set() },
    ];
  }

  /** Runs that this process holds. */
  get held(): readonly Run[] {
    return this.#lanes.flatMap(({ held }) => [...held].map(({ run }) => run));
  }

  /** Claims what may start now. Throws what the catalogue fails with. */
  fill(): Promise<void> {
    this.#isAskedAgain = true;
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
    return this.#filling;
  }

  /** Hears at once what was said about the runs that are held here: that one is to stop. */
  async listen(): Promise<void> {
    await Promise.all(this.#lanes.flatMap(({ held }) => [...held].map((one) => one.beat())));
  }

  /** Resolves when nothing is under way here. */
  async idle(): Promise<void> {
    while (this.#filling !== undefined || this.#working.size > 0) await Promise.allSettled([this.#filling, ...this.#working]);
  }

  /** Interrupts what is under way; each goes back into the queue. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { held } of this.#lanes) for (const one of held) one.stop('stopping');
    await this.idle();
  }

  async #fill(): Promise<void> {
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      for (const lane of this.#lanes) {
        while (!this.#isStopping && lane.held.size < lane.max) {
          const run = await this.#claim(lane);
          if (run === undefined) break;
          this.#begin(lane, run);
        }
      }
    }
  }

  #claim({ kinds }: Lane): Promise<Run | undefined> {
    const { catalog, name, now } = this.#options;
    const { leaseMs, perTenantMax, totalMax } = this.#limits;
    return catalog.runs.claim({ by: name, kinds, at: instantOf(now()), leaseMs, perAgentMax: 1, perTenantMax, totalMax });
  }

  #begin(lane: Lane, run: Run): void {
    const held = new HeldRun(run, { ...this.#options, leaseMs: this.#limits.leaseMs });
    lane.held.add(held);
    // Claimed while we were being stopped.
    if (this.#isStopping) held.stop('stopping');
    const working = this.#work(held).finally(() => {
      lane.held.delete(held);
      this.#working.delete(working);
      if (this.#isStopping) return;
      this.#options.onIdle?.();
    });
    this.#working.add(working);
  }

  async #work(held: HeldRun): Promise<void> {
    const { log } = this.#options;
    const { run } = held;
    const fields = { run: run.id, kind: run.kind, tenant: run.tenantId, asset: run.assetId, attempt: run.attempt };
    log.info(fields, 'a run begins');
    try {
      const end = await this.#execute(held);
      await held.close();
      if (held.isLost) return log.warn(fields, 'a run was lost to somebody else: its work was ended');
      await this.#end(held, end);
      log.info({ ...fields, state: end.state, code: end.fault?.code }, 'a run ended');
    } catch (error) {
      // It stays ours until the lease runs out, and is queued again then.
      log.error({ ...fields, err: error }, 'the end of a run could not be written');
    } finally {
      await held.close();
    }
  }

  async #execute(held: HeldRun): Promise<ExecutionEnd> {
    const { run, signal } = held;
    let end: ExecutionEnd;
    try {
      const execution = EXECUTIONS[run.kind];
      if (execution === undefined)
        return { state: 'failed', fault: faultText('RUN_KIND_UNKNOWN', `No service runs a "${run.kind}"`) };
      await this.#options.mustServe?.();
      end = await execution(this.#options, { run, signal, tell: (progress) => held.tell(progress) });
    } catch (error) {
      end = { state: 'failed', fault: faultOfError(error) };
    }
    if (end.state !== 'failed' || !signal.aborted) return end;
    // What it failed with is that it was interrupted.
    if (signal.reason === 'canceled')
      return { state: 'canceled', fault: faultText('RUN_CANCELED', `The ${run.kind} was canceled`) };
    return { state: 'failed', fault: faultText('SERVICE_STOPPING', `The service was stopped during the ${run.kind}`) };
  }

  async #end({ run }: HeldRun, end: ExecutionEnd): Promise<void> {
    const { catalog, now, onRunEnded } = this.#options;
    await catalog.transaction(async (tables) => {
      const at = now();
      const retry =
        end.fault === undefined || end.state !== 'failed' ? undefined : retryAt(end.fault, run.attempt - (run.lost ?? 0), at);
      const ended = await tables.runs.end(run.id, run.fence, instantOf(at), {
        ...end,
        ...(retry === undefined ? {} : { retryAt: retry }),
        loss: end.fault?.code === 'SERVICE_STOPPING' ? 'service' : undefined,
      });
      if (ended !== 'fenced') await onRunEnded(tables, ended);
    });
  }
}

function faultOfError(error: unknown): NonNullable<ExecutionEnd['fault']> {
  if (isFault(error)) return { code: error.code, message: error.message.slice(0, 4000), hint: error.hint };
  return faultText('INTERNAL', (error instanceof Error ? error.message : String(error)).slice(0, 4000));
}

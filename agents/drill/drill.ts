// A drill: the plan carried out in a room that nothing gets out of, over clones of immutable recovery points, measured, destroyed, signed.
//
// Nothing is begun that could not be ended: before the first thing is made a watcher knows of it, and what it knows is enough to destroy
// everything without the drill's help. Whatever becomes of a drill, the evidence directory says it: the signed pack when the drill could end by
// itself (passed or not), a record otherwise.

import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { identityOf, ownIdentity } from '../../src/base/process-identity.ts';
import { isFull } from '../../src/base/write-whole.ts';
import { makePack } from '../../src/evidence/pack.ts';
import { renderReport } from '../../src/evidence/report.ts';
import { digestOfBytes, verifyEvidence } from '../../src/evidence/verify-pack.ts';
import { type PlanAction, planRun } from '../../src/plan/plan-run.ts';
import { parseDuration } from '../../src/policy/duration.ts';
import { bootMs } from './boot-clock.ts';
import { type Destruction, destroy } from './destroy.ts';
import { batchesOf } from './drill-actions.ts';
import { planCopies } from './drill-copy.ts';
import { DrillJournal } from './drill-journal.ts';
import type { DrillOptions, DrillResult } from './drill-options.ts';
import { makePlace, mustHaveRoom, placeFor, removeAbandoned } from './drill-place.ts';
import { writeRecord } from './drill-record.ts';
import { type DrillPlans, DrillRun, type Outcome } from './drill-run.ts';
import { planClones } from './plan-clones.ts';
import { checkNamespaces } from './room.ts';
import { type Ended, Watched } from './watched.ts';

export const PACK_NAME = 'pack.json';
/** Taken also when something before them has failed: they look, and change nothing. */
const LOOKS = new Set(['probe.again', 'commit']);
/** That production is as it was is asked even of a drill that was ended. */
const LAST_LOOK = 'commit';
const LAST_LOOK_MS = 2_000;
/** Whoever ends the room says so before. */
const WORD_MS = 1_000;

/** Throws what keeps it from being begun: DRILL_NOT_ISOLATED, DRILL_NO_SPACE, RECOVERY_REFUSED, LOG_GAP, PLAN_INVALID. From then on everything
 *  is an outcome, as long as it can be written down: EVIDENCE_NOT_KEPT. What is left then is destroyed by its watcher. */
export async function runDrill(options: DrillOptions): Promise<DrillResult> {
  try {
    return await begun(options);
  } catch (cause) {
    if (!isFull(cause) && !isFault(cause, 'TARGET_FULL')) throw cause;
    const { message } = cause as Error;
    throw new Fault(
      'EVIDENCE_NOT_KEPT',
      `The drill proves nothing, its evidence cannot be kept in ${options.evidence}: ${message}`,
      {
        hint: 'Free space, or name another place with --evidence-dir, and hold it again.',
        cause,
      },
    );
  }
}

async function begun(options: DrillOptions): Promise<DrillResult> {
  const { plan, scratch, id, now, evidence } = options;
  const [declared, beganMs] = [now(), bootMs()];
  if (plan.drill === undefined)
    throw new Fault('PLAN_INVALID', `The plan "${plan.name}" says nothing of drills: it has no "drill"`);
  checkNamespaces();
  const [clones, copies] = await Promise.all([planClones(options), planCopies(options)]);
  removeAbandoned(scratch, declared);
  const { work, freeBytesMin } = placeFor(
    scratch,
    id,
    [...clones, ...copies].reduce((sum, { bytes }) => sum + bytes, 0),
  );
  makeDirectory(dirname(evidence));
  mustHaveRoom(dirname(evidence));
  makeDirectory(evidence);
  const watched = await Watched.begin(options.watcher, {
    drill: id,
    plan: plan.name,
    work,
    directory: evidence,
    process: ownIdentity(),
    untilMs: beganMs + parseDuration(plan.drill.limit)!,
    freeBytesMin,
    view: options.view,
  });
  const journal = new DrillJournal(id, evidence, now);
  journal.add('declaration', plan.name, 'the call of the drill', {
    declared: declared.toISOString(),
    disaster: (options.disaster ?? declared).toISOString(),
  });
  makePlace(work, evidence, watched.pid === undefined ? undefined : identityOf(watched.pid));
  return new Drill(options, { clones, copies }, work, journal, watched).run();
}

class Drill {
  readonly #options: DrillOptions;
  readonly #plans: DrillPlans;
  readonly #work: string;
  readonly #journal: DrillJournal;
  readonly #watched: Watched;
  readonly #run: DrillRun;
  #failed: string | undefined;
  #why: string | undefined;
  /** Actions of the plan that a drill cannot do; but questions to people. */
  #leftOut = 0;

  constructor(options: DrillOptions, plans: DrillPlans, work: string, journal: DrillJournal, watched: Watched) {
    this.#options = options;
    this.#plans = plans;
    this.#work = work;
    this.#journal = journal;
    this.#watched = watched;
    this.#run = new DrillRun(options, plans, work, journal, watched);
  }

  async run(): Promise<DrillResult> {
    const { plan, signal, id } = this.#options;
    const stop = AbortSignal.any([signal, this.#watched.signal]);
    await this.#noteProduction();
    const actions = planRun(plan, 'drill').filter((one) => one.id !== 'destroy');
    for (const lists of batchesOf(actions))
      await Promise.all(
        lists.map(async (list) => {
          for (const action of list) await this.#perform(action, stop);
        }),
      );
    const ended = this.#endedBy();
    if (ended !== undefined) {
      this.#journal.add('fact', id, 'the watcher of the drill', { name: 'endedBy', value: `${ended.why}: ${ended.text}` });
      const at = this.#now();
      this.#note('ended', 'committed', at, { outcome: 'failed', text: `${ended.why}: ${ended.text}` });
    }
    const attached = this.#attach();
    const destruction = await this.#destroy();
    this.#facts();
    return this.#sign(attached, destruction, ended);
  }

  async #noteProduction(): Promise<void> {
    const began = this.#now();
    try {
      await this.#run.noteProduction();
    } catch (error) {
      this.#failed = 'production';
      this.#why = `production: ${textOf(error)}`;
      this.#note('production', 'declared', began, { outcome: 'failed', text: textOf(error) });
    }
  }

  async #perform(action: PlanAction, stop: AbortSignal): Promise<void> {
    const { id, state, limitMs } = action;
    const began = this.#now();
    const isLastLook = id === LAST_LOOK && stop.aborted;
    const isTaken = !stop.aborted && (this.#failed === undefined || (LOOKS.has(id) && this.#run.room !== undefined));
    if (!isTaken && !isLastLook) {
      const text = this.#failed === undefined ? 'the drill was ended' : `after ${this.#failed} had failed`;
      return this.#note(id, state, began, { outcome: 'skipped', text });
    }
    this.#options.onAction(id, 'begins');
    const limit = limitMs > 0 ? AbortSignal.timeout(limitMs) : undefined;
    const signal = isLastLook ? AbortSignal.timeout(LAST_LOOK_MS) : limit === undefined ? stop : AbortSignal.any([stop, limit]);
    let outcome: Outcome;
    try {
      outcome = await this.#run.take(action, signal);
    } catch (error) {
      outcome = { outcome: 'failed', text: limit?.aborted ? `its limit of ${limitMs} ms was over` : textOf(error) };
    }
    if (this.#run.room?.isOver === true) await this.#watched.saysWhy(WORD_MS);
    if (outcome.outcome === 'skipped' && action.kind !== 'gate') this.#leftOut++;
    const mayFail = action.kind === 'step' && action.step.onFailure === 'continue';
    if (outcome.outcome === 'failed' && !mayFail) this.#failed ??= id;
    // Also of one that stops nothing: the drill has failed by it.
    if (outcome.outcome === 'failed') this.#why ??= `${id}: ${outcome.text}`;
    this.#note(id, state, began, outcome);
  }

  #note(action: string, state: string, startedAt: string, { outcome, text }: Outcome): void {
    this.#journal.add('action', action, 'drill', { action, state, startedAt, endedAt: this.#now(), outcome, text });
    this.#options.onAction(action, text === '' ? outcome : `${outcome}: ${text}`);
  }

  #endedBy(): Ended | undefined {
    if (this.#watched.signal.aborted) return this.#watched.signal.reason as Ended;
    return this.#options.signal.aborted ? { why: 'interrupted', text: 'somebody interrupted it' } : undefined;
  }

  /** Written beside the pack. */
  #attach(): { readonly name: string; readonly bytes: number; readonly digest: string }[] {
    return this.#run.attachments().map(({ name, text }) => {
      const bytes = Buffer.from(text);
      writeFileSync(join(this.#options.evidence, name), bytes, { mode: 0o640 });
      return { name, bytes: bytes.length, digest: digestOfBytes(bytes) };
    });
  }

  async #destroy(): Promise<Destruction> {
    const began = this.#now();
    const [destruction] = await Promise.all([destroy(this.#work, this.#run.room?.identity), this.#run.finish()]);
    this.#journal.add('destruction', this.#options.id, 'processes, namespaces and the directory looked for', destruction);
    this.#note(
      'destroy',
      'committed',
      began,
      destruction.isGone ? { outcome: 'done', text: '' } : { outcome: 'failed', text: destruction.text },
    );
    return destruction;
  }

  /** What levels are judged by: the worst of all databases. */
  #facts(): void {
    const { now, plan, given, id } = this.#options;
    const { clones, copies } = this.#plans;
    const made = [...clones.map((one) => one.plan.base.stoppedAt / 1000), ...copies.map((one) => Date.parse(one.snapshot.endedAt))];
    const ages = made.map((ms) => Math.round((now().getTime() - ms) / 1000));
    const fact = (name: string, value: number | boolean, how: string): void =>
      this.#journal.add('fact', plan.name, how, { name, value });
    fact('hasPlan', true, 'the plan of this pack');
    if (ages.length > 0) fact('fullBackupAgeSeconds', Math.max(...ages), 'age of the backups that were restored');
    if (this.#failed === undefined && this.#endedBy() === undefined) {
      fact('proofAgeSeconds', 0, `the drill ${id}`);
      // What was left out was not rehearsed, and a plan counts as a whole.
      if (this.#leftOut === 0) fact('planRunAgeSeconds', 0, `the drill ${id}`);
    }
    for (const { kind, of, how, value } of given) this.#journal.add(kind, of, how, value);
  }

  async #sign(
    attachments: { readonly name: string; readonly bytes: number; readonly digest: string }[],
    { isGone }: Destruction,
    ended: Ended | undefined,
  ): Promise<DrillResult> {
    const { id, plan, tenant, program, pair, evidence } = this.#options;
    const measurements = this.#journal.chain;
    const createdAt = this.#now();
    const details = { id, kind: 'drill' as const, tenant, program, createdAt, plan, measurements, attachments };
    const text = makePack(details, pair);
    const path = join(evidence, PACK_NAME);
    writeFileSync(path, text, { mode: 0o644, flush: true });
    const { pack } = verifyEvidence({ text: Buffer.from(text), trusted: [pair.verifyKey], attachment: () => undefined });
    for (const language of ['en', 'zh'] as const)
      writeFileSync(join(evidence, `report.${language}.html`), renderReport(pack!, language), { mode: 0o644 });
    const { claims } = pack!.body;
    const outcome = claims.claims.find((one) => one.id === 'outcome')!.value.outcome as DrillResult['outcome'];
    const record = { drill: id, plan: plan.name, at: createdAt, state: 'finished' as const, outcome, isDestroyed: isGone };
    writeRecord(evidence, { ...record, pack: PACK_NAME });
    await this.#watched.over();
    const endedBy = ended === undefined ? undefined : `${ended.why}: ${ended.text}`;
    return { outcome, endedBy, failed: this.#why, isDestroyed: isGone, claims, pack: path };
  }

  #now(): string {
    return this.#options.now().toISOString();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : isEnded(error) ? `the drill was ended: ${error.text}` : String(error);
}

/** The reason of the watcher's signal, which whatever was under way has thrown. */
function isEnded(error: unknown): error is Ended {
  return typeof error === 'object' && error !== null && 'why' in error && 'text' in error;
}

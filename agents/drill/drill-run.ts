// One drill while it runs: what each action of the plan does, measured. The order and the end are drill.ts's.

import { Fault } from '../../src/base/faults.ts';
import { digestOf } from '../../src/evidence/measurement.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import type { PlanAction } from '../../src/plan/plan-run.ts';
import { Clone, type ClonePlan } from './clone.ts';
import { newestHeartbeat, verifyPages, writeTest } from './clone-checks.ts';
import { type CopyPlan, DrillCopy } from './drill-copy.ts';
import type { DrillJournal } from './drill-journal.ts';
import type { DrillOptions } from './drill-options.ts';
import { ownersOf, runStep } from './drill-steps.ts';
import { howProbed, type Probe, placesOfProduction, probe, probesOf, probesOfStore, socketProbes } from './negative-probes.ts';
import { programPlaces, Room } from './room.ts';
import type { Watched } from './watched.ts';

const STANDBY_PATIENCE_MS = 20_000;
const STANDBY_LOOK_MS = 250;

export type Outcome = { readonly outcome: 'done' | 'skipped' | 'failed'; readonly text: string };
const DONE: Outcome = { outcome: 'done', text: '' };

/** What is brought back: databases, and files and volumes. */
export type DrillPlans = { readonly clones: readonly ClonePlan[]; readonly copies: readonly CopyPlan[] };

export class DrillRun {
  readonly clones: Clone[] = [];
  readonly copies: DrillCopy[] = [];
  room: Room | undefined;
  readonly #options: DrillOptions;
  readonly #plans: DrillPlans;
  readonly #work: string;
  readonly #journal: DrillJournal;
  readonly #watched: Watched;
  readonly #before = new Map<string, string>();
  readonly #positions = new Map<string, number>();
  readonly stepTexts: string[] = [];

  constructor(options: DrillOptions, plans: DrillPlans, work: string, journal: DrillJournal, watched: Watched) {
    this.#options = options;
    this.#plans = plans;
    this.#work = work;
    this.#journal = journal;
    this.#watched = watched;
  }

  /** Throws what it failed with. */
  async take(action: PlanAction, signal: AbortSignal): Promise<Outcome> {
    if (action.kind === 'step') return this.#step(action, signal);
    // Nobody is asked and nothing is led elsewhere in a rehearsal: both are of production.
    if (action.kind === 'gate') return { outcome: 'skipped', text: 'nobody is asked in a drill' };
    if (action.kind === 'route') return { outcome: 'skipped', text: 'routes are of production' };
    if (action.action === 'isolate') return this.#isolate();
    if (action.action === 'probe') return this.#probe();
    if (action.action === 'clone') return this.#clone(action.asset!, signal);
    if (action.action === 'bring-up') return this.#bringUp(action.asset!, signal);
    if (action.action === 'promote') return this.#each(action.asset, (clone) => clone.promote(signal));
    if (action.action === 'write-test') return this.#writeTest(signal);
    if (action.action === 'verify-pages') return this.#verifyPages(signal);
    if (action.action === 'commit') return this.#lookAtProduction(signal);
    throw new Fault('INTERNAL', `"${action.action}" belongs to failovers`);
  }

  /** What production looks like, before anything is done. */
  async noteProduction(): Promise<void> {
    const { fingerprints, standbys } = this.#options;
    for (const { of, read } of fingerprints) this.#before.set(of, await read());
    for (const { of, position } of standbys) this.#positions.set(of, await position());
  }

  /** Ends what runs outside of the room for the clones. */
  async finish(): Promise<void> {
    for (const clone of this.clones) await clone.finish().catch(() => {});
  }

  async #isolate(): Promise<Outcome> {
    const programs = [...new Set(this.#plans.clones.map((plan) => plan.programs))];
    const { secrets, directories } = this.#options;
    const own = [...secrets, ...directories].filter((path) => !`${this.#work}/`.startsWith(`${path}/`));
    const covered = [...new Set([...placesOfProduction(this.#work), ...own])];
    const layout = { work: this.#work, shown: programPlaces(programs), covered };
    this.room = await Room.open(layout);
    await this.#watched.room(this.room.identity);
    this.#journal.add('fact', this.#options.id, 'unshare', {
      name: 'room',
      value: `${this.room.identity.network} ${this.room.identity.processes}`,
    });
    return DONE;
  }

  async #probe(): Promise<Outcome> {
    const { plan, addresses, directories, storeWrites } = this.#options;
    const named = await Promise.all([...(plan.drill?.probes ?? []).map(probesOf), ...addresses.map(probesOfStore)]);
    const writes = directories.map((directory): Probe => ({ of: directory, wish: { method: 'write', directory } }));
    const wishes = [...named.flat(), ...writes, ...socketProbes(this.#work)];
    const reached: string[] = [];
    const note = (
      of: string,
      method: string,
      { isReached, text }: { readonly isReached: boolean; readonly text: string },
    ): void => {
      this.#journal.add('probe', of, method, { address: of, method, isReached, text });
      if (isReached) reached.push(`${of} (${method}: ${text})`);
    };
    for (const owner of ownersOf(this.clones))
      for (const one of await probe(this.room!, wishes, owner)) note(one.of, howProbed(one), one);
    for (const { of, how, attempt } of storeWrites) note(of, how, await attempt());
    if (reached.length === 0) return DONE;
    throw new Fault('DRILL_NOT_ISOLATED', `What a drill must not reach was reached: ${reached.join(', ')}`);
  }

  async #clone(asset: string, signal: AbortSignal): Promise<Outcome> {
    const plan = this.#plans.clones.find((one) => one.asset === asset);
    if (plan === undefined) return this.#copy(asset, signal);
    const { helper, threads, heartbeatKeys } = this.#options;
    const number = this.#plans.clones.indexOf(plan);
    const clone = await Clone.make(plan, { room: this.room!, work: this.#work, number, helper, threads, signal });
    this.clones.push(clone);
    const { sealed, replayed } = clone.ends;
    const missingBytes = Math.max(0, sealed - replayed);
    this.#journal.add('log-end', asset, 'the plan of the recovery, and where replay stands', {
      sealed: formatLsn(sealed),
      replayed: formatLsn(replayed),
      missingBytes,
    });
    const beat = await newestHeartbeat(clone, heartbeatKeys, signal);
    this.#journal.add('heartbeat', asset, 'holdfast.heartbeat in the recovered data', beat);
    this.#journal.add('recovered', asset, 'time in the record of the log at which its replay stands', clone.recovered);
    return DONE;
  }

  async #copy(asset: string, signal: AbortSignal): Promise<Outcome> {
    const { copies } = this.#plans;
    const number = copies.findIndex((one) => one.asset === asset);
    const copy = new DrillCopy(copies[number]!, this.#work, number, this.#options.threads);
    const recovered = await copy.make(ownersOf(this.clones)[0], signal);
    this.copies.push(copy);
    this.#journal.add('recovered', asset, 'the beginning of the backup that was restored', recovered);
    return DONE;
  }

  async #bringUp(asset: string, signal: AbortSignal): Promise<Outcome> {
    const copy = this.copies.find((one) => one.asset === asset)!;
    const found = await copy.verify(signal);
    this.#journal.add('pages', asset, 'everything read again and compared with the backup', found);
    copy.write();
    const at = this.#options.now().toISOString();
    this.#journal.add('first-write', asset, 'written to, and taken back', { at, position: copy.path });
    return found.damaged === 0 ? DONE : { outcome: 'failed', text: `${found.damaged} entries differ: ${found.text}` };
  }

  async #step(action: PlanAction & { readonly kind: 'step' }, signal: AbortSignal): Promise<Outcome> {
    const { step, group } = action;
    if (action.at === 'source') return { outcome: 'skipped', text: 'the source is production' };
    const own = this.#options.plan.groups.find(({ name }) => name === group)?.members.map(({ asset }) => asset);
    const clones = this.clones.filter(({ asset }) => own === undefined || own.includes(asset));
    const { plan, id } = this.#options;
    const of = clones.length > 0 ? clones : this.clones;
    const place = { room: this.room!, drill: id, plan, clones: of, copies: this.copies, signal };
    const { status, text } = await runStep(step, place);
    this.stepTexts.push(`== ${action.id}: ${signal.aborted ? 'ended' : `status ${status}`}\n${text}\n`);
    if (action.state === 'verified')
      this.#journal.add('smoke', step.name, step.command!.join(' '), { status: signal.aborted ? null : status, text });
    signal.throwIfAborted();
    if (status === 0) return DONE;
    return { outcome: 'failed', text: `status ${status}: ${text}` };
  }

  async #each(asset: string | undefined, work: (clone: Clone) => Promise<void>): Promise<Outcome> {
    for (const clone of this.clones) if (asset === undefined || clone.asset === asset) await work(clone);
    return DONE;
  }

  #writeTest(signal: AbortSignal): Promise<Outcome> {
    return this.#each(undefined, async (clone) => {
      const written = await writeTest(clone, this.#options.now, signal);
      this.#journal.add('first-write', clone.asset, 'INSERT INTO holdfast.drill_write', written);
    });
  }

  async #verifyPages(signal: AbortSignal): Promise<Outcome> {
    let damaged = 0;
    await this.#each(undefined, async (clone) => {
      const found = await verifyPages(clone, this.room!, this.#options.threads, signal);
      this.#journal.add('pages', clone.asset, 'pg_amcheck, pg_checksums', found);
      damaged += Number(found.damaged);
    });
    return damaged === 0 ? DONE : { outcome: 'failed', text: `${damaged} damaged` };
  }

  /** Whether it is as it was before. */
  async #lookAtProduction(signal: AbortSignal): Promise<Outcome> {
    const { fingerprints, standbys } = this.#options;
    const changed: string[] = [];
    for (const { of, how, read } of fingerprints) {
      const before = this.#before.get(of)!;
      const after = await orEnd(read(before), signal);
      this.#journal.add('fingerprint', of, how, { before: digestOf(before), after: digestOf(after), was: before, is: after });
      if (before !== after) changed.push(of);
    }
    for (const { of, how, position } of standbys) {
      const before = this.#positions.get(of)!;
      const after = await orEnd(advanced(position, before), signal);
      this.#journal.add('standby', of, how, { before, after });
      if (after <= before) changed.push(`${of} stands still`);
    }
    return changed.length === 0 ? DONE : { outcome: 'failed', text: `changed: ${changed.join(', ')}` };
  }

  /** Of a drill that is over: servers' logs and the steps' output. */
  attachments(): { readonly name: string; readonly text: string }[] {
    const logs = this.clones.map((clone, i) => ({ name: `server-${i}.log`, text: clone.log() }));
    return [...logs, { name: 'steps.txt', text: this.stepTexts.join('') }].filter(({ text }) => text !== '');
  }
}

/** What does not answer in time is left alone: it only looks. */
function orEnd<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    answer.then(resolve, reject);
  });
}

/** A short drill is given the time that an idle standby needs for its next step. */
async function advanced(position: () => Promise<number>, before: number): Promise<number> {
  const until = performance.now() + STANDBY_PATIENCE_MS;
  for (;;) {
    const now = await position();
    if (now > before || performance.now() > until) return now;
    await new Promise((resolve) => setTimeout(resolve, STANDBY_LOOK_MS));
  }
}

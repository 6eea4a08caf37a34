// The three steps of a failover that change who may write, for all of its databases. The grant and the undo begin with the same database, the
// pivot: its register decides which of the two took place, and the others follow. So they are never torn apart.

import { Fault } from '../base/faults.ts';
import type { FailoverSteps, Step, StepOutcome } from './failover.ts';
import { type FailoverDatabase, type FailoverJournal, factsOf } from './failover-journal.ts';
import { type BreakGlass, judgeFencing, type PowerOff } from './fencing.ts';
import { type Demotion, givenBack, granted, isRefusal, type LogEnd, type ProofKind, withheld } from './writer-record.ts';
import type { KnownWriter, WriterRegister } from './writer-register.ts';

/** How often a wait looks whether somebody has cut it short. */
const LOOK_MS = 500;

export type WriterPorts = {
  readonly register: (database: FailoverDatabase) => WriterRegister;
  /** A clock that never goes back, and goes on while the host sleeps. */
  readonly nowMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Tells the old primary's gate to stop its server in order and to demote itself, for this failover. */
  readonly demote: (database: FailoverDatabase, journal: FailoverJournal, signal: AbortSignal) => Promise<void>;
  /** The journal as it is now: somebody may have cut the old primary off, or broken the glass. */
  readonly newest: (signal: AbortSignal) => Promise<FailoverJournal>;
  /** What is known of the old primary's power, if anybody switched it off. */
  readonly powerOff: (journal: FailoverJournal) => PowerOff | undefined;
  /** Proofs that the plan accepts, beside "unclaimed" and the broken glass. */
  readonly accepts: readonly ProofKind[];
};

export type FencedDatabase = {
  readonly proof: ProofKind;
  /** Of the register, that the proof is of. */
  readonly revision: number;
  readonly demotion: Demotion | null;
};

/** Facts of the state "fenced". */
export type FencedFacts = { readonly fencing: Readonly<Record<string, FencedDatabase>> };

export type WriterSteps = Pick<FailoverSteps, 'declared' | 'caught-up' | 'undoing'> & {
  /** The beginning of `declared`: no renewal succeeds from here on, and the wait for the end of the leases begins. */
  readonly withhold: Step;
};

export function writerSteps(ports: WriterPorts): WriterSteps {
  // When this process saw each register first in its newest revision. A clock of before a crash says nothing.
  const seen = new Map<string, { readonly revision: number; readonly atMs: number }>();
  const fencing = { ...ports, seen };
  return {
    withhold: (journal, signal) => each(journal, (database) => withhold(fencing, journal, database, signal)),
    declared: (journal, signal) => each(journal, (database) => fence(fencing, journal, database, signal)),
    'caught-up': (journal, signal) => pivotFirst(journal, (database) => grant(ports, journal, database, signal)),
    undoing: (journal, signal) => pivotFirst(journal, (database) => undo(ports, journal, database, signal)),
  };
}

type FencingPorts = WriterPorts & { readonly seen: Map<string, { readonly revision: number; readonly atMs: number }> };
type Work = (database: FailoverDatabase) => Promise<StepOutcome>;

async function each({ databases }: FailoverJournal, work: Work): Promise<StepOutcome> {
  const outcomes = await Promise.all(databases.map(work));
  const blocked = outcomes.flatMap((outcome, i) =>
    outcome.kind === 'blocked' ? outcome.by.map((why) => (databases.length === 1 ? why : `${databases[i]!.asset}: ${why}`)) : [],
  );
  if (blocked.length > 0) return { kind: 'blocked', by: blocked };
  if (outcomes.some(({ kind }) => kind === 'too late')) return { kind: 'too late' };
  const facts = databases.map(({ asset }, i) => [asset, (outcomes[i] as { facts: unknown }).facts]);
  return { kind: 'done', facts: { fencing: Object.fromEntries(facts) } };
}

async function pivotFirst(journal: FailoverJournal, work: Work): Promise<StepOutcome> {
  const [pivot, ...others] = journal.databases;
  const outcome = await work(pivot!);
  if (outcome.kind !== 'done') return outcome;
  const rest = await each({ ...journal, databases: others }, work);
  return rest.kind === 'done' ? outcome : rest;
}

async function withhold(
  ports: FencingPorts,
  { id }: FailoverJournal,
  database: FailoverDatabase,
  signal: AbortSignal,
): Promise<StepOutcome> {
  let { epoch } = database;
  const changed = await ports.register(database).change(
    (record) => {
      // The old primary's gate may have been restarted at any moment, and holds a later epoch then: that one is not taken from it.
      ({ epoch } = record);
      return epoch === database.epoch ? withheld(record, id) : { refused: 'superseded' };
    },
    { signal },
  );
  if (epoch !== database.epoch)
    return { kind: 'blocked', by: [`the epoch is ${epoch}, not ${database.epoch}: undo it, and declare the failover anew`] };
  if ('refused' in changed) return { kind: 'blocked', by: [`the register refused to withhold renewals: ${changed.refused}`] };
  look(ports, database, changed);
  return { kind: 'done', facts: {} };
}

async function fence(
  ports: FencingPorts,
  journal: FailoverJournal,
  database: FailoverDatabase,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { kind } = journal;
  const { record } = await ports.register(database).read({ signal });
  const isCurrent = record.epoch === database.epoch;
  if (kind !== 'unplanned' && isCurrent && record.demotion === null) await ports.demote(database, journal, signal);
  const outcome = await withhold(ports, journal, database, signal);
  return outcome.kind === 'done' ? proven(ports, database, signal) : outcome;
}

async function proven(ports: FencingPorts, database: FailoverDatabase, signal: AbortSignal): Promise<StepOutcome> {
  const { accepts } = ports;
  for (;;) {
    const journal = await ports.newest(signal);
    const known = await ports.register(database).read({ signal });
    const { record, revision } = known;
    const seenAtMs = look(ports, database, known);
    const powerOff = accepts.includes('power-off') ? ports.powerOff(journal) : undefined;
    const breakGlass = brokenBy(journal);
    const nowMs = ports.nowMs();
    const evidence = { nowMs, seenAtMs, ...(powerOff && { powerOff }), ...(breakGlass && { breakGlass }) };
    // Where the plan does not accept the end of the lease, it proves as little as one that does not stop the primary.
    const judged = accepts.includes('expiry') ? record : ({ ...record, onLeaseLoss: 'continue' } as const);
    const verdict = judgeFencing(judged, evidence);
    if (verdict.kind === 'proven') return { kind: 'done', facts: { proof: verdict.proof, revision, demotion: record.demotion } };
    if (verdict.kind === 'blocked') return { kind: 'blocked', by: verdict.missing };
    await ports.sleep(Math.min(LOOK_MS, verdict.untilMs - nowMs), signal);
  }
}

/** When this process saw that revision first. */
function look({ seen, nowMs }: FencingPorts, { incarnation }: FailoverDatabase, { revision }: KnownWriter): number {
  const found = seen.get(incarnation);
  if (found?.revision === revision) return found.atMs;
  const atMs = nowMs();
  seen.set(incarnation, { revision, atMs });
  return atMs;
}

function brokenBy({ glass }: FailoverJournal): BreakGlass | undefined {
  const [first, second] = glass?.persons ?? [];
  return first === undefined || second === undefined ? undefined : { persons: [first, second], reason: glass!.reason };
}

/** Only from the very revision that the proof is of: what was given back and withheld again since may have been renewed in between. */
async function grant(
  ports: WriterPorts,
  journal: FailoverJournal,
  database: FailoverDatabase,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { id } = journal;
  const { asset, epoch, target } = database;
  const sealed = journal.sealed[asset];
  const fenced = (factsOf(journal, 'fenced') as Partial<FencedFacts>).fencing?.[asset];
  if (sealed === undefined || fenced === undefined)
    throw new Fault('INTERNAL', `The failover ${id} has no sealed end or no proof of fencing of ${asset}`);
  const register = ports.register(database);
  for (;;) {
    const known = await register.read({ signal });
    const { record } = known;
    // Its new holder may have been restarted since, and have taken a later epoch in place.
    if (record.holder.name === target && isGranted(record, database, sealed)) return { kind: 'done', facts: { epoch: epoch + 1 } };
    if (known.revision !== fenced.revision)
      return { kind: 'blocked', by: ['the register has changed since the old primary was fenced'] };
    const next = granted(record, { failover: id, to: target, sealed, proof: fenced.proof });
    if (isRefusal(next)) return { kind: 'blocked', by: [`the register refused the grant: ${next.refused}`] };
    await register.swap(known, next, { signal });
  }
}

async function undo(
  ports: WriterPorts,
  { id, sealed }: FailoverJournal,
  database: FailoverDatabase,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const answer = await ports.register(database).change(
    (record) => {
      const changed = givenBack(record, id);
      // Nothing was withheld yet, or it was given back before a crash, or another failover was faster.
      return isRefusal(changed) ? record : changed;
    },
    { signal },
  );
  if ('refused' in answer) return { kind: 'blocked', by: [`the register refused to give the right back: ${answer.refused}`] };
  const { record } = answer;
  const end = sealed[database.asset];
  if (end !== undefined && isGranted(record, database, end)) return { kind: 'too late' };
  return { kind: 'done', facts: { epoch: record.epoch } };
}

/** By this failover: one of another plan leads to the same target, from an end of its own. Without a sealed end nobody can have granted. */
function isGranted({ chain }: KnownWriter['record'], { epoch, target }: FailoverDatabase, { timeline, lsn }: LogEnd): boolean {
  return chain.some(
    ({ from, ...start }) =>
      start.epoch === epoch + 1 &&
      start.member.name === target &&
      from !== 'in place' &&
      from.timeline === timeline &&
      from.lsn === lsn,
  );
}

// The actions of a plan that lead to one state, carried out in order: groups of a wave at once, within a group one after the other. Each is
// written into the journal when it is over, so whoever goes on after a crash begins with the first that is not. An action that was under way
// then is done again: commands of plans are made so that this does no harm.
//
// An action that has failed is tried again by the next run, unless the plan says that its failure does not stop, or somebody has said "yes" to
// going on without it.

import { isFault } from '../base/faults.ts';
import {
  type ActionRecord,
  type Decision,
  type Facts,
  type FailoverJournal,
  type JournalRegister,
  withAction,
} from '../dr/failover-journal.ts';
import type { PlanAction } from '../plan/plan-run.ts';
import { formatSpan } from '../policy/duration.ts';
import { personOf } from './people.ts';

export type ActionOutcome =
  | { readonly kind: 'done' | 'skipped'; readonly facts: Facts }
  | { readonly kind: 'failed'; readonly why: string; readonly facts: Facts }
  /** It waits for people, or for something that is not there: nothing is written down. */
  | { readonly kind: 'blocked'; readonly by: readonly string[] };

export type Perform = (action: PlanAction, signal: AbortSignal) => Promise<ActionOutcome>;

export type ActionRun = {
  readonly register: JournalRegister;
  readonly now: () => Date;
  readonly perform: Perform;
  /** What may have kept one from being done in its time. */
  readonly trouble: (action: PlanAction) => Promise<readonly string[]>;
  readonly signal: AbortSignal;
};

/** Answers what it is blocked by; nothing: all of them are over. */
export async function runActions(run: ActionRun, actions: readonly PlanAction[]): Promise<readonly string[]> {
  for (const slot of slotsOf(actions)) {
    const blocked = await Promise.all([...slot.values()].map((some) => inOrder(run, some)));
    const by = blocked.flat();
    if (by.length > 0) return by;
  }
  return [];
}

/** What goes at once: the groups of one wave. What belongs to no group goes alone. */
function slotsOf(actions: readonly PlanAction[]): ReadonlyMap<string, PlanAction[]>[] {
  const slots: { readonly wave: number | undefined; readonly groups: Map<string, PlanAction[]> }[] = [];
  for (const action of actions) {
    const { group = '' } = action;
    const wave = group === '' ? undefined : action.wave;
    let slot = slots.at(-1);
    if (slot === undefined || slot.wave !== wave) {
      slot = { wave, groups: new Map() };
      slots.push(slot);
    }
    slot.groups.set(group, [...(slot.groups.get(group) ?? []), action]);
  }
  return slots.map(({ groups }) => groups);
}

async function inOrder(run: ActionRun, actions: readonly PlanAction[]): Promise<readonly string[]> {
  for (const action of actions) {
    run.signal.throwIfAborted();
    const { journal } = await run.register.read({ signal: run.signal });
    if (isOver(action, journal)) continue;
    // Somebody undoes it meanwhile.
    if (journal.state === 'undoing' || journal.state === 'undone') return ['it is being undone'];
    const by = await one(run, action);
    if (by.length > 0) return by;
  }
  return [];
}

async function one(run: ActionRun, action: PlanAction): Promise<readonly string[]> {
  const { register, now, signal } = run;
  const startedAt = now().toISOString();
  const outcome = await outcomeOf(run, action);
  signal.throwIfAborted();
  if (outcome.kind === 'blocked') return outcome.by;
  const facts = outcome.kind === 'failed' ? { why: outcome.why, ...outcome.facts } : outcome.facts;
  const record: ActionRecord = { id: action.id, startedAt, endedAt: now().toISOString(), outcome: outcome.kind, facts };
  const journal = await register.change((newest) => (isOver(action, newest) ? newest : withAction(newest, record)));
  if (isOver(action, journal) || outcome.kind !== 'failed') return [];
  return [`${action.id} has failed: ${outcome.why}`];
}

async function outcomeOf({ perform, trouble, signal }: ActionRun, action: PlanAction): Promise<ActionOutcome> {
  // How long the end of a lease takes is not for the plan to say: the lease itself says it.
  const limitMs = action.kind === 'builtin' && action.action === 'fence-wait' ? 0 : action.limitMs;
  const limit = limitMs > 0 ? AbortSignal.timeout(limitMs) : undefined;
  const late = `took longer than ${formatSpan(limitMs)}`;
  try {
    const outcome = await perform(action, limit === undefined ? signal : AbortSignal.any([signal, limit]));
    // A program that was ended for it knows only that it was ended.
    return outcome.kind === 'failed' && limit?.aborted === true ? { ...outcome, why: late } : outcome;
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit?.aborted === true) return { kind: 'failed', why: [late, ...(await trouble(action))].join('; '), facts: {} };
    if (!isFault(error)) throw error;
    return { kind: 'failed', why: error.message, facts: { code: error.code } };
  }
}

/** Whether nothing is left to do of it. */
export function isOver(action: PlanAction, journal: FailoverJournal): boolean {
  const record = journal.actions.find(({ id }) => id === action.id);
  if (record === undefined) return false;
  return record.outcome !== 'failed' || goesOn(action) || (mayBeLeft(action) && saidYes(journal, action.id).length > 0);
}

/** Who has said yes to it, each of them once; nobody when the last word of somebody is no. */
export function saidYes({ decisions }: FailoverJournal, action: string): readonly string[] {
  const last = lastWords(decisions, action);
  return last.some(({ answer }) => answer === 'no') ? [] : last.map(({ by }) => by);
}

/** Of each person the last one about it. */
export function lastWords(decisions: readonly Decision[], action: string): readonly Decision[] {
  return [...new Map(decisions.filter((one) => one.action === action).map((one) => [personOf(one.by), one])).values()];
}

/** What is said while people are waited for: by its beginning alone they are found again, for what follows may name anything. */
export function waitsFor(action: string, why: string): string {
  return `decide "${action}": ${why}`;
}

/** Files that are damaged in the only copy there is must not keep the databases from coming up. */
const LEFT: ReadonlySet<string> = new Set(['verify-pages', 'protect', 'refresh', 'bring-up']);

/** Whether people may say that it goes on although this failed. What decides who may write, and where its log ends, is not theirs. */
export function mayBeLeft(action: PlanAction): boolean {
  return action.kind !== 'builtin' || LEFT.has(action.action);
}

function goesOn(action: PlanAction): boolean {
  return action.kind === 'step' && action.step.onFailure === 'continue';
}

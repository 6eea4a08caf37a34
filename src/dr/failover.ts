// A failover, step by step. Each step is named by the state that it leaves, may be taken again after a crash, and after it the journal is
// changed to the next state, if it still is in the one before. So any number of orchestrators may be killed at any point, or run at once: the
// journal goes through its states once, in order. A step that is blocked says why, and is tried again by whoever asks next.
//
// An undo and a grant may race: the writer register of the first database decides. If the grant took place first, the failover goes on.

import { Fault } from '../base/faults.ts';
import {
  entered,
  type FailoverJournal,
  isFinished,
  isUndoable,
  type JournalRegister,
  type KnownJournal,
  nextState,
} from './failover-journal.ts';
import type { LogEnd } from './writer-record.ts';

export type StepOutcome =
  | {
      readonly kind: 'done';
      readonly facts: Readonly<Record<string, unknown>>;
      readonly sealed?: Readonly<Record<string, LogEnd>>;
    }
  | { readonly kind: 'blocked'; readonly by: readonly string[] }
  /** Only of an undo: what was to be undone cannot be any more. */
  | { readonly kind: 'too late' };

export type Step = (journal: FailoverJournal, signal: AbortSignal) => Promise<StepOutcome>;

/** By the state that a step leaves. */
export type FailoverSteps = {
  /** Fences the old primary. */
  readonly declared: Step;
  /** Seals the log of the old epoch in each store that is reached; answers its end. */
  readonly fenced: Step;
  /** Brings the target up to that end; blocked when the loss needs a decision. */
  readonly sealed: Step;
  /** Grants the next epoch. */
  readonly 'caught-up': Step;
  /** Promotes; the new history and first segment are stored before it is done. */
  readonly granted: Step;
  readonly promoted: Step;
  readonly routed: Step;
  readonly verified: Step;
  readonly committed: Step;
  readonly 're-protecting': Step;
  /** Gives the right back to the old primary. */
  readonly undoing: Step;
};

export type Declaration = Omit<
  FailoverJournal,
  'version' | 'state' | 'blockedBy' | 'sealed' | 'actions' | 'decisions' | 'glass' | 'entries'
>;

/** FAILOVER_RUNNING when another one is not finished, FAILOVER_OVER when another one came after it. The same declaration again changes nothing. */
export async function declareFailover(register: JournalRegister, declaration: Declaration, now: () => Date): Promise<KnownJournal> {
  const { id, reason, approvers } = declaration;
  // Read before it is asked whether that id was declared: a swap from this takes place only if it was not meanwhile.
  const found = await register.find();
  const known = await register.declared(id);
  if (known !== undefined) return known;
  if (found !== undefined) {
    if (!isFinished(found.journal))
      throw new Fault('FAILOVER_RUNNING', `The failover ${found.journal.id} of ${register.plan} is "${found.journal.state}"`);
    // Who declared it may have been killed before that.
    await register.enter(found.journal.id);
  }
  const blank = { version: 1, ...declaration, blockedBy: [], sealed: {}, actions: [], decisions: [], glass: null } as const;
  const first: FailoverJournal = { ...blank, state: 'declared', entries: [] };
  const journal = entered(first, 'declared', now().toISOString(), { reason, approvers });
  const swapped = await register.swap(found?.revision ?? 0, journal);
  if (swapped === 'conflict') return declareFailover(register, declaration, now);
  await register.enter(id);
  return swapped;
}

/** Takes steps until the failover is finished or blocked. */
export async function runFailover(
  register: JournalRegister,
  steps: FailoverSteps,
  now: () => Date,
  signal: AbortSignal,
): Promise<FailoverJournal> {
  for (;;) {
    const { journal } = await register.read();
    // Somebody who slept may have withheld renewals after the undo: whoever comes by gives back again.
    if (journal.state === 'undone') await steps.undoing(journal, signal);
    if (isFinished(journal)) return journal;
    signal.throwIfAborted();
    const outcome = await steps[journal.state as keyof FailoverSteps](journal, signal);
    const at = now().toISOString();
    // Somebody else may have taken this step, or begun to undo: then the newest journal tells what comes next.
    const isStill = (newest: FailoverJournal): boolean => newest.id === journal.id && newest.state === journal.state;
    let isMine = false;
    const next = await register.change((newest) => {
      isMine = isStill(newest);
      return isMine ? after(newest, outcome, at) : newest;
    });
    if (outcome.kind === 'blocked' && isMine) return next;
  }
}

/** From here on no step forward is taken. FAILOVER_PAST_UNDO once the right was granted: then the way back is another failover. */
export async function undoFailover(register: JournalRegister, reason: string, now: () => Date): Promise<FailoverJournal> {
  return register.change((journal) => {
    if (journal.state === 'undoing' || journal.state === 'undone') return journal;
    if (!isUndoable(journal)) throw new Fault('FAILOVER_PAST_UNDO', `The failover ${journal.id} is "${journal.state}"`);
    return entered(journal, 'undoing', now().toISOString(), { reason });
  });
}

function after(journal: FailoverJournal, outcome: StepOutcome, at: string): FailoverJournal {
  // The grant of the first database took place: it is finished for the others.
  if (outcome.kind === 'too late') return entered(journal, 'caught-up', at, { undo: 'came after the grant' });
  if (outcome.kind === 'done') {
    const sealed = outcome.sealed ?? journal.sealed;
    return { ...entered(journal, nextState(journal.state), at, outcome.facts), sealed };
  }
  const isKnown = JSON.stringify(outcome.by) === JSON.stringify(journal.blockedBy);
  return isKnown ? journal : { ...journal, blockedBy: outcome.by };
}

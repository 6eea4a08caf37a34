// What people say while a failover runs: at gates, about a loss, about a failure. Only about what waits for them, so that nobody says yes in
// advance, and only those who may.

import { Fault } from '../base/faults.ts';
import { type FailoverJournal, isFinished, type JournalRegister } from '../dr/failover-journal.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { type PlanAction, planRun } from '../plan/plan-run.ts';
import { differentPeople, personOf } from './people.ts';
import { mayBeLeft, waitsFor } from './run-actions.ts';

export type Said = { readonly action: string; readonly answer: 'yes' | 'no'; readonly by: string };

/** FAILOVER_NO_DECISION when nothing of that name waits for people, FAILOVER_NOT_APPROVED when nobody is named. */
export async function decide(
  register: JournalRegister,
  plan: PlanDocument,
  { action, answer, by }: Said,
  now: () => Date,
): Promise<FailoverJournal> {
  if (personOf(by) === '') throw new Fault('FAILOVER_NOT_APPROVED', `Nobody has said ${answer} to "${action}": the name is empty`);
  return register.change((journal) => {
    const open = openDecisions(plan, journal);
    if (!open.includes(action))
      throw new Fault(
        'FAILOVER_NO_DECISION',
        `"${action}" of the failover ${journal.id} waits for nobody; ${open.length === 0 ? 'nothing does' : `these do: ${open.join(', ')}`}`,
      );
    return { ...journal, decisions: [...journal.decisions, { action, answer, by, at: now().toISOString() }] };
  });
}

/** What waits for people now. */
export function openDecisions(plan: PlanDocument, journal: FailoverJournal): readonly string[] {
  if (isFinished(journal)) return [];
  const isWaiting = (id: string): boolean => journal.blockedBy.some((why) => why.startsWith(waitsFor(id, '')));
  if (journal.state === 'undoing') return [journal.from, journal.to].map((site) => `unseal.${site}`).filter(isWaiting);
  const isFailed = (action: PlanAction): boolean =>
    mayBeLeft(action) && journal.actions.some(({ id, outcome }) => id === action.id && outcome === 'failed');
  return planRun(plan, journal.kind)
    .filter((action) => isWaiting(action.id) || isFailed(action))
    .map(({ id }) => id);
}

/** Without a proof of fencing: as many as the plan asks, each another person. It marks the failover for good. */
export async function breakGlass(
  register: JournalRegister,
  plan: PlanDocument,
  persons: readonly string[],
  reason: string,
  now: () => Date,
): Promise<FailoverJournal> {
  const different = differentPeople(persons);
  const needed = plan.approvals.breakGlass;
  if (different.length < needed)
    throw new Fault(
      'FAILOVER_NOT_APPROVED',
      `${needed} people break the glass together; ${different.length} did: ${different.join(', ')}`,
    );
  return register.change((journal) => {
    if (journal.state !== 'declared')
      throw new Fault('FAILOVER_NO_DECISION', `The failover ${journal.id} is "${journal.state}": there is no glass to break`);
    return { ...journal, glass: { persons: different, reason, at: now().toISOString() } };
  });
}

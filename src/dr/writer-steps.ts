// The three steps of a failover that change who may write.

import { Fault } from '../base/faults.ts';
import type { FailoverSteps, StepOutcome } from './failover.ts';
import type { FailoverJournal } from './failover-journal.ts';
import { type BreakGlass, judgeFencing, type PowerOff } from './fencing.ts';
import { givenBack, granted, isRefusal, type ProofKind, withheld } from './writer-record.ts';
import type { WriterRegister } from './writer-register.ts';

export type WriterPorts = {
  readonly register: WriterRegister;
  /** A clock that never goes back, and goes on while the host sleeps. */
  readonly nowMs: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Tells the old primary's gate to stop its server in order and to demote itself, for this failover. */
  readonly demote: (failover: string, signal: AbortSignal) => Promise<void>;
  /** What is known of the old primary's power, if anybody switched it off. */
  readonly powerOff: () => Promise<PowerOff | undefined>;
  readonly breakGlass: () => Promise<BreakGlass | undefined>;
};

export function writerSteps(ports: WriterPorts): Pick<FailoverSteps, 'declared' | 'caught-up' | 'undoing'> {
  return {
    declared: (journal, signal) => fence(ports, journal, signal),
    'caught-up': (journal, signal) => grant(ports, journal, signal),
    undoing: (journal, signal) => undo(ports, journal, signal),
  };
}

async function fence(ports: WriterPorts, journal: FailoverJournal, signal: AbortSignal): Promise<StepOutcome> {
  const { id, kind, epoch } = journal;
  const { record } = await ports.register.read({ signal });
  if (record.epoch !== epoch)
    return { kind: 'blocked', by: [`the epoch is ${record.epoch}, not ${epoch}: declare the failover anew`] };
  if (kind === 'planned' && record.demotion === null) await ports.demote(id, signal);
  const changed = await ports.register.change((now) => withheld(now, id), { signal });
  if ('refused' in changed) return { kind: 'blocked', by: [`the register refused to withhold renewals: ${changed.refused}`] };
  return proven(ports, signal);
}

/** A clock of before a crash says nothing: each call counts from its own first look. */
async function proven(ports: WriterPorts, signal: AbortSignal): Promise<StepOutcome> {
  let seen: { readonly revision: number; readonly atMs: number } | undefined;
  for (;;) {
    const { record, revision } = await ports.register.read({ signal });
    if (seen?.revision !== revision) seen = { revision, atMs: ports.nowMs() };
    const [powerOff, breakGlass] = await Promise.all([ports.powerOff(), ports.breakGlass()]);
    const evidence = {
      nowMs: ports.nowMs(),
      seenAtMs: seen.atMs,
      ...(powerOff && { powerOff }),
      ...(breakGlass && { breakGlass }),
    };
    const verdict = judgeFencing(record, evidence);
    if (verdict.kind === 'proven')
      return { kind: 'done', facts: { proof: verdict.proof, revision, powerOff, breakGlass, demotion: record.demotion } };
    if (verdict.kind === 'blocked') return { kind: 'blocked', by: verdict.missing };
    await ports.sleep(verdict.untilMs - evidence.nowMs, signal);
  }
}

/** Only from the very revision that the proof is of: what was given back and withheld again since may have been renewed in between. */
async function grant({ register }: WriterPorts, journal: FailoverJournal, signal: AbortSignal): Promise<StepOutcome> {
  const { id, target, epoch, sealed, entries } = journal;
  const { proof, revision } = (entries.findLast(({ state }) => state === 'fenced')?.facts ?? {}) as {
    proof?: ProofKind;
    revision?: number;
  };
  if (sealed === null || proof === undefined)
    throw new Fault('INTERNAL', `The failover ${id} has no sealed end or no proof of fencing`);
  for (;;) {
    const known = await register.read({ signal });
    const { record } = known;
    if (record.epoch === epoch + 1 && record.holder.name === target) return { kind: 'done', facts: { epoch: epoch + 1 } };
    if (known.revision !== revision) return { kind: 'blocked', by: ['the register has changed since the old primary was fenced'] };
    const next = granted(record, { failover: id, to: target, sealed, proof });
    if (isRefusal(next)) return { kind: 'blocked', by: [`the register refused the grant: ${next.refused}`] };
    await register.swap(known, next, { signal });
  }
}

async function undo({ register }: WriterPorts, { id, epoch, target }: FailoverJournal, signal: AbortSignal): Promise<StepOutcome> {
  const answer = await register.change(
    (record) => {
      const changed = givenBack(record, id);
      // Nothing was withheld yet, or it was given back before a crash.
      return isRefusal(changed) && changed.refused === 'not withheld' ? record : changed;
    },
    { signal },
  );
  if ('refused' in answer) return { kind: 'blocked', by: [`the register refused to give the right back: ${answer.refused}`] };
  const { record } = answer;
  if (record.epoch > epoch && record.holder.name === target) return { kind: 'too late' };
  return { kind: 'done', facts: { epoch: record.epoch } };
}

// A command of a plan, and what it is told: HOLDFAST_SITE, HOLDFAST_EPOCH and the rest of `commandVariables`. It runs where the orchestrator
// runs; HOLDFAST_SITE is the site that it is for.

import { isAbsolute } from 'node:path';
import { Fault } from '../base/faults.ts';
import { type ProgramEnd, runProgram } from '../base/run-program.ts';
import type { FailoverJournal } from '../dr/failover-journal.ts';
import type { ActionOutcome } from './run-actions.ts';

export type CommandContext = {
  readonly journal: FailoverJournal;
  readonly action: string;
  readonly site: string;
  readonly epoch: number;
};

export function commandVariables({ journal, action, site, epoch }: CommandContext): Readonly<Record<string, string>> {
  const { plan, id, kind, from, to } = journal;
  return {
    HOLDFAST_PLAN: plan,
    HOLDFAST_FAILOVER: id,
    HOLDFAST_KIND: kind,
    HOLDFAST_ACTION: action,
    HOLDFAST_SITE: site,
    HOLDFAST_SOURCE: from,
    HOLDFAST_TARGET: to,
    HOLDFAST_EPOCH: String(epoch),
  };
}

export async function runCommand(
  [program, ...args]: readonly string[],
  context: CommandContext,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ProgramEnd> {
  if (program === undefined || !isAbsolute(program))
    throw new Fault('PLAN_INVALID', `The program "${program}" of ${context.action} is not an absolute path`);
  return runProgram({ program, args, variables: commandVariables(context), timeoutMs, signal });
}

export function outcomeOfCommand({ status, failure, output }: ProgramEnd): ActionOutcome {
  const facts = { status, output };
  if (failure === undefined) return { kind: 'done', facts };
  return { kind: 'failed', why: output === '' ? failure : `${failure}: ${output.split('\n').at(-1)}`, facts };
}

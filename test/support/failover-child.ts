// An orchestrator in a process of its own, which kills itself where it is told to: before or after the effect of the n-th step. Effects are
// lines of a file; registers are those of an embedded registry.

import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FailoverSteps, runFailover, type StepOutcome } from '../../src/dr/failover.ts';
import { JournalRegister } from '../../src/dr/failover-journal.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { writerSteps } from '../../src/dr/writer-steps.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';

export type FailoverChildOptions = {
  readonly registry: string;
  readonly effects: string;
  /** The state whose step is the last one. */
  readonly dieIn?: string;
  readonly dieWhen?: 'before' | 'after';
};

export const SEALED = { timeline: 1, lsn: '0/5000028' } as const;

export function stepsFor({ registry, effects, dieIn, dieWhen }: FailoverChildOptions): FailoverSteps {
  const register = new WriterRegister(openEmbeddedRegistry(registry), 'orders');
  const journal = new JournalRegister(openEmbeddedRegistry(registry), 'portal');
  const { withhold: _, ...own } = writerSteps({
    register: () => register,
    nowMs: () => performance.now(),
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
    demote: async () => {},
    powerOff: () => undefined,
    newest: async () => (await journal.read()).journal,
    accepts: ['demotion', 'expiry'],
  });
  const done = async (): Promise<StepOutcome> => ({ kind: 'done', facts: {} });
  const steps = { ...own, fenced: async (): Promise<StepOutcome> => ({ kind: 'done', facts: {}, sealed: { orders: SEALED } }) };
  const rest = {
    sealed: done,
    granted: done,
    promoted: done,
    routed: done,
    verified: done,
    committed: done,
    're-protecting': done,
  };
  const all: FailoverSteps = { ...rest, ...steps };
  const wrapped = Object.entries(all).map(([state, step]) => [
    state,
    async (...words: Parameters<typeof step>): Promise<StepOutcome> => {
      if (state === dieIn && dieWhen === 'before') process.kill(process.pid, 'SIGKILL');
      const outcome = await step(...words);
      appendFileSync(effects, `${state}\n`);
      if (state === dieIn) process.kill(process.pid, 'SIGKILL');
      return outcome;
    },
  ]);
  return Object.fromEntries(wrapped) as FailoverSteps;
}

if (process.argv[1] === import.meta.filename) {
  const options = JSON.parse(process.argv[2]!) as FailoverChildOptions;
  const journal = new JournalRegister(openEmbeddedRegistry(options.registry), 'portal');
  await runFailover(journal, stepsFor(options), () => new Date(), new AbortController().signal);
}

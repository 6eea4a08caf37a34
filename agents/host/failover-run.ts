// A failover of a plan, carried out from this host by the command line that people use. Whatever counts is in the registry of the sites: this
// run may be killed at any point, and the next one goes on. What the journal says is told to the service whenever it has changed.

import { Fault } from '../../src/base/faults.ts';
import type { ChildLine } from '../../src/base/program-child.ts';
import { FailoverOrder } from '../../src/model/failover.ts';
import { JournalAnswer, PLAN_PATHS } from '../../src/protocol/plan-messages.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import { faultOfEnd, type PlanPlace, type PlanVerbEnd, planVerb, withPlan } from './plan-verb.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';
import { outcomeOfError } from './run-outcome.ts';
import { sendEvidence } from './send-evidence.ts';
import { call } from './service-calls.ts';

const TELL_TIMEOUT_MS = 10_000;

export async function failoverRun(context: RunContext): Promise<RunOutcome> {
  const { parameters } = context.claimed.run;
  const order = readMessage(FailoverOrder, parameters['order'], 'The order of the failover');
  return withPlan(context, async (place) => {
    if (order.do === 'carry-out') return carryOut(context, place, order);
    // By its id: people have decided on that one, and not on another that came after it.
    const ended = await planVerb(context, [
      'failover',
      ...wordsOf(order, String(parameters['failover'])),
      '--config',
      place.config,
    ]);
    if (ended.summary === undefined) throw faultOfEnd(ended);
    const rejoined = ended.lines.flatMap(({ kind, asset, divergence }) => (kind === 'rejoined' ? [{ asset, divergence }] : []));
    return { state: 'succeeded', result: { do: order.do, ...(order.do === 'rejoin' && { rejoined }) } };
  });
}

type CarryOut = Extract<FailoverOrder, { do: 'carry-out' }>;

async function carryOut(context: RunContext, place: PlanPlace, order: CarryOut): Promise<RunOutcome> {
  const { claimed, home, signal } = context;
  const { run } = claimed;
  let current = 'declaring';
  context.watch(() => ({ phase: 'failing over', bytesDone: 0, current }));
  const { kind, reason, by, approvers, disaster } = order;
  const id = String(run.parameters['failover']);
  const declared = await planVerb(context, [
    ...['failover', 'declare', '--plan', place.file, '--config', place.config, '--id', id],
    ...['--kind', kind, '--reason', reason, '--by', by, ...approvers.flatMap((name) => ['--approve', name])],
    // The agent may have been away for long, and people have done it by hand meanwhile.
    ...['--asked-at', run.dueAt],
    ...(disaster === undefined ? [] : ['--disaster', disaster]),
  ]);
  if (declared.summary === undefined) throw faultOfEnd(declared);
  const teller = new JournalTeller(context);
  const ended = await planVerb(
    context,
    [
      ...['failover', 'run', id, '--config', place.config, '--wait'],
      ...['--evidence-dir', home.evidence, '--tenant', run.tenantId],
    ],
    (line) => {
      if (line.kind !== 'journal') return;
      const { state, blockedBy } = line['journal'] as { state: string; blockedBy: readonly string[] };
      current = blockedBy.length === 0 ? state : `${state}, blocked: ${blockedBy.join('; ')}`.slice(0, 500);
      teller.tell(line['journal']);
    },
  );
  await teller.told();
  return outcomeOf(context, ended, signal);
}

async function outcomeOf(context: RunContext, ended: PlanVerbEnd, signal: AbortSignal): Promise<RunOutcome> {
  const { summary } = ended;
  if (summary === undefined) return outcomeOfError(signal.aborted ? signal.reason : faultOfEnd(ended), signal);
  const { state, from, to, losses, evidence } = summary;
  const file = (evidence as { readonly file?: string } | null)?.file;
  const kept = file === undefined ? undefined : await sendEvidence(context, file);
  const result = { state, from, to, losses, ...(kept === undefined ? {} : { evidence: kept }) };
  if (state === 'normal' || state === 'undone') return { state: 'succeeded', result };
  const fault = new Fault('AGENT_INTERRUPTED', `The failover is "${String(state)}"`);
  return { ...outcomeOfError(fault, signal), result };
}

/** The newest one, in order; what the service missed comes with the next. */
class JournalTeller {
  readonly #context: RunContext;
  #next: unknown;
  #telling: Promise<void> | undefined;

  constructor(context: RunContext) {
    this.#context = context;
  }

  tell(journal: ChildLine[string]): void {
    this.#next = journal;
    this.#telling ??= this.#tell().finally(() => {
      this.#telling = undefined;
    });
  }

  async told(): Promise<void> {
    await this.#telling;
  }

  async #tell(): Promise<void> {
    const { transport, claimed, settings } = this.#context;
    const { id, fence } = claimed.run;
    const said = settings.version === undefined ? {} : { version: settings.version };
    while (this.#next !== undefined) {
      const journal = this.#next;
      this.#next = undefined;
      // A service that is away, or gone with its site, keeps no failover from going on.
      await call(transport, PLAN_PATHS.journal(id), { fence, journal }, JournalAnswer, {
        timeoutMs: TELL_TIMEOUT_MS,
        ...said,
      }).catch(() => {});
    }
  }
}

function wordsOf(order: Exclude<FailoverOrder, CarryOut>, failover: string): string[] {
  switch (order.do) {
    case 'decide':
      return ['decide', failover, order.action, `--${order.answer}`, '--by', order.by];
    case 'undo':
      return ['undo', failover, '--reason', order.reason];
    case 'break-glass':
      return ['break-glass', failover, '--reason', order.reason, ...order.persons.flatMap((name) => ['--by', name])];
    case 'rejoin':
      return ['rejoin', failover];
  }
}

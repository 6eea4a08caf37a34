// The steps of a failover, made from its plan: what the plan's list of actions says for each state, obeyed in its order.

import { Fault, isFault } from '../base/faults.ts';
import type { FailoverSteps, Step, StepOutcome } from '../dr/failover.ts';
import { type FailoverJournal, nextState } from '../dr/failover-journal.ts';
import type { LogEnd } from '../dr/writer-record.ts';
import { type WriterSteps, writerSteps } from '../dr/writer-steps.ts';
import type { PlanDocument, PlanRoute } from '../plan/plan-document.ts';
import { type PlanAction, planRun } from '../plan/plan-run.ts';
import { writeRoute } from './apply-route.ts';
import { evidenceOf } from './evidence.ts';
import { bringFiles, compareFiles, keepFiles } from './files-actions.ts';
import { outcomeOfCommand, runCommand } from './plan-command.ts';
import { type OrchestratorPorts, writerOf } from './ports.ts';
import { type ActionOutcome, lastWords, runActions, waitsFor } from './run-actions.ts';
import { siteTrouble } from './site-trouble.ts';
import { checkTarget, cutOff, demoteOne, powerOffOf, revokeAtSource, sealAll } from './source-actions.ts';
import { catchUpOne, promoteOne, protect, showLoss, testWrites, verifyPages } from './target-actions.ts';
import { unsealAll } from './unseal.ts';

type Context = { readonly ports: OrchestratorPorts; readonly writer: WriterSteps };

export function failoverSteps(ports: OrchestratorPorts): FailoverSteps {
  const { plan, site, nowMs, sleep } = ports;
  const writer = writerSteps({
    register: (database) => writerOf(ports, database),
    nowMs,
    sleep,
    demote: async ({ asset, epoch }, { id, from }, signal) =>
      void (await site(from).demote(asset, { epoch, failover: id }, { signal })),
    newest: async (signal) => (await ports.journal.read({ signal })).journal,
    powerOff: powerOffOf,
    accepts: plan.fencing.proofs,
  });
  const step =
    (settles?: Step): Step =>
    (journal, signal) =>
      take({ ports, writer }, journal, signal, settles);
  return {
    declared: step(writer.declared),
    fenced: step(),
    sealed: step(),
    'caught-up': step(writer['caught-up']),
    granted: step(),
    promoted: step(),
    routed: step(),
    verified: step(),
    committed: step(),
    're-protecting': (journal) => keepEvidence(ports, journal),
    undoing: async (journal, signal) => {
      const outcome = await writer.undoing(journal, signal);
      return outcome.kind === 'done' ? unsealAll(ports, journal, outcome.facts, signal) : outcome;
    },
  };
}

/** `settles`: the step that changes who may write. It is taken by the action that stands for it, or after all of them. */
async function take(context: Context, journal: FailoverJournal, signal: AbortSignal, settles?: Step): Promise<StepOutcome> {
  const { ports } = context;
  const { journal: register, now, plan } = ports;
  let settled: StepOutcome | undefined;
  const settle = async (within: AbortSignal): Promise<ActionOutcome> => {
    settled = await settles!(journal, within);
    if (settled.kind === 'blocked') return settled;
    return { kind: 'done', facts: settled.kind === 'done' ? settled.facts : {} };
  };
  const perform = async (action: PlanAction, within: AbortSignal): Promise<ActionOutcome> => {
    const newest = (await register.read({ signal })).journal;
    return performOne({ ...context, journal: newest, settle }, action, within);
  };
  const leadsTo = nextState(journal.state);
  const actions = planRun(plan, journal.kind).filter(({ state }) => state === leadsTo);
  // A program of the plan knows of no site; its output is told.
  const trouble = async ({ kind }: PlanAction): Promise<readonly string[]> =>
    kind === 'builtin' ? siteTrouble(ports, journal, signal) : [];
  const by = await runActions({ register, now, perform, trouble, signal }, actions);
  if (by.length > 0) return { kind: 'blocked', by };
  if (settles !== undefined) return settled?.kind === 'done' ? settled : settles(journal, signal);
  const sealed = (await register.read({ signal })).journal.actions.find(({ id }) => id === 'seal')?.facts.sealed;
  return { kind: 'done', facts: {}, ...(leadsTo === 'sealed' && { sealed: sealed as Readonly<Record<string, LogEnd>> }) };
}

type Acting = Context & {
  readonly journal: FailoverJournal;
  readonly settle: (signal: AbortSignal) => Promise<ActionOutcome>;
};

async function performOne(acting: Acting, action: PlanAction, signal: AbortSignal): Promise<ActionOutcome> {
  const { ports, journal } = acting;
  switch (action.kind) {
    case 'builtin':
      return builtin(acting, action, signal);
    case 'gate':
      return askedAtGate(action, journal);
    case 'step': {
      const site = action.at === 'source' ? journal.from : journal.to;
      const context = { journal, action: action.id, site, epoch: epochAt(journal, action.at === 'source') };
      return outcomeOfCommand(await runCommand(action.step.command!, context, action.limitMs, signal));
    }
    case 'route': {
      const { route } = action;
      const epoch = epochOfRoute(ports.plan, route, journal);
      const side = journal.to === ports.plan.sites.target ? 'target' : 'source';
      const { before } = writeRoute(route, side, epoch);
      const context = { journal, action: action.id, site: journal.to, epoch };
      const outcome = outcomeOfCommand(await runCommand(route.command, context, action.limitMs, signal));
      return outcome.kind === 'blocked' ? outcome : { ...outcome, facts: { ...outcome.facts, epoch, before } };
    }
  }
}

async function builtin(
  { ports, writer, journal, settle }: Acting,
  action: PlanAction & { readonly kind: 'builtin' },
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const asset = action.asset ?? '';
  switch (action.action) {
    case 'check-target':
      return checkTarget(ports, journal, signal);
    case 'drain-database':
      return demoteOne(ports, journal, asset, signal);
    case 'fence-revoke': {
      const [withheld, told] = await Promise.all([writer.withhold(journal, signal), revokeAtSource(ports, journal, signal)]);
      return withheld.kind === 'blocked' ? withheld : told;
    }
    case 'fence-power-off':
      return cutOff(ports, journal, signal);
    case 'fence-demote':
    case 'fence-wait':
    case 'grant':
      return settle(signal);
    case 'seal':
      return sealAll(ports, journal, signal);
    case 'catch-up':
      return catchUpOne(ports, journal, asset, signal);
    case 'show-loss':
      return showLoss(ports, journal, action.people ?? 1, signal);
    case 'promote':
      return promoteOne(ports, journal, asset, signal);
    case 'last-backup':
      return keepFiles(ports, journal, { id: action.id, asset, group: action.group! }, signal);
    case 'refresh':
      return bringFiles(ports, journal, { id: action.id, asset, group: action.group! }, signal);
    case 'bring-up':
      return compareFiles(ports, journal, { id: action.id, asset, group: action.group! }, signal);
    case 'write-test':
      return testWrites(ports, journal, signal);
    case 'verify-pages':
      return verifyPages(ports, journal, signal);
    case 'protect':
      return protect(ports, journal, signal);
    case 'declare':
    case 'commit':
      return { kind: 'done', facts: {} };
    case 'isolate':
    case 'clone':
    case 'probe':
    case 'destroy':
      throw new Fault('INTERNAL', `"${action.action}" belongs to drills`);
  }
}

function askedAtGate(action: PlanAction & { readonly kind: 'gate' }, { decisions }: FailoverJournal): ActionOutcome {
  const { id, step, people } = action;
  const who = (answer: 'yes' | 'no'): string[] =>
    lastWords(decisions, id).flatMap((one) => (one.answer === answer ? [one.by] : []));
  const [yes, no] = [who('yes'), who('no')];
  if (no.length > 0) return { kind: 'blocked', by: [waitsFor(id, `${no.join(' and ')} said no: ${step.gate}`)] };
  if (yes.length >= people) return { kind: 'done', facts: { by: yes } };
  return { kind: 'blocked', by: [waitsFor(id, `${step.gate} (${yes.length} of ${people} said yes)`)] };
}

/** Of the databases of its group; where it has none, of all: it grows with every failover. */
function epochOfRoute(plan: PlanDocument, { group }: PlanRoute, { databases }: FailoverJournal): number {
  const members = plan.groups.find(({ name }) => name === group)?.members ?? [];
  const own = databases.filter(({ asset }) => members.some((member) => member.asset === asset));
  return Math.max(...(own.length > 0 ? own : databases).map(({ epoch }) => epoch + 1));
}

function epochAt({ databases }: FailoverJournal, isSource: boolean): number {
  return Math.max(...databases.map(({ epoch }) => (isSource ? epoch : epoch + 1)));
}

async function keepEvidence(ports: OrchestratorPorts, journal: FailoverJournal): Promise<StepOutcome> {
  try {
    return { kind: 'done', facts: { evidence: await ports.keepEvidence(evidenceOf(ports.plan, journal)) } };
  } catch (error) {
    if (!isFault(error, 'EVIDENCE_NOT_KEPT')) throw error;
    return { kind: 'blocked', by: [error.message] };
  }
}

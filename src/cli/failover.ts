// Failovers from the command line: whatever counts is in the registry, so any of these may be typed at any site.

import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, Fault, isFault } from '../base/faults.ts';
import { runFailover, undoFailover } from '../dr/failover.ts';
import { type FailoverJournal, factsOf, isFinished, type JournalRegister } from '../dr/failover-journal.ts';
import { FAILOVER_STATES } from '../model/failover-state.ts';
import { breakGlass, decide, openDecisions } from '../orchestrator/decide.ts';
import { declare } from '../orchestrator/declare.ts';
import { failoverSteps } from '../orchestrator/failover-steps.ts';
import type { OrchestratorPorts } from '../orchestrator/ports.ts';
import { rejoinOld } from '../orchestrator/rejoin.ts';
import { siteTrouble } from '../orchestrator/site-trouble.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { evidenceKeeper, journalOf, orchestratorPorts, planOf, withSite } from './failover-ports.ts';
import { momentOf } from './moment.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import type { Invocation } from './verb.ts';

const now = (): Date => new Date();
const LOOK_MS = 500;
/** What failed is tried again by one who stays. */
const AGAIN_MS = 5_000;
/** How often sites are asked what troubles them. */
const TROUBLE_MS = 5_000;

export async function failoverDeclare(invocation: Invocation): Promise<number> {
  const { options, output, verb } = invocation;
  const plan = planOf(invocation);
  const kind = options.text('kind') as FailoverJournal['kind'] | undefined;
  const reason = options.text('reason');
  const by = options.text('by');
  if (kind === undefined || reason === undefined || by === undefined)
    throw usage(`"holdfast ${verb.name}" needs --kind, --reason and --by`);
  const disaster = momentOf(options.text('disaster'));
  return withSite(invocation, async ({ registry, incarnationOf }) => {
    const journal = await declare({
      registry,
      plan,
      kind,
      reason,
      by,
      id: options.text('id'),
      approvers: options.texts('approve'),
      disaster,
      askedAt: momentOf(options.text('asked-at')),
      incarnationOf,
      now,
    });
    const { id, from, to, planDigest, approvers } = journal;
    output.line(`Declared the failover ${id} of ${plan.name}, ${kind}, from ${from} to ${to}`);
    output.line(`It is carried out by: holdfast failover run ${plan.name} --config ${options.text('config')}`);
    output.summary(verb.name, { id, plan: plan.name, planDigest, failoverKind: kind, from, to, approvers });
    return 0;
  });
}

export async function failoverRun(invocation: Invocation): Promise<number> {
  const { args, output, signal } = invocation;
  return withSite(invocation, async (site) => {
    const ports = await orchestratorPorts(site, args[0]!, evidenceKeeper(invocation, site));
    const { journal: last } = await ports.journal.read();
    if (isFinished(last))
      output.warning(
        `Nothing is under way: what follows is the failover ${last.id}, which was over at ${last.entries.at(-1)!.at}`,
        {
          id: last.id,
        },
      );
    const over = new AbortController();
    const telling = tellProgress(ports, output, AbortSignal.any([signal, over.signal]));
    let journal: FailoverJournal;
    try {
      journal = await goOn(ports, invocation);
    } finally {
      over.abort();
      await telling;
    }
    output.record('journal', await ports.journal.read());
    tell(output, ports.plan, journal);
    summarise(invocation, journal);
    return isFinished(journal) ? 0 : EXIT.warnings;
  });
}

export async function failoverStatus(invocation: Invocation): Promise<number> {
  return withSite(invocation, async (site) => {
    const { output, signal } = invocation;
    const { journal, plan } = await journalOf(site, invocation.args[0]!);
    const known = (await journal.read()).journal;
    for (const { state, at, facts } of known.entries) output.record('state', { state, at, facts });
    for (const action of known.actions) output.record('action', action);
    for (const { state, at } of known.entries) output.line(`${at}  ${state}`);
    tell(output, plan, known);
    if (!isFinished(known)) for (const text of await siteTrouble(site, known, signal)) output.warning(text, { id: known.id });
    summarise(invocation, known);
    return isFinished(known) ? 0 : EXIT.warnings;
  });
}

export async function failoverUndo(invocation: Invocation): Promise<number> {
  const reason = invocation.options.text('reason');
  if (reason === undefined) throw usage('"holdfast failover undo" needs --reason');
  return withSite(invocation, async (site) => {
    const ports = await orchestratorPorts(site, invocation.args[0]!, noEvidence);
    await undoFailover(ports.journal, reason, ports.now);
    const journal = await runFailover(ports.journal, failoverSteps(ports), ports.now, invocation.signal);
    tell(invocation.output, ports.plan, journal);
    summarise(invocation, journal);
    return isFinished(journal) ? 0 : EXIT.warnings;
  });
}

export async function failoverDecide(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  const [named, action] = args as [string, string];
  const by = options.texts('by');
  if (by.length === 0 || options.flag('yes') === options.flag('no'))
    throw usage('"holdfast failover decide" needs --by, and either --yes or --no');
  return withSite(invocation, async (site) => {
    const { journal, plan } = await journalOf(site, named);
    const answer = options.flag('yes') ? 'yes' : 'no';
    let known = (await journal.read()).journal;
    for (const name of by) known = await decide(journal, plan, { action, answer, by: name }, now);
    output.line(`${by.join(' and ')} said ${answer} to ${action} of the failover ${known.id}`);
    output.summary('failover decide', { id: known.id, action, answer, by });
    return 0;
  });
}

export async function failoverBreakGlass(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  const reason = options.text('reason');
  if (reason === undefined) throw usage('"holdfast failover break-glass" needs --reason');
  return withSite(invocation, async (site) => {
    const { journal, plan } = await journalOf(site, args[0]!);
    const known = await breakGlass(journal, plan, options.texts('by'), reason, now);
    output.line(
      `The glass of the failover ${known.id} is broken by ${known.glass!.persons.join(' and ')}: it goes on without proof.`,
    );
    output.summary('failover break-glass', { id: known.id, ...known.glass });
    return 0;
  });
}

export async function failoverRejoin(invocation: Invocation): Promise<number> {
  const { args, output, signal } = invocation;
  return withSite(invocation, async (site) => {
    const { journal } = await journalOf(site, args[0]!);
    const known = (await journal.read()).journal;
    const rejoined = await rejoinOld(site.site, known, signal);
    for (const [asset, { divergence, standby }] of Object.entries(rejoined)) {
      output.record('rejoined', { asset, divergence, standby });
      output.line(`${asset} is a standby at ${known.from}${standby.isHealthy ? '' : `, not healthy: ${standby.problem}`}`);
      if (divergence !== null)
        output.warning(`What only ${known.from} had of ${asset} lies in ${divergence}`, { asset, divergence });
    }
    output.summary('failover rejoin', { id: known.id, site: known.from, databases: Object.keys(rejoined).length });
    return 0;
  });
}

/** An undo ends without any. */
const noEvidence = (): never => {
  throw new Fault('INTERNAL', 'What was undone has no evidence');
};

/** As far as it goes; with --wait to its end. What it needs is all in the registry, so one that is away is waited for, too. */
async function goOn(ports: OrchestratorPorts, { options, output, signal }: Invocation): Promise<FailoverJournal> {
  const isStaying = options.flag('wait');
  // The same all the time: they know since when the old primary cannot renew.
  const steps = failoverSteps(ports);
  for (let last: FailoverJournal | undefined; ; ) {
    try {
      if (last !== undefined) await untilChanged(ports.journal, last, signal);
      last = await runFailover(ports.journal, steps, ports.now, signal);
      if (!isStaying || isFinished(last)) return last;
    } catch (error) {
      if (!isStaying || !isFault(error, 'REGISTRY_UNREACHABLE')) throw error;
      output.notice(`${error.message}; asked again in ${AGAIN_MS / 1000} s`);
      output.flush();
      await sleep(AGAIN_MS, undefined, { signal });
    }
  }
}

/** While it runs: a line for each state, and what it waits for. */
async function tellProgress(ports: OrchestratorPorts, output: Output, signal: AbortSignal): Promise<void> {
  const { journal: register, plan } = ports;
  let told = (await register.read().catch(() => undefined))?.journal.entries.length ?? 0;
  let revision = 0;
  let waits = '';
  const telling = tellTrouble(ports, output, signal);
  while (!signal.aborted) {
    const known = await register.read().catch(() => undefined);
    const journal = known?.journal;
    // For programs, the whole of it whenever it has changed.
    if (known !== undefined && known.revision !== revision) output.record('journal', known);
    revision = known?.revision ?? revision;
    for (const { state, at } of journal?.entries.slice(told) ?? []) output.notice(`${at}  ${state}`);
    told = Math.max(told, journal?.entries.length ?? 0);
    const lines = journal === undefined ? [] : waitLines(plan, journal);
    if (journal !== undefined && lines.join('\n') !== waits) for (const line of lines) output.notice(line);
    if (journal !== undefined) waits = lines.join('\n');
    output.flush();
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
  await telling;
}

/** What a site says twice: much of what is seen once passes with the step that is under way. */
async function tellTrouble(ports: OrchestratorPorts, output: Output, signal: AbortSignal): Promise<void> {
  let before: readonly string[] = [];
  const told = new Set<string>();
  while (!signal.aborted) {
    await sleep(TROUBLE_MS, undefined, { signal }).catch(() => {});
    const known = await ports.journal.read({ signal }).catch(() => undefined);
    const isUnderWay = known !== undefined && !isFinished(known.journal);
    const now = isUnderWay ? await siteTrouble(ports, known.journal, signal).catch(() => []) : [];
    for (const text of now)
      if (before.includes(text) && !told.has(text)) {
        told.add(text);
        output.notice(text);
      }
    before = now;
  }
}

/** By people or another orchestrator; or some time has passed. */
async function untilChanged(register: JournalRegister, last: FailoverJournal, signal: AbortSignal): Promise<void> {
  const shape = ({ state, decisions, glass }: FailoverJournal): string => JSON.stringify([state, decisions, glass]);
  const again = performance.now() + AGAIN_MS;
  while (performance.now() < again) {
    await sleep(LOOK_MS, undefined, { signal });
    if (shape((await register.read({ signal })).journal) !== shape(last)) return;
  }
}

function tell(output: Output, plan: PlanDocument, journal: FailoverJournal): void {
  const { id, kind, from, to, state, glass } = journal;
  output.line(`${id} (${kind}, ${from} to ${to}): ${state}`);
  if (glass !== null) output.line(`The glass was broken by ${glass.persons.join(' and ')}: ${glass.reason}`);
  for (const [asset, loss] of Object.entries(lossesOf(journal))) output.line(lossText(asset, loss, kind));
  if (state === 'normal') {
    const { file } = (factsOf(journal, 'normal').evidence ?? {}) as { file?: string };
    if (file !== undefined) output.line(`Evidence: ${file}`);
    output.line(`Once ${from} is back: holdfast failover rejoin ${plan.name} --config SITE.yaml`);
  }
  for (const line of waitLines(plan, journal)) output.line(line);
}

/** What it waits for, and what to type. */
function waitLines(plan: PlanDocument, journal: FailoverJournal): string[] {
  if (isFinished(journal) || journal.blockedBy.length === 0) return [];
  return [
    ...journal.blockedBy.map((why) => `BLOCKED: ${why}`),
    ...openDecisions(plan, journal).map(
      (action) => `  holdfast failover decide ${plan.name} ${action} --yes --by NAME --config SITE.yaml`,
    ),
  ];
}

type Told = { readonly newest: string | null; readonly ms: number | null; readonly missingBytes: number | null };

function lossesOf({ actions }: FailoverJournal): Readonly<Record<string, Told>> {
  return (actions.find(({ id }) => id === 'show-loss')?.facts.losses ?? {}) as Record<string, Told>;
}

function lossText(asset: string, { newest, ms, missingBytes }: Told, kind: FailoverJournal['kind']): string {
  if (kind !== 'unplanned') return `Loss of ${asset}: none, it was stopped in order and followed to its end`;
  const work = ms === null ? 'cannot be measured' : `${(ms / 1000).toFixed(1)} s of work (newest heartbeat found: ${newest})`;
  const log =
    missingBytes === null ? 'what the source had stored beyond is unknown' : `${missingBytes} bytes of stored log are missing`;
  return `Loss of ${asset}: ${work}; ${log}`;
}

function summarise({ output, verb }: Invocation, journal: FailoverJournal): void {
  const { id, plan, kind, from, to, state, blockedBy, databases, sealed, glass } = journal;
  output.summary(verb.name, {
    id,
    plan,
    failoverKind: kind,
    from,
    to,
    state,
    left: Math.max(0, FAILOVER_STATES.length - 1 - FAILOVER_STATES.indexOf(state as 'declared')),
    blockedBy: isFinished(journal) ? [] : blockedBy,
    databases,
    sealed,
    losses: lossesOf(journal),
    glass,
    evidence: factsOf(journal, 'normal').evidence ?? null,
  });
}

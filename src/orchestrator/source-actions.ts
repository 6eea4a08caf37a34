// What is done to the side that is left: looked at whether the other is ready, stopped in order or cut off, and its log sealed.

import { setTimeout as sleep } from 'node:timers/promises';
import { isFault } from '../base/faults.ts';
import type { FailoverDatabase, FailoverJournal } from '../dr/failover-journal.ts';
import { factsOf } from '../dr/failover-journal.ts';
import type { PowerOff } from '../dr/fencing.ts';
import type { DatabaseStatus, Sealed, SiteControl } from '../dr/site-control.ts';
import type { LogEnd } from '../dr/writer-record.ts';
import type { FencedFacts } from '../dr/writer-steps.ts';
import { parseDuration } from '../policy/duration.ts';
import { reaches } from './log-ends.ts';
import { runCommand } from './plan-command.ts';
import type { OrchestratorPorts } from './ports.ts';
import type { ActionOutcome } from './run-actions.ts';

/** A site that is lost is not waited for longer. */
const PATIENCE_MS = 5_000;
/** What the source's store still has is waited for as long: it is work of people that would be lost. */
const COPY_MS = 10_000;
const LOOK_MS = 200;
const LAG_MS = 5_000;

/** Before anything is stopped: a target that does not answer, or is not ready for a planned switch, is found out while the source still
 *  serves. */
export async function checkTarget(
  { site, plan }: OrchestratorPorts,
  { databases, to, kind }: FailoverJournal,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const rpoMs = parseDuration(plan.objectives.rpo)!;
  const found = await Promise.all(
    databases.map(async ({ asset, incarnation, target }) => {
      const ask = kind === 'unplanned' ? site(to).status(asset, { signal }) : statusWithLag(site(to), asset, signal);
      const status = await ask;
      const { standby, replica, gate, server, member, noRoom } = status;
      const wrong = [
        ...(status.incarnation === incarnation ? [] : [`it is the incarnation ${status.incarnation}, not ${incarnation}`]),
        ...(member === target ? [] : [`it is called ${member}, not ${target}`]),
        ...(gate.role === 'standby' && server.state === 'standby'
          ? []
          : [`its server is "${server.state}", its gate "${gate.role}"`]),
        ...(standby?.isHealthy === true ? [] : [standby?.problem ?? 'its standby is not healthy']),
        ...(noRoom ? [noRoom] : []),
        ...(standby?.gapAt ? [`log is missing from ${standby.gapAt.lsn} on`] : []),
        ...((replica?.problem ?? null) === null ? [] : [`its replica: ${replica?.problem}`]),
        ...((replica?.lagMs ?? null) === null ? ['nobody knows how far its replica is behind'] : []),
        ...((replica?.lagMs ?? 0) <= rpoMs ? [] : [`its replica is ${replica?.lagMs} ms behind, more than the RPO`]),
      ];
      return {
        asset,
        wrong,
        facts: { lagMs: replica?.lagMs ?? null, behindBytes: standby?.behindBytes ?? null, baseAt: status.base?.at ?? null },
      };
    }),
  );
  const by = found.flatMap(({ asset, wrong }) => wrong.map((why) => `${to} is not ready for ${asset}: ${why}`));
  if (by.length > 0 && kind !== 'unplanned') return { kind: 'blocked', by };
  return { kind: 'done', facts: { notReady: by, databases: Object.fromEntries(found.map(({ asset, facts }) => [asset, facts])) } };
}

/** A daemon that was started just now has not looked at its source yet: it is given time to. */
async function statusWithLag(target: SiteControl, asset: string, signal: AbortSignal): Promise<DatabaseStatus> {
  const until = performance.now() + LAG_MS;
  for (;;) {
    const status = await target.status(asset, { signal });
    if ((status.replica?.lagMs ?? null) !== null || performance.now() >= until) return status;
    await sleep(LOOK_MS, undefined, { signal });
  }
}

export async function demoteOne(
  { site }: OrchestratorPorts,
  { id, from, databases }: FailoverJournal,
  asset: string,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { epoch } = databases.find((one) => one.asset === asset)!;
  const { demotion, storedTo } = await site(from).demote(asset, { epoch, failover: id }, { signal });
  return { kind: 'done', facts: { demotion, storedTo } };
}

/** A site that is lost cannot be told, and need not be: the register withholds what it would renew. */
export async function revokeAtSource(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { id, from, databases } = journal;
  const told = await Promise.all(
    databases.map(({ asset, epoch }) =>
      inPatience(PATIENCE_MS, signal, (s) => site(from).revoke(asset, { epoch, failover: id }, { signal: s })),
    ),
  );
  const facts = databases.map(({ asset }, i) => [asset, told[i]!.kind === 'answer' ? 'revoked' : told[i]!.why]);
  return { kind: 'done', facts: { [from]: Object.fromEntries(facts) } };
}

/** Both commands, the second sees by another way what the first has done. A failure leaves the other proofs. */
export async function cutOff({ plan }: OrchestratorPorts, journal: FailoverJournal, signal: AbortSignal): Promise<ActionOutcome> {
  const { powerOff, readBack, limit } = plan.fencing;
  if (powerOff === undefined || readBack === undefined) return { kind: 'skipped', facts: {} };
  const epoch = Math.max(...journal.databases.map((one) => one.epoch));
  const context = { journal, action: 'fence.power-off', site: journal.from, epoch };
  for (const command of [powerOff, readBack]) {
    const { failure, output } = await runCommand(command, context, parseDuration(limit)!, signal);
    if (failure !== undefined) return { kind: 'skipped', facts: { why: `${command[0]} ${failure}`, output } };
  }
  const proof: PowerOff = { by: powerOff.join(' '), readBackBy: readBack.join(' ') };
  return { kind: 'done', facts: { ...proof } };
}

export function powerOffOf({ actions }: FailoverJournal): PowerOff | undefined {
  const record = actions.find(({ id, outcome }) => id === 'fence.power-off' && outcome === 'done');
  return record?.facts as PowerOff | undefined;
}

type SealedOne = {
  readonly end: LogEnd;
  readonly source: Sealed | null;
  readonly target: Sealed;
  readonly notReached: string | null;
};

export async function sealAll(ports: OrchestratorPorts, journal: FailoverJournal, signal: AbortSignal): Promise<ActionOutcome> {
  const { databases } = journal;
  const sealed = await Promise.all(databases.map((database) => sealOne(ports, journal, database, signal)));
  const by = <T>(of: (one: SealedOne) => T): Record<string, T> =>
    Object.fromEntries(databases.map(({ asset }, i) => [asset, of(sealed[i]!)]));
  const facts = { source: by((one) => one.source), target: by((one) => one.target), notReached: by((one) => one.notReached) };
  return { kind: 'done', facts: { sealed: by((one) => one.end), ...facts } };
}

/** Planned: at the place of the demotion, at both. Unplanned: what the source's store still has is brought over, if both still can. */
async function sealOne(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  { asset, epoch }: FailoverDatabase,
  signal: AbortSignal,
): Promise<SealedOne> {
  const { id, from, to } = journal;
  const of = { epoch, failover: id };
  const demotion = (factsOf(journal, 'fenced') as Partial<FencedFacts>).fencing?.[asset]?.demotion ?? undefined;
  const at = demotion && { timeline: demotion.timeline, lsn: demotion.lsn };
  const source = await inPatience(PATIENCE_MS, signal, (s) => site(from).seal(asset, at ? { ...of, at } : of, { signal: s }));
  const sourceSealed = source.kind === 'answer' ? source.answer : null;
  const notReached = source.kind === 'answer' ? null : source.why;
  if (at !== undefined) {
    const target = await site(to).seal(asset, { ...of, at }, { signal });
    return { end: at, source: sourceSealed, target, notReached };
  }
  const isCopied = sourceSealed !== null && (await untilCopied(site(to), asset, sourceSealed.end, signal));
  const target = await site(to).seal(asset, isCopied ? { ...of, at: sourceSealed.end } : of, { signal });
  // The store of a site that was cut off may hold more; it is told, and exported when that site comes back.
  const end = sourceSealed !== null && !reaches(sourceSealed.end, target.end) ? sourceSealed.end : target.end;
  return { end, source: sourceSealed, target, notReached };
}

/** Or until that takes too long: what is missing then is told. */
async function untilCopied(target: SiteControl, asset: string, end: LogEnd, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + COPY_MS;
  while (performance.now() < until) {
    const { log } = await target.status(asset, { signal });
    if (log !== null && reaches(log, end)) return true;
    await sleep(LOOK_MS, undefined, { signal });
  }
  return false;
}

type Patient<T> = { readonly kind: 'answer'; readonly answer: T } | { readonly kind: 'none'; readonly why: string };

/** Of a site that may be lost. */
async function inPatience<T>(ms: number, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<Patient<T>> {
  const limit = AbortSignal.timeout(ms);
  try {
    return { kind: 'answer', answer: await ask(AbortSignal.any([signal, limit])) };
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit.aborted) return { kind: 'none', why: `no answer within ${ms} ms` };
    if (isFault(error)) return { kind: 'none', why: error.message };
    throw error;
  }
}

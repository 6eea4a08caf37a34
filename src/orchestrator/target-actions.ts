// What is done at the side that takes over: brought up to the sealed log, its loss told, promoted, tested and protected.

import type { FailoverDatabase, FailoverJournal } from '../dr/failover-journal.ts';
import type { RecoveredHeartbeat, Sealed } from '../dr/site-control.ts';
import { consistencyOf } from '../evidence/consistency.ts';
import { isHeartbeatOf } from '../evidence/heartbeat.ts';
import { lostWorkMs } from '../evidence/lost-work.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { formatSpan, parseDuration } from '../policy/duration.ts';
import { broughtOf, filesOf, lossOfFiles, protectFiles } from './files-actions.ts';
import { bytesBetween } from './log-ends.ts';
import type { OrchestratorPorts } from './ports.ts';
import { type ActionOutcome, saidYes, waitsFor } from './run-actions.ts';

export async function catchUpOne(
  { site }: OrchestratorPorts,
  { to, sealed }: FailoverJournal,
  asset: string,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const end = sealed[asset]!;
  const { replayed, isChainVerified } = await site(to).catchUp(asset, end, { signal });
  const facts = { sealed: end, replayed, isChainVerified };
  if (!isChainVerified) return { kind: 'failed', why: 'the chain of its log is not sound', facts };
  return { kind: 'done', facts };
}

/** What was lost of a database, as it is found in what was recovered. */
export type Loss = {
  /** Of the newest heartbeat; null: there is none. */
  readonly newest: string | null;
  readonly sequence: number | null;
  readonly isSigned: boolean;
  /** From the heartbeat to the disaster; null: nobody can tell. */
  readonly ms: number | null;
  /** Log that the source is known to have stored beyond the place where it was sealed; null: the source did not answer. */
  readonly missingBytes: number | null;
};

/** In an unplanned run people decide about a loss above the objective, or one that cannot be told, and about groups whose members do not belong
 *  together as the plan declares. */
export async function showLoss(
  ports: OrchestratorPorts,
  journal: FailoverJournal,
  people: number,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { databases, kind } = journal;
  const losses = await Promise.all(databases.map((database) => lossOf(ports, journal, database, signal)));
  const recovered = Object.fromEntries(databases.map(({ asset }) => [asset, recoveredOf(journal, asset)]));
  const files = filesOf(ports.plan);
  const facts = { losses: Object.fromEntries(databases.map(({ asset }, i) => [asset, losses[i]!])), recovered };
  if (kind !== 'unplanned') return { kind: 'done', facts };
  const rpoMs = parseDuration(ports.plan.objectives.rpo)!;
  const above = databases.flatMap(({ asset }, i) => {
    const { ms, isSigned, newest } = losses[i]!;
    if (!isSigned) return [`${asset}: its loss cannot be measured, no signed heartbeat was found in it`];
    if (ms === null)
      return [`${asset}: its loss cannot be measured, the clocks of the sites differ: its newest heartbeat is of ${newest}`];
    return ms <= rpoMs ? [] : [`${asset}: work of ${(ms / 1000).toFixed(1)} s is lost, more than the RPO of ${formatSpan(rpoMs)}`];
  });
  const lost = new Map(files.map((asset) => [asset, lossOfFiles(journal, asset, disasterOf(journal), ports.now())]));
  for (const [asset, ms] of lost)
    if (ms === null) above.push(`${asset}: its loss cannot be measured, nobody knows from which recovery point it came`);
    else if (ms > rpoMs)
      above.push(`${asset}: work of ${(ms / 1000).toFixed(1)} s is lost, more than the RPO of ${formatSpan(rpoMs)}`);
  const copies = files.map((asset) => [asset, { at: broughtOf(journal, asset)?.at ?? null, isWhole: false }] as const);
  above.push(...apart(ports.plan, { ...recovered, ...Object.fromEntries(copies) }));
  if (above.length === 0) return { kind: 'done', facts };
  const yes = saidYes(journal, 'show-loss');
  if (yes.length >= people) return { kind: 'done', facts: { ...facts, acceptedBy: yes } };
  return { kind: 'blocked', by: [...above, waitsFor('show-loss', `${people} must accept the loss, ${yes.length} did`)] };
}

async function lossOf(
  { site, trusted, now }: OrchestratorPorts,
  journal: FailoverJournal,
  { asset }: FailoverDatabase,
  signal: AbortSignal,
): Promise<Loss> {
  const { to, sealed, kind } = journal;
  const { heartbeat, systemId }: RecoveredHeartbeat = await site(to).loss(asset, { signal });
  const isSigned = heartbeat !== null && isHeartbeatOf(heartbeat, { asset, systemId }, trusted);
  const source = sealOf(journal, 'source', asset);
  const missingBytes = kind !== 'unplanned' ? 0 : source === null ? null : bytesBetween(sealed[asset]!, source.end);
  const [foundMs, disasterMs] = [now().getTime(), Date.parse(disasterOf(journal))];
  const ms = heartbeat === null ? null : lostWorkMs({ newestMs: Date.parse(heartbeat.at), foundMs, disasterMs });
  return { newest: heartbeat?.at ?? null, sequence: heartbeat?.sequence ?? null, isSigned, ms, missingBytes };
}

/** What became of an asset: when the newest work in it was done, null when nobody knows, and whether nothing is missing in it. */
export type RecoveredTo = { readonly at: string | null; readonly isWhole: boolean };

/** A primary that stopped in order, and all of whose log was replayed, has lost nothing. */
function recoveredOf(journal: FailoverJournal, asset: string): RecoveredTo {
  return { at: sealOf(journal, 'target', asset)?.lastTransactionAt ?? null, isWhole: journal.kind !== 'unplanned' };
}

/** Groups between whose members less holds than the plan declares. */
function apart({ groups }: PlanDocument, recovered: Readonly<Record<string, RecoveredTo>>): string[] {
  const all = Object.entries(recovered).map(([of, value]) => ({ of, value }));
  return groups.flatMap((group) => {
    const found = consistencyOf(group, all)?.value;
    if (found === undefined || found.isKept === true) return [];
    const spread = found.spreadMs === null ? 'nobody knows how far apart' : `${Number(found.spreadMs) / 1000} s apart`;
    const declared = found.declared === 'barrier' ? 'a barrier' : `at most ${group.epsilon}`;
    return [`the members of the group "${group.name}" are ${spread}; the plan declares ${declared}`];
  });
}

export function disasterOf({ disaster, entries }: FailoverJournal): string {
  return disaster ?? entries[0]!.at;
}

type Seals = Partial<Record<'source' | 'target', Record<string, Sealed | null>>>;

function sealOf({ actions }: FailoverJournal, at: 'source' | 'target', asset: string): Sealed | null {
  return (actions.find(({ id }) => id === 'seal')?.facts as Seals | undefined)?.[at]?.[asset] ?? null;
}

export async function promoteOne(
  { site }: OrchestratorPorts,
  { id, to, databases }: FailoverJournal,
  asset: string,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { epoch } = databases.find((one) => one.asset === asset)!;
  return { kind: 'done', facts: await site(to).promoted(asset, { epoch: epoch + 1, failover: id }, { signal }) };
}

/** By asset, of all databases. */
export async function ofEach<T>(
  { databases }: FailoverJournal,
  ask: (database: FailoverDatabase) => Promise<T>,
): Promise<Readonly<Record<string, T>>> {
  const answers = await Promise.all(databases.map(async (database) => [database.asset, await ask(database)] as const));
  return Object.fromEntries(answers);
}

export async function testWrites(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  return { kind: 'done', facts: await ofEach(journal, ({ asset }) => site(journal.to).writeTest(asset, { signal })) };
}

export async function verifyPages(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const facts = await ofEach(journal, ({ asset }) => site(journal.to).verifyPages(asset, { signal }));
  const damaged = Object.entries(facts).flatMap(([asset, one]) => one.damaged.map((what) => `${asset}: ${what}`));
  if (damaged.length === 0) return { kind: 'done', facts };
  return { kind: 'failed', why: `damage was found: ${damaged.slice(0, 5).join('; ')}`, facts };
}

export async function protect(ports: OrchestratorPorts, journal: FailoverJournal, signal: AbortSignal): Promise<ActionOutcome> {
  const { site } = ports;
  const { id, to } = journal;
  const facts = await ofEach(journal, ({ asset, epoch }) =>
    site(to).protect(asset, { epoch: epoch + 1, failover: id }, { signal }),
  );
  return { kind: 'done', facts: { ...facts, ...(await protectFiles(ports, journal, signal)) } };
}

// Files and volumes of a plan: backed up once more where they are left, brought to a recovery point where they go, read again there. A site whose
// configuration does not know them says so, and people do it and say that they have: then nothing of it is measured, and nothing claimed.

import { isFault } from '../base/faults.ts';
import type { FailoverJournal } from '../dr/failover-journal.ts';
import type { FilesBrought, PointOfFiles } from '../dr/site-control.ts';
import { lostWorkMs } from '../evidence/lost-work.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import type { OrchestratorPorts } from './ports.ts';
import { type ActionOutcome, saidYes, waitsFor } from './run-actions.ts';

type FilesAction = { readonly id: string; readonly asset: string; readonly group: string };

/** Done when the other site has it. */
export function keepFiles(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  action: FilesAction,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { id: failover, from, to } = journal;
  return orByPeople(journal, action, `backed up at ${from}, and its backup copied to ${to}`, async () => {
    const kept = await site(from).keep(action.asset, { failover }, { signal });
    await site(to).point(action.asset, { snapshot: kept.snapshot }, { signal });
    return { kind: 'done', facts: kept };
  });
}

/** In a planned switch what was backed up last; else the newest that has come over. */
export function bringFiles(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  action: FilesAction,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { id: failover, to, databases } = journal;
  return orByPeople(journal, action, `brought to the newest recovery point of the replica at ${to}`, async () => {
    const epoch = Math.max(...databases.map((one) => one.epoch));
    const { snapshot = null } = factsOfAction<Partial<PointOfFiles>>(journal, `${action.group}.backup.${action.asset}`);
    return { kind: 'done', facts: await site(to).bring(action.asset, { epoch, failover, snapshot }, { signal }) };
  });
}

export function compareFiles(
  { site }: OrchestratorPorts,
  journal: FailoverJournal,
  action: FilesAction,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const { to } = journal;
  return orByPeople(journal, action, `made writable at ${to}`, async () => {
    const { snapshot } = broughtOf(journal, action.asset) ?? {};
    if (snapshot === undefined) return { kind: 'skipped', facts: { why: 'people brought it here; nobody knows from what' } };
    const compared = await site(to).compare(action.asset, { snapshot }, { signal });
    const { differing } = compared;
    if (differing.length === 0) return { kind: 'done', facts: compared };
    return { kind: 'failed', why: `it is not as in its recovery point: ${differing.join('; ')}`, facts: compared };
  });
}

/** At the side that took over: its first backup of its own. */
export async function protectFiles(
  { site, plan }: OrchestratorPorts,
  { id: failover, to }: FailoverJournal,
  signal: AbortSignal,
): Promise<Readonly<Record<string, PointOfFiles | string>>> {
  const found: Record<string, PointOfFiles | string> = {};
  for (const asset of filesOf(plan))
    try {
      found[asset] = await site(to).keep(asset, { failover }, { signal });
    } catch (error) {
      // A file that changes while it is read, or a site that leaves its backups to a policy: told, and no reason to stand still.
      if (!isFault(error, 'SITE_UNKNOWN_ASSET', 'SOURCE_UNREADABLE')) throw error;
      found[asset] = error.message;
    }
  return found;
}

export function filesOf({ groups }: PlanDocument): readonly string[] {
  return groups.flatMap(({ members }) => members.flatMap(({ kind, asset }) => (kind === 'postgres' ? [] : [asset])));
}

/** What was brought over by a site; undefined: by people, or not yet. */
export function broughtOf({ actions }: FailoverJournal, asset: string): FilesBrought | undefined {
  const record = actions.find(({ id, outcome }) => id.endsWith(`.catch-up.${asset}`) && outcome === 'done');
  const facts = record?.facts as Partial<FilesBrought> | undefined;
  return facts?.snapshot === undefined ? undefined : (facts as FilesBrought);
}

/** Work that is lost, in ms: from the beginning of the backup that was restored to the disaster. Null: nobody can tell. */
export function lossOfFiles(journal: FailoverJournal, asset: string, disaster: string, foundAt: Date): number | null {
  const brought = broughtOf(journal, asset);
  if (brought === undefined) return null;
  return lostWorkMs({ newestMs: Date.parse(brought.at), foundMs: foundAt.getTime(), disasterMs: Date.parse(disaster) });
}

function factsOfAction<T>({ actions }: FailoverJournal, id: string): T {
  return (actions.find((one) => one.id === id)?.facts ?? {}) as T;
}

async function orByPeople(
  journal: FailoverJournal,
  { id, asset }: FilesAction,
  what: string,
  work: () => Promise<ActionOutcome>,
): Promise<ActionOutcome> {
  const by = saidYes(journal, id);
  if (by.length > 0) return { kind: 'done', facts: { by } };
  try {
    return await work();
  } catch (error) {
    if (!isFault(error, 'SITE_UNKNOWN_ASSET')) throw error;
    return { kind: 'blocked', by: [waitsFor(id, `${asset} has to be ${what} by hand (${error.message})`)] };
  }
}

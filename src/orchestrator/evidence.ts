// The evidence of a failover: its journal, told as measurements. Nothing else goes in, so whoever makes it again makes the same.

import type { ActionRecord, FailoverJournal } from '../dr/failover-journal.ts';
import { factsOf } from '../dr/failover-journal.ts';
import type { CaughtUp, FilesBrought, FilesCompared, PagesVerified, WriteTested } from '../dr/site-control.ts';
import type { FencedFacts } from '../dr/writer-steps.ts';
import { type Measurement, measured, type NewMeasurement, type Scalar } from '../evidence/measurement.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { type PlanAction, planRun } from '../plan/plan-run.ts';
import { broughtOf, filesOf } from './files-actions.ts';
import type { EvidenceOfRun } from './ports.ts';
import { disasterOf, type Loss, type RecoveredTo } from './target-actions.ts';

const TEXT_MAX = 1000;

export function evidenceOf(plan: PlanDocument, journal: FailoverJournal): EvidenceOfRun {
  const id = `evd-${journal.id}`;
  const told = [
    ...people(journal),
    declaration(journal),
    ...fencing(journal),
    ...actionsOf(plan, journal),
    ...facts(plan, journal),
  ];
  const measurements = told.reduce<Measurement[]>((chain, one) => measured(id, chain, one), []);
  const createdAt = journal.entries.findLast(({ state }) => state === 're-protecting')?.at ?? journal.entries.at(-1)!.at;
  return { id, kind: journal.kind, createdAt, plan, measurements, attachments: [] };
}

function people({ approvers, decisions, glass, entries }: FailoverJournal): NewMeasurement[] {
  const at = entries[0]!.at;
  const approval = (name: string, role: string, decision: string, when: string): NewMeasurement => ({
    kind: 'approval',
    at: when,
    of: 'failover',
    how: 'as typed at the command line, in the journal',
    value: { name, role, decision },
  });
  return [
    ...approvers.map((name) => approval(name, 'approver', 'yes', at)),
    ...(glass?.persons ?? []).map((name) => approval(name, `break-glass: ${glass!.reason}`, 'yes', glass!.at)),
    ...decisions.map(({ action, answer, by, at: when }) => approval(by, action, answer, when)),
  ];
}

function declaration(journal: FailoverJournal): NewMeasurement {
  const { from, reason, entries } = journal;
  const declared = entries[0]!.at;
  return {
    kind: 'declaration',
    at: declared,
    of: from,
    how: `declared: ${reason}`,
    value: { declared, disaster: disasterOf(journal) },
  };
}

function fencing(journal: FailoverJournal): NewMeasurement[] {
  const at = journal.entries.findLast(({ state }) => state === 'fenced')?.at;
  const all = (factsOf(journal, 'fenced') as Partial<FencedFacts>).fencing ?? {};
  return Object.entries(all).map(([asset, { proof, demotion, revision }]) => ({
    kind: 'fencing',
    at: at!,
    of: asset,
    how: 'the writer register, and the rules of fencing over it',
    value: { proof, revision, text: demotion === null ? '' : `demoted at ${demotion.lsn} of timeline ${demotion.timeline}` },
  }));
}

function actionsOf(plan: PlanDocument, journal: FailoverJournal): NewMeasurement[] {
  const byId = new Map(planRun(plan, journal.kind).map((action) => [action.id, action]));
  const records = [...journal.actions].sort((a, b) => a.endedAt.localeCompare(b.endedAt));
  return records.flatMap((record) => {
    const action = byId.get(record.id);
    return action === undefined ? [] : [actionMeasured(action, record), ...foundBy(action, record, journal)];
  });
}

function actionMeasured(
  action: PlanAction,
  { id, startedAt, endedAt, outcome, facts: { why, output } }: ActionRecord,
): NewMeasurement {
  const text = [why, output].filter((one) => typeof one === 'string' && one !== '').join(': ');
  const value = { action: id, state: action.state, startedAt, endedAt, outcome, text: text.slice(0, TEXT_MAX) };
  return { kind: 'action', at: endedAt, of: id, how: howOf(action), value };
}

function howOf(action: PlanAction): string {
  if (action.kind === 'builtin') return action.action;
  if (action.kind === 'gate') return `asked: ${action.step.gate}`;
  return ((action.kind === 'route' ? action.route.command : action.step.command) ?? []).join(' ').slice(0, TEXT_MAX);
}

/** What an action has measured, beside that it took place. */
function foundBy(action: PlanAction, { endedAt, outcome, facts }: ActionRecord, journal: FailoverJournal): NewMeasurement[] {
  const one = (kind: Measurement['kind'], of: string, how: string, value: Record<string, Scalar>): NewMeasurement => ({
    kind,
    at: endedAt,
    of,
    how,
    value,
  });
  if (action.kind === 'step' && action.id.startsWith('smoke.')) {
    const text = String(facts.output ?? facts.why ?? '').slice(0, TEXT_MAX);
    return [one('smoke', action.step.name, howOf(action), { status: outcome === 'done' ? 0 : Number(facts.status ?? -1), text })];
  }
  if (action.kind !== 'builtin' || outcome !== 'done') return [];
  switch (action.action) {
    case 'catch-up': {
      const { replayed, isChainVerified } = facts as unknown as CaughtUp;
      const sealed = journal.sealed[action.asset!]!;
      const value = { sealed: sealed.lsn, timeline: sealed.timeline, replayed: replayed.lsn, isChainVerified };
      return [
        one('log-end', action.asset!, 'replay position of the standby', {
          ...value,
          missingBytes: lossOf(journal, action.asset!)?.missingBytes ?? null,
        }),
      ];
    }
    case 'show-loss':
      return [
        ...Object.entries((facts.losses ?? {}) as Record<string, Loss>).map(([asset, { newest, sequence, isSigned, ms }]) =>
          one('heartbeat', asset, 'SELECT from holdfast.heartbeat in the recovered data', { newest, sequence, isSigned, ms }),
        ),
        ...Object.entries((facts.recovered ?? {}) as Record<string, RecoveredTo>).map(([asset, value]) =>
          one('recovered', asset, 'newest transaction in the sealed log', { ...value, point: null, isQuiet: false }),
        ),
      ];
    case 'refresh': {
      const { snapshot, at, entries, bytes, bytesFetched, setAside, aside } = facts as Partial<FilesBrought>;
      if (snapshot === undefined) return [];
      const told = { snapshot, entries: entries!, bytes: bytes!, bytesFetched: bytesFetched!, setAside: setAside!, aside: aside! };
      const value = { at: at!, isWhole: false, point: null, isQuiet: false, ...told };
      return [one('recovered', action.asset!, 'the beginning of the backup that was restored', value)];
    }
    case 'bring-up': {
      const { entries, differing } = facts as Partial<FilesCompared>;
      if (entries === undefined) return [];
      const value = { checked: entries, damaged: differing!.length };
      return [one('pages', action.asset!, 'everything read again and compared with the backup', value)];
    }
    case 'write-test':
      return Object.entries(facts as Record<string, WriteTested>).map(([asset, { committedAt, sequence, timeline }]) =>
        // When whoever declared it had the answer: one clock for both ends of the RTO.
        one('first-write', asset, 'a heartbeat row, committed', {
          at: endedAt,
          committedAt,
          position: `row ${sequence} on timeline ${timeline}`,
        }),
      );
    case 'verify-pages':
      return Object.entries(facts as Record<string, PagesVerified>).map(([asset, { pages, indexes, damaged, notVerified }]) =>
        one('pages', asset, 'checksums of pages, amcheck of indexes', {
          checked: pages + indexes,
          damaged: damaged.length,
          notVerified: notVerified.join('; ').slice(0, TEXT_MAX),
        }),
      );
    default:
      return [];
  }
}

function lossOf({ actions }: FailoverJournal, asset: string): Loss | undefined {
  const losses = actions.find(({ id }) => id === 'show-loss')?.facts.losses as Record<string, Loss> | undefined;
  return losses?.[asset];
}

/** What levels are judged by, as far as a failover shows it; of several members the worst. */
function facts(plan: PlanDocument, journal: FailoverJournal): NewMeasurement[] {
  const { actions, entries, to } = journal;
  const at = entries.at(-1)!.at;
  const of = `site ${to}`;
  const checked = actions.find(({ id }) => id === 'check-target');
  const states = Object.values((checked?.facts.databases ?? {}) as Record<string, { lagMs: number | null; baseAt: string | null }>);
  const worst = (values: readonly (number | null)[]): number | null =>
    values.length === 0 || values.some((one) => one === null) ? null : Math.max(...values.map(Number));
  const age = (text: string | null): number | null =>
    text === null ? null : Math.max(0, Date.parse(checked!.endedAt) - Date.parse(text)) / 1000;
  const lagMs = worst(states.map(({ lagMs: one }) => one));
  // What people brought has no known age.
  const backups = filesOf(plan).map((asset) => broughtOf(journal, asset)?.at ?? null);
  const routes = (plan.routes ?? []).map(({ name }) => actions.find(({ id }) => id === `route.${name}`)?.outcome === 'done');
  const found: readonly (readonly [string, Scalar])[] = [
    ['hasPlan', true],
    ['planRunAgeSeconds', 0],
    ['copyOffSite', true],
    ['replicaLagSeconds', lagMs === null ? null : lagMs / 1000],
    ['fullBackupAgeSeconds', worst([...states.map(({ baseAt }) => baseAt), ...backups].map(age))],
    ['routesSwitched', routes.length > 0 && routes.every(Boolean)],
  ];
  return found.map(([name, value]) => ({ kind: 'fact', at, of, how: 'seen in this failover', value: { name, value } }));
}

// Declaring a failover of a plan: which way it goes is not said but seen, from who holds the right to write now. All databases of a plan are
// at one site, and go to the other together.

import { randomBytes } from 'node:crypto';
import { Fault } from '../base/faults.ts';
import { declareFailover } from '../dr/failover.ts';
import {
  type FailoverDatabase,
  type FailoverJournal,
  isFinished,
  JournalRegister,
  planOfFailover,
} from '../dr/failover-journal.ts';
import { givenBack, type WriterRecord } from '../dr/writer-record.ts';
import { WriterRegister } from '../dr/writer-register.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { DAY_MS } from '../policy/duration.ts';
import type { Registry } from '../registry/registry.ts';
import { keepPlan } from './kept-plan.ts';
import { differentPeople } from './people.ts';

export type DeclareOptions = {
  readonly registry: Registry;
  readonly plan: PlanDocument;
  readonly kind: FailoverJournal['kind'];
  readonly reason: string;
  /** Who declares it is the first of those who approve. */
  readonly by: string;
  /** Its id; absent: a new one. The same one said again is the same failover, however far that is. */
  readonly id?: string | undefined;
  readonly approvers: readonly string[];
  /** When it is said to have happened; absent: now. */
  readonly disaster?: Date | undefined;
  /** When it was asked for, if that was not now: what was meant then may have been done since, and would be done backwards. */
  readonly askedAt?: Date | undefined;
  /** Of an asset of the plan; undefined: unknown here. */
  readonly incarnationOf: (asset: string) => string | undefined;
  readonly now: () => Date;
};

/** FAILOVER_RUNNING, FAILOVER_OVER, FAILOVER_NOT_APPROVED, FAILOVER_NO_TARGET, DR_NOT_REGISTERED. */
export async function declare(options: DeclareOptions): Promise<FailoverJournal> {
  const { registry, plan, kind, reason, by, approvers: more, disaster, now } = options;
  const approvers = differentPeople([by, ...more]);
  const needed = kind === 'unplanned' ? plan.approvals.unplanned : plan.approvals.planned;
  if (approvers.length < needed)
    throw new Fault(
      'FAILOVER_NOT_APPROVED',
      `${needed} people approve this failover; ${approvers.length} did: ${approvers.join(', ')}`,
    );
  const journal = new JournalRegister(registry, plan.name);
  const known = options.id === undefined ? undefined : await journal.declared(options.id);
  if (known !== undefined) return known.journal;
  if (options.askedAt !== undefined) mustBeMeant(options.askedAt, (await journal.find())?.journal, now());
  const found = await writersOf(options);
  const records = new Map<string, WriterRecord>();
  for (const [asset, record] of found) records.set(asset, await freed(registry, asset, record));
  const { from, to } = directionOf(plan, kind, [...records.values()]);
  const databases = [...records].map(([asset, record]): FailoverDatabase => {
    const target = record.candidates.find(({ site }) => site === to);
    if (target === undefined)
      throw new Fault('FAILOVER_NO_TARGET', `${asset} has no standby at ${to} that is registered as a candidate`);
    return { asset, incarnation: record.incarnation, target: target.name, epoch: record.epoch };
  });
  const digest = await keepPlan(registry, plan);
  const id = options.id ?? `${now().toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(5).toString('hex')}`;
  const told = { kind, from, to, databases, reason, approvers, disaster: disaster?.toISOString() ?? null };
  return (await declareFailover(journal, { id, plan: plan.name, planDigest: digest, ...told }, now)).journal;
}

/** FAILOVER_OVER. Which way a failover goes is seen when it is declared: one that is late would lead back. */
function mustBeMeant(askedAt: Date, newest: FailoverJournal | undefined, now: Date): void {
  const asked = `It was asked for at ${askedAt.toISOString()}`;
  if (newest !== undefined && Date.parse(newest.entries[0]!.at) > askedAt.getTime())
    throw new Fault(
      'FAILOVER_OVER',
      `${asked}, and the failover ${newest.id} of ${newest.plan} was declared since: ask for it anew`,
    );
  if (now.getTime() - askedAt.getTime() > DAY_MS)
    throw new Fault('FAILOVER_OVER', `${asked}, more than a day ago: ask for it anew`);
}

/** FAILOVER_RUNNING while another plan's failover holds it: nothing of this one could be done. What one that is over has left there, because somebody
 *  slept over its end, is taken away: nobody else would. */
async function freed(registry: Registry, asset: string, found: WriterRecord): Promise<WriterRecord> {
  const { failover, incarnation } = found;
  if (failover === null) return found;
  const plan = await planOfFailover(registry, failover);
  const newest = plan === undefined ? undefined : (await new JournalRegister(registry, plan).find())?.journal;
  // One that is not known may be under way.
  const isOver = newest !== undefined && (newest.id !== failover || isFinished(newest));
  if (!isOver)
    throw new Fault(
      'FAILOVER_RUNNING',
      `${asset} is held by the failover ${failover}${newest === undefined ? '' : ` of ${plan}, which is "${newest.state}"`}`,
    );
  const register = new WriterRegister(registry, incarnation);
  await register.change((record) => givenBack(record, failover));
  return (await register.read()).record;
}

/** By asset, in the order of the plan: who may write each of its databases. */
export async function writersOf({
  registry,
  plan,
  incarnationOf,
}: Pick<DeclareOptions, 'registry' | 'plan' | 'incarnationOf'>): Promise<ReadonlyMap<string, WriterRecord>> {
  const assets = plan.groups.flatMap(({ members }) => members.filter(({ kind }) => kind === 'postgres').map(({ asset }) => asset));
  if (assets.length === 0) throw new Fault('FAILOVER_NO_TARGET', `The plan ${plan.name} has no database`);
  const records = new Map<string, WriterRecord>();
  for (const asset of assets) {
    const incarnation = incarnationOf(asset);
    if (incarnation === undefined)
      throw new Fault('DR_NOT_REGISTERED', `The database ${asset} is not in the configuration of this site`);
    records.set(asset, (await new WriterRegister(registry, incarnation).read()).record);
  }
  return records;
}

type Direction = { readonly from: string; readonly to: string };

function directionOf({ name, sites }: PlanDocument, kind: FailoverJournal['kind'], records: readonly WriterRecord[]): Direction {
  const at = [...new Set(records.map(({ holder }) => holder.site))];
  const wrong = (why: string): Fault =>
    new Fault('FAILOVER_NO_TARGET', `The databases of ${name} are at ${at.join(' and ')}: ${why}`);
  const from = at.length === 1 ? at[0]! : '';
  if (from !== sites.source && from !== sites.target)
    throw wrong(`the plan leads from ${sites.source} to ${sites.target}, all of them together`);
  const isForward = from === sites.source;
  if (kind === 'planned' && !isForward) throw wrong('the way back to the source of the plan is a failback');
  if (kind === 'failback' && isForward) throw wrong('a failback leads from the target of the plan to its source');
  return isForward ? { from: sites.source, to: sites.target } : { from: sites.target, to: sites.source };
}

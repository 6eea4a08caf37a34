// Whether a plan could be carried out now, and what has drifted since it was written: looked at every day, so that it is not found out on the
// day of the disaster. Nothing is changed.

import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isFault } from '../base/faults.ts';
import { isFinished, JournalRegister } from '../dr/failover-journal.ts';
import type { DatabaseStatus, SiteControl } from '../dr/site-control.ts';
import type { WriterRecord } from '../dr/writer-record.ts';
import { planDigest } from '../plan/plan-digest.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { programsOf } from '../plan/plan-programs.ts';
import { epochOfRoute } from '../plan/route-config.ts';
import { formatSpan, parseDuration } from '../policy/duration.ts';
import type { Registry } from '../registry/registry.ts';
import { readRoute } from './apply-route.ts';
import { writersOf } from './declare.ts';
import { filesOf } from './files-actions.ts';

const SITE_TIMEOUT_MS = 10_000;
const STALLED_MS = 60_000;

export type ReadinessCheck = {
  /** "plan", "standby of pg/portal", "command /usr/bin/true". */
  readonly what: string;
  readonly isReady: boolean;
  /** What was found, or what is wrong. */
  readonly text: string;
};

export type ReadinessOptions = {
  readonly registry: Registry;
  readonly plan: PlanDocument;
  readonly site: (name: string) => SiteControl;
  readonly incarnationOf: (asset: string) => string | undefined;
  /** The digest that stands on the printed runbook. */
  readonly digest?: string | undefined;
  /** When the plan was last proven to work, by evidence that verifies. */
  readonly provenAt: Date | undefined;
  readonly now: () => Date;
  readonly signal: AbortSignal;
};

export async function checkReadiness(options: ReadinessOptions): Promise<readonly ReadinessCheck[]> {
  const { plan } = options;
  const checks = [planCheck(options), await failoverCheck(options), provenCheck(options), ...commandChecks(plan)];
  const records = await asked('writer', () => writersOf(options));
  if ('isReady' in records) return [...checks, records];
  const databases = await Promise.all([...records].map(([asset, record]) => databaseChecks(options, asset, record)));
  const holders = [...new Set([...records.values()].map(({ holder }) => holder.site))];
  const files = await Promise.all(filesOf(plan).map((asset) => filesCheck(options, asset, holders[0]!)));
  return [...checks, ...databases.flat(), ...files, ...routeChecks(plan, [...records.values()])];
}

function planCheck({ plan, digest }: ReadinessOptions): ReadinessCheck {
  const own = planDigest(plan);
  const isReady = digest === undefined || own.startsWith(digest);
  return { what: 'plan', isReady, text: isReady ? own : `its digest is ${own}; the runbook that was printed is of ${digest}` };
}

async function failoverCheck({ registry, plan }: ReadinessOptions): Promise<ReadinessCheck> {
  const found = await asked('failover', async () => ({ known: await new JournalRegister(registry, plan.name).find() }));
  if ('isReady' in found) return found;
  const { known } = found;
  const isReady = known === undefined || isFinished(known.journal);
  const text = known === undefined ? 'there was none' : `the failover ${known.journal.id} is "${known.journal.state}"`;
  return { what: 'failover', isReady, text };
}

function provenCheck({ plan, provenAt, now }: ReadinessOptions): ReadinessCheck {
  const every = plan.drill?.every;
  const ageMs = provenAt === undefined ? undefined : now().getTime() - provenAt.getTime();
  const text = ageMs === undefined ? 'there is no evidence that it works' : `proven ${formatSpan(Math.max(0, ageMs))} ago`;
  const isReady = every === undefined || (ageMs !== undefined && ageMs <= parseDuration(every)!);
  return { what: 'proof', isReady, text: isReady ? text : `${text}; it is to be rehearsed every ${every}` };
}

/** Where the orchestrator runs. */
function commandChecks(plan: PlanDocument): ReadinessCheck[] {
  return [...new Set(programsOf(plan))].map((program) => ({ what: `command ${program}`, ...programState(program) }));
}

function programState(program: string): Omit<ReadinessCheck, 'what'> {
  try {
    accessSync(program, constants.X_OK);
    const stat = statSync(program);
    if (!stat.isFile()) return { isReady: false, text: 'it is no file' };
    if ((stat.mode & 0o022) !== 0) return { isReady: false, text: 'others than its owner may change it' };
    return { isReady: true, text: 'it can be run' };
  } catch (error) {
    return { isReady: false, text: `it cannot be run: ${(error as NodeJS.ErrnoException).code}` };
  }
}

async function databaseChecks(options: ReadinessOptions, asset: string, record: WriterRecord): Promise<ReadinessCheck[]> {
  const { plan, site, signal } = options;
  const from = record.holder.site;
  const to = from === plan.sites.source ? plan.sites.target : plan.sites.source;
  const ask = (name: string) =>
    asked(`site ${name} for ${asset}`, () =>
      site(name).status(asset, { signal: AbortSignal.any([signal, AbortSignal.timeout(SITE_TIMEOUT_MS)]) }),
    );
  const [primary, standby] = await Promise.all([ask(from), ask(to)]);
  return [
    writerCheck(plan, asset, record, to),
    'isReady' in primary ? primary : primaryCheck(asset, primary, record),
    ...('isReady' in standby ? [standby] : [standbyCheck(asset, standby, record), lagCheck(plan, asset, standby)]),
  ];
}

function writerCheck({ lease, fencing }: PlanDocument, asset: string, record: WriterRecord, to: string): ReadinessCheck {
  const wrong = [
    ...(record.candidates.some((one) => one.site === to) ? [] : [`no standby at ${to} is registered`]),
    ...(record.state === 'open' ? [] : [`renewals are "${record.state}"`]),
    ...(record.onLeaseLoss === lease.onLeaseLoss
      ? []
      : [`when its lease ends it does "${record.onLeaseLoss}", the plan says "${lease.onLeaseLoss}"`]),
    ...(record.terms.ttlMs === parseDuration(lease.ttl)
      ? []
      : [`its lease is ${record.terms.ttlMs} ms, the plan says ${lease.ttl}`]),
    ...(record.terms.marginMs === parseDuration(lease.margin)
      ? []
      : [`the margin of its lease is ${record.terms.marginMs} ms, the plan says ${lease.margin}`]),
    ...(fencing.proofs.includes('expiry') && record.watchdog !== 'armed'
      ? ['its watchdog is not armed: the end of its lease proves nothing']
      : []),
  ];
  return check(`writer of ${asset}`, wrong, `epoch ${record.epoch} at ${record.holder.site}`);
}

function primaryCheck(asset: string, status: DatabaseStatus, record: WriterRecord): ReadinessCheck {
  const { site, gate, server, capture, noRoom } = status;
  const wrong = [
    ...(noRoom ? [noRoom] : []),
    ...sealedAhead(status, record),
    ...(gate.role === 'primary' && server.state === 'read-write'
      ? []
      : [`its gate is "${gate.role}", its server "${server.state}"`]),
    ...(gate.problem === null ? [] : [gate.problem]),
    ...(capture === null ? ['its log is not captured'] : []),
    ...(capture?.problem ? [capture.problem] : []),
    ...((capture?.stalledMs ?? 0) > STALLED_MS ? [`no log was stored for ${capture!.stalledMs} ms`] : []),
  ];
  return check(`primary of ${asset}`, wrong, `writable at ${site}`);
}

function standbyCheck(asset: string, status: DatabaseStatus, record: WriterRecord): ReadinessCheck {
  const { site, gate, standby, base, noRoom } = status;
  const wrong = [
    ...(noRoom ? [noRoom] : []),
    ...sealedAhead(status, record),
    ...(gate.role === 'standby' ? [] : [`its gate is "${gate.role}"`]),
    ...(standby?.isHealthy === true ? [] : [standby?.problem ?? 'it is not healthy']),
    ...(standby?.gapAt ? [`log is missing from ${standby.gapAt.lsn} on`] : []),
    ...(base === null ? ['no base backup leads to the end of the log there'] : []),
  ];
  return check(`standby of ${asset}`, wrong, `healthy at ${site}, ${standby?.behindBytes ?? 0} bytes to replay`);
}

/** A register that was lost with its quorum and made anew counts from the first epoch; what sites have sealed counts on, and no seal would follow. */
function sealedAhead({ sealed }: DatabaseStatus, { epoch }: WriterRecord): readonly string[] {
  if (sealed === null || sealed.epoch < epoch) return [];
  return [`it has sealed epoch ${sealed.epoch}, the register says ${epoch}: no failover can seal before that is over`];
}

function lagCheck({ objectives }: PlanDocument, asset: string, { replica }: DatabaseStatus): ReadinessCheck {
  const what = `replica of ${asset}`;
  if (replica === null) return { what, isReady: false, text: 'its repository is no replica of the other site' };
  const { lagMs, problem } = replica;
  const isLate = lagMs === null || lagMs > parseDuration(objectives.rpo)!;
  const wrong = [
    ...(problem === null ? [] : [problem]),
    ...(isLate ? [`it is ${lagMs === null ? 'nobody knows how far' : `${lagMs} ms`} behind; the RPO is ${objectives.rpo}`] : []),
  ];
  return check(what, wrong, `${lagMs} ms behind`);
}

/** Of files and volumes: what would be brought to the other side now. */
async function filesCheck({ plan, site, now, signal }: ReadinessOptions, asset: string, from: string): Promise<ReadinessCheck> {
  const to = from === plan.sites.source ? plan.sites.target : plan.sites.source;
  const what = `recovery point of ${asset}`;
  const found = await asked(what, () =>
    site(to).point(asset, { snapshot: null }, { signal: AbortSignal.any([signal, AbortSignal.timeout(SITE_TIMEOUT_MS)]) }),
  );
  if ('isReady' in found) return found;
  const ageMs = Math.max(0, now().getTime() - Date.parse(found.at));
  const text = `${found.snapshot} at ${to}, ${formatSpan(ageMs)} old`;
  const isReady = ageMs <= parseDuration(plan.objectives.rpo)!;
  return { what, isReady, text: isReady ? text : `${text}; the RPO is ${plan.objectives.rpo}` };
}

/** Of the files that are on this host. */
function routeChecks(plan: PlanDocument, records: readonly WriterRecord[]): ReadinessCheck[] {
  const here = records[0]!.holder.site === plan.sites.source ? 'source' : 'target';
  const newest = Math.max(...records.map(({ epoch }) => epoch));
  return (plan.routes ?? []).flatMap(({ name, file, [here]: upstream }) => {
    if (file === undefined) return [];
    const what = `route ${name}`;
    if (!existsSync(dirname(file))) return [{ what, isReady: false, text: `there is no directory ${dirname(file)}` }];
    const text = readRoute(file);
    if (text === undefined) return [{ what, isReady: true, text: `${file} is not written yet` }];
    const epoch = epochOfRoute(text);
    const wrong = [
      ...(epoch === undefined ? ['it says no epoch'] : []),
      ...(epoch !== undefined && epoch > newest ? [`it is of epoch ${epoch}, later than any writer`] : []),
      ...(upstream !== undefined && !text.includes(upstream.replace(/:.*/, '')) ? [`it does not lead to ${upstream}`] : []),
    ];
    return [check(what, wrong, `leads to ${upstream} in epoch ${epoch}`)];
  });
}

function check(what: string, wrong: readonly string[], text: string): ReadinessCheck {
  return wrong.length === 0 ? { what, isReady: true, text } : { what, isReady: false, text: wrong.join('; ') };
}

/** A fault is an answer, too. */
async function asked<T extends object>(what: string, ask: () => Promise<T>): Promise<T | ReadinessCheck> {
  try {
    return await ask();
  } catch (error) {
    if (!isFault(error) && (error as Error).name !== 'TimeoutError') throw error;
    return { what, isReady: false, text: (error as Error).message };
  }
}

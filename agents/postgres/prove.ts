// Proof that a cluster can be brought back: it is, to some instant, into a sandbox, and what came back is looked at. That recovery reached
// exactly the planned place is checked by the restore itself; here the server's own programs read every page and every index, and the owner's
// questions get the answers that the owner expects. The answer is a value: a proof that failed is a finding, not an error. Thrown is only what
// kept it from being tried.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import type { ClusterFacts } from '../../src/engine/cluster-facts.ts';
import { baseFactsOf } from '../../src/engine/cluster-facts.ts';
import {
  type NoPlan,
  planRecovery,
  type RecoveryInterval,
  type RecoveryPlan,
  type RecoveryTarget,
  recoveryWindow,
} from '../../src/engine/recovery-plan.ts';
import type { LogMark } from '../../src/model/log-mark.ts';
import { mustHaveHadRoom } from './full-disk.ts';
import { askOwner, type OwnerQuery } from './owner-queries.ts';
import type { ProofCheck } from './proof-check.ts';
import type { RestoredCluster } from './restore.ts';
import { inSandbox, type SandboxRestore, withoutLogPath } from './sandbox.ts';
import type { ServerFacts } from './server-facts.ts';
import { runProgram, usualPrograms } from './server-programs.ts';

const DRAWS_MAX = 20;

export type ClusterProof = {
  readonly result: 'passed' | 'failed';
  readonly requested: RecoveryTarget;
  /** The last commit that came back; undefined: none since the base backup, or it failed. */
  readonly achieved: LogMark | undefined;
  readonly base: string;
  readonly timeline: number;
  readonly checks: readonly ProofCheck[];
  /** Until the copy could have been handed over: what a recovery in earnest would have taken. */
  readonly recoveryMs: number;
  readonly phases: { readonly planMs: number; readonly baseMs: number; readonly logMs: number; readonly checkMs: number };
  readonly baseBytes: number;
  readonly logBytes: number;
};

export type ProofWish = Omit<SandboxRestore, 'plan' | 'programs' | 'settings' | 'onStep'> & {
  readonly instant: RecoveryTarget | { readonly kind: 'random'; readonly random: () => number };
  readonly queries: readonly OwnerQuery[];
  /** Default: where Debian has those of the backup's version. */
  readonly programs?: string;
};

/** RECOVERY_REFUSED and LOG_GAP when there is no way to the instant. */
export async function proveCluster(wish: ProofWish): Promise<ClusterProof> {
  const { cluster, instant } = wish;
  const began = performance.now();
  const { timeline } = cluster.view;
  const { requested, plan } =
    instant.kind === 'random'
      ? await planAtRandom(cluster, timeline, instant.random)
      : { requested: instant, plan: await planRecovery(cluster.facts, timeline, instant) };
  if (plan.kind !== 'plan') throw new Fault(plan.kind === 'gap' ? 'LOG_GAP' : 'RECOVERY_REFUSED', plan.reason);
  const server = JSON.parse(baseFactsOf(cluster.snapshots.get(plan.base.snapshot)!).server) as ServerFacts;
  const programs = wish.programs ?? usualPrograms(server);
  const planMs = performance.now() - began;
  const checks: ProofCheck[] = [];
  let phases = { planMs, baseMs: 0, logMs: 0, checkMs: 0 };
  let achieved: LogMark | undefined;
  try {
    await inSandbox({ ...wish, plan, programs, settings: {}, onStep: () => {} }, async (copy, dataDirectory) => {
      achieved = copy.achieved;
      phases = { ...phases, baseMs: copy.baseMs, logMs: copy.logMs };
      checks.push({ name: 'recovery', outcome: 'passed', detail: 'it stopped at the planned place' });
      const checkBegan = performance.now();
      checks.push(...(await lookAt({ ...wish, programs, server, copy, dataDirectory })));
      phases = { ...phases, checkMs: performance.now() - checkBegan };
    });
  } catch (error) {
    wish.signal.throwIfAborted();
    if (!isFinding(error)) throw error;
    checks.push({ name: 'recovery', outcome: 'failed', detail: withoutLogPath(error) });
  }
  return {
    result: checks.every(({ outcome }) => outcome !== 'failed') ? 'passed' : 'failed',
    requested,
    achieved,
    base: plan.base.snapshot,
    timeline: plan.timeline,
    checks,
    recoveryMs: phases.planMs + phases.baseMs + phases.logMs,
    phases,
    baseBytes: wish.progress.baseBytes,
    logBytes: logBytesOf(plan),
  };
}

/** Times that a clock which was set back has passed twice are no instant; when there are hardly any others it is the latest one. */
async function planAtRandom(
  { facts }: ClusterFacts,
  timeline: number,
  random: () => number,
): Promise<{ readonly requested: RecoveryTarget; readonly plan: RecoveryPlan | NoPlan }> {
  for (let draw = 0; draw < DRAWS_MAX; draw++) {
    const requested = await randomInstant({ facts }, timeline, random);
    const plan = await planRecovery(facts, timeline, requested);
    if (plan.kind === 'plan' || facts.clockSteps.length === 0) return { requested, plan };
  }
  const requested = { kind: 'latest' } as const;
  return { requested, plan: await planRecovery(facts, timeline, requested) };
}

/** Every moment of the window is as likely as any other. RECOVERY_REFUSED when there is no window. */
export async function randomInstant(
  { facts }: Pick<ClusterFacts, 'facts'>,
  timeline: number,
  random: () => number,
): Promise<RecoveryTarget> {
  const intervals = await recoveryWindow(facts, timeline);
  const lengthOf = ({ from, to }: RecoveryInterval): number => Math.max(0, to.time - from.time) + 1;
  const all = intervals.reduce((sum, interval) => sum + lengthOf(interval), 0);
  let at = Math.floor(random() * all);
  for (const interval of intervals) {
    if (at < lengthOf(interval)) return { kind: 'time', time: interval.from.time + at };
    at -= lengthOf(interval);
  }
  throw new Fault('RECOVERY_REFUSED', 'There is no instant yet that could be restored');
}

/** Of the backup, or of its recovery. Anything else (no room, a store that is away) says nothing about it. */
function isFinding(error: unknown): boolean {
  if (!isFault(error)) return false;
  return ['PG_RECOVERY_FAILED', 'LOG_GAP', 'FORMAT_DAMAGED', 'STORE_NOT_FOUND', 'STORE_CORRUPT_ANSWER'].includes(error.code);
}

type Look = ProofWish & {
  readonly programs: string;
  readonly server: ServerFacts;
  readonly copy: RestoredCluster;
  readonly dataDirectory: string;
};

async function lookAt(look: Look): Promise<ProofCheck[]> {
  const { copy, queries, signal } = look;
  const checks: ProofCheck[] = copy.collations.map((detail) => ({ name: 'collations', outcome: 'warning', detail }));
  checks.push(...(await askOwner(copy.server, queries, signal)));
  checks.push(await checkIndexes(look));
  await copy.server.stop();
  checks.push(await checkPages(look));
  return checks;
}

/** Every table row by row, every B-tree for its order and against its table, in all databases. */
async function checkIndexes({ programs, copy, dataDirectory, threads, signal }: Look): Promise<ProofCheck> {
  const name = 'indexes';
  const program = join(programs, 'pg_amcheck');
  if (!existsSync(program)) return { name, outcome: 'skipped', detail: 'pg_amcheck comes with PostgreSQL 14 and newer' };
  const { host, port, user, database } = await copy.server.addressOf(copy.server.address.database);
  const where = ['-h', host, '-p', String(port), '-U', user, '-w', '--maintenance-db', database];
  const what = ['--all', '--install-missing', '--heapallindexed', '-j', String(threads)];
  const { status, text } = await runProgram(program, [...where, ...what], { owner: copy.owner, signal });
  if (status === 0) return { name, outcome: 'passed', detail: 'pg_amcheck --all --heapallindexed' };
  mustHaveHadRoom(`The indexes of the copy in "${dataDirectory}" cannot be looked at`, text);
  // 2: it found corruption. Else it could not look: the module is not installed, for one.
  return { name, outcome: status === 2 ? 'failed' : 'skipped', detail: text.slice(0, 1000) };
}

/** Of a server that has stopped in order. */
async function checkPages({ programs, server, copy, dataDirectory, signal }: Look): Promise<ProofCheck> {
  const name = 'checksums';
  if (!server.checksums) return { name, outcome: 'skipped', detail: 'the cluster has no page checksums' };
  const program = join(programs, 'pg_checksums');
  if (!existsSync(program)) return { name, outcome: 'skipped', detail: `there is no pg_checksums in ${programs}` };
  const { status, text } = await runProgram(program, ['--check', '-D', dataDirectory], { owner: copy.owner, signal });
  if (status === 0) return { name, outcome: 'passed', detail: /Blocks scanned: *(\d+)/.exec(text)?.[0] ?? '' };
  return { name, outcome: 'failed', detail: text.slice(-1000) };
}

function logBytesOf({ legs }: RecoveryPlan): number {
  return legs.reduce((sum, { from, to }) => sum + to - from, 0);
}

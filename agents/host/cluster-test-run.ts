// A rehearsal of a database: it is brought back to an instant in a sandbox and looked at (agents/postgres/prove.ts), and nothing of it stays.

import { Fault } from '../../src/base/faults.ts';
import { clusterFactsOf } from '../../src/engine/cluster-facts.ts';
import { planRecovery, recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { type ClusterProof, type ProofWish, proveCluster } from '../postgres/prove.ts';
import { RecoveryProgress } from '../postgres/recovery-progress.ts';
import { serverFactsOf, usualPrograms } from '../postgres/server-programs.ts';
import { gaugeOf, openRemoteBase, PROGRAM, type RemoteBase, sandboxPlace } from './cluster-restore-run.ts';
import { postgresSourceOf } from './postgres-source.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';

export async function clusterTestRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, signal } = context;
  const { queries = [] } = postgresSourceOf(claimed.asset);
  const remote = await openRemoteBase(context, undefined);
  const progress = new RecoveryProgress();
  context.watch(() => gaugeOf(progress));
  try {
    const proof = await proveCluster({
      repository: remote.reader,
      cluster: clusterFactsOf(remote.view, [remote.reader.snapshot]),
      instant: await instantOf(remote, claimed.run.parameters['instant']),
      queries,
      directory: await sandboxPlace(context, remote, claimed.run.parameters['target']),
      programs: usualPrograms(serverFactsOf(remote.reader.snapshot), settings.serverPrograms),
      program: PROGRAM,
      helper: {},
      threads: settings.threads,
      signal,
      progress,
    });
    return outcomeOf(proof);
  } finally {
    await remote.close();
  }
}

/** The instant that was drawn for it, or the last one before it that can be restored; any, when none was drawn. */
async function instantOf({ view, reader }: RemoteBase, drawn: unknown): Promise<ProofWish['instant']> {
  const time = typeof drawn === 'string' ? Date.parse(drawn) * 1000 : Number.NaN;
  if (Number.isNaN(time)) return { kind: 'random', random: Math.random };
  const { facts } = clusterFactsOf(view, [reader.snapshot]);
  const [interval] = await recoveryWindow(facts, view.timeline);
  if (interval === undefined)
    throw new Fault('RECOVERY_REFUSED', 'The log that belongs to the base backup is not stored, or is lost');
  const instant = { kind: 'time', time: Math.min(Math.max(time, interval.from.time), interval.to.time) } as const;
  // The database's clock was set back, and has passed it twice.
  if (facts.clockSteps.length > 0 && (await planRecovery(facts, view.timeline, instant)).kind !== 'plan')
    return { kind: 'random', random: Math.random };
  return instant;
}

function outcomeOf(proof: ClusterProof): RunOutcome {
  const { requested, achieved, base, checks, recoveryMs, phases, baseBytes, logBytes, timeline } = proof;
  const result = {
    snapshot: base,
    requested: requested.kind === 'time' ? textOfMicros(requested.time) : requested.kind,
    achieved:
      achieved === undefined ? null : { time: textOfMicros(achieved.time), lsn: formatLsn(achieved.position), xid: achieved.id },
    timeline,
    checks: checks.slice(0, 100).map(({ name, outcome, detail }) => ({ name, outcome, detail: detail.slice(0, 500) })),
    /** Until the copy could have been handed over. */
    rtoMs: Math.round(recoveryMs),
    checkMs: Math.round(phases.checkMs),
    bytes: baseBytes,
    logBytes,
  };
  if (proof.result === 'passed')
    return { state: checks.some(({ outcome }) => outcome === 'warning') ? 'warned' : 'succeeded', result };
  const failed = checks.filter(({ outcome }) => outcome === 'failed');
  const text = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
  const { code, message, hint } = new Fault('PG_RECOVERY_FAILED', `The rehearsal has failed: ${text}`.slice(0, 4000));
  return { state: 'failed', result, fault: { code, message, hint } };
}

// Why a promise is broken, as far as the facts tell, and what to do about it. The first reason that fits is the one that is told: they are in
// the order in which one would look.

import type { AssetFacts, JudgedPoint, JudgedRun } from './asset-facts.ts';
import { roughSpan } from './duration.ts';

export type Explanation = { readonly cause: string; readonly action: string };

/** An agent polls at least every half minute. */
const SILENT_MS = 5 * 60_000;

export function rpoExplanation(facts: AssetFacts, newest: JudgedPoint | undefined, now: number): Explanation {
  const damaged = facts.points.find(({ isSound, startedAt }) => !isSound && (newest === undefined || startedAt > newest.startedAt));
  if (damaged !== undefined)
    return {
      cause: `The newest recovery point, ${damaged.snapshot}, is damaged`,
      action: 'Start a backup now, then run "holdfast verify --full" and "holdfast repair".',
    };
  return hindrance(facts, 'backup', now) ?? idleExplanation(facts, now);
}

/** Of a database whose server is not the one whose log is stored. */
export function refusedLogExplanation({ code, message, hint }: NonNullable<JudgedRun['fault']>): Explanation {
  return { cause: `Nothing that the server writes now is protected: ${message} [${code}]`, action: hint };
}

/** Of a database: why the stored log does not reach further. */
export function logExplanation(facts: AssetFacts, now: number): Explanation {
  const { log } = facts;
  const base = log?.latestAt === undefined ? hindrance(facts, 'backup', now) : undefined;
  const why = hindranceOfCapture(facts, now) ?? base;
  if (why !== undefined) return why;
  return log?.latestAt === undefined
    ? {
        cause: 'Nothing can be restored yet: there is no base backup whose log is stored',
        action: 'Wait for the first base backup.',
      }
    : {
        cause: `The last transaction that is stored is of ${log.latestAt}; the capture runs`,
        action: 'See whether the server lives, is a primary and can be reached: while it is away there is nothing to capture.',
      };
}

/** A capture that runs is no hindrance. */
function hindranceOfCapture(facts: AssetFacts, now: number): Explanation | undefined {
  const lastRuns = facts.lastRuns.filter(({ state }) => state !== 'running');
  return hindrance({ ...facts, lastRuns }, 'capture', now);
}

function idleExplanation({ nextBackupAt, lastRuns }: AssetFacts, now: number): Explanation {
  if (nextBackupAt === undefined)
    return {
      cause: 'No backup is scheduled for this asset',
      action: 'Attach a policy with a schedule, or start a backup by hand.',
    };
  const wait = Date.parse(nextBackupAt) - now;
  const never = lastRuns.some(({ kind }) => kind === 'backup') ? '' : 'No backup was ever made; ';
  return {
    cause: `${never}${never === '' ? 'T' : 't'}he next backup is due ${wait > 0 ? `in ${roughSpan(wait)}` : `since ${nextBackupAt}`}`,
    action: 'Start a backup now; when this comes again, the schedule is rarer than the promise allows.',
  };
}

/** What keeps runs of a kind from succeeding; undefined: nothing that can be seen. */
function hindrance(facts: AssetFacts, kind: JudgedRun['kind'], now: number): Explanation | undefined {
  return (
    hindranceOfState(facts, now) ??
    hindranceOfRun(
      facts,
      facts.lastRuns.find((run) => run.kind === kind),
      now,
    )
  );
}

function hindranceOfState({ state, agent }: AssetFacts, now: number): Explanation | undefined {
  if (state === 'paused')
    return { cause: 'The asset is paused', action: 'Resume it, or retire it if it needs no protection any more.' };
  if (agent === undefined)
    return { cause: 'The asset has no agent', action: 'Enrol an agent on its host and give the asset to it.' };
  if (agent.state === 'revoked')
    return {
      cause: `The agent ${agent.label} is revoked`,
      action: 'Enrol the host again with a new token ("holdfast agent --enroll").',
    };
  if (agent.refused !== undefined)
    return {
      cause: `The agent ${agent.label} is refused: ${agent.refused.message} [${agent.refused.code}]`,
      action: agent.refused.hint,
    };
  if (agent.lastSeenAt === undefined)
    return {
      cause: `The agent ${agent.label} was never heard of`,
      action: 'Start "holdfast agent" on its host and look at its log.',
    };
  const silentMs = now - Date.parse(agent.lastSeenAt);
  if (silentMs <= SILENT_MS) return undefined;
  return {
    cause: `The agent ${agent.label} has been silent for ${roughSpan(silentMs)}`,
    action: 'Check that its host is up, that "holdfast agent" runs there and that it reaches the service.',
  };
}

function hindranceOfRun(_facts: AssetFacts, run: JudgedRun | undefined, now: number): Explanation | undefined {
  if (run === undefined) return undefined;
  const { id, kind, state, fault } = run;
  if (state === 'failed')
    return {
      cause: `The last ${kind} (${id}) failed: ${fault === undefined ? 'without a word' : `${fault.message} [${fault.code}]`}`,
      action: fault?.hint ?? 'Look at the run and at the log of the agent, then start it again.',
    };
  if (state === 'canceled') return { cause: `The last ${kind} (${id}) was canceled`, action: `Start the ${kind} again.` };
  if (state === 'running')
    return {
      cause: `The ${kind} ${id} has been running for ${roughSpan(now - Date.parse(run.startedAt ?? run.dueAt))}`,
      action: 'Wait for it; when this comes again, begin earlier, raise the limits of bandwidth, or promise less.',
    };
  if (state === 'queued')
    return {
      cause: `The ${kind} ${id} has been waiting for ${roughSpan(Math.max(0, now - Date.parse(run.dueAt)))}`,
      action: 'See what else runs on its host and at its site: the limits of concurrency or the window may be too narrow.',
    };
  return undefined;
}

export function windowExplanation(
  facts: AssetFacts,
  oldest: JudgedPoint | undefined,
  damaged: readonly JudgedPoint[],
  owedMs: number,
): Explanation {
  if (damaged.length > 0)
    return {
      cause: `${damaged.length} of ${facts.pointCount ?? facts.points.length} recovery points are damaged: ${damaged
        .slice(0, 3)
        .map(({ snapshot }) => snapshot)
        .join(', ')}${damaged.length > 3 ? ', ...' : ''}`,
      action: 'Run "holdfast repair" with --from a copy if there is one, then "holdfast verify --full".',
    };
  if (oldest === undefined)
    return { cause: 'There is no recovery point at all', action: 'Start a backup now and look at why none has succeeded.' };
  return {
    cause: `The oldest recovery point, ${oldest.snapshot}, is from ${oldest.startedAt}: ${roughSpan(owedMs)} back are owed`,
    action:
      'Keep more: raise "within" or the counts of the retention. What is gone comes back with time only; see the audit for who dropped it.',
  };
}

export function proofExplanation(facts: AssetFacts, last: number | undefined, now: number): Explanation {
  const told = last === undefined ? 'Nothing was ever proved' : `Nothing was proved for ${roughSpan(now - last)}`;
  for (const kind of ['restore-test', 'verify'] as const) {
    const why = facts.lastRuns.some((run) => run.kind === kind) ? hindrance(facts, kind, now) : undefined;
    if (why !== undefined) return { cause: `${told}. ${why.cause}`, action: why.action };
  }
  return {
    cause: `${told}, and no restore test or full verification has run since`,
    action: 'Start a restore test now, and give the policy "verify" with a period shorter than "proofAge".',
  };
}

export function copiesExplanation(
  broken: readonly {
    readonly site: string;
    readonly there: unknown;
    readonly lagMs: number;
    readonly maxLagMs: number;
    readonly missing: number;
    readonly isDeletable: boolean;
  }[],
): Explanation {
  const causes = broken.map(({ site, there, lagMs, maxLagMs, missing }) => {
    if (there === undefined) return `nothing is known of a copy at the site "${site}"`;
    if (lagMs > maxLagMs && missing === 0) return `the site "${site}" is ${roughSpan(lagMs)} behind with the log`;
    if (lagMs > maxLagMs)
      return `the site "${site}" lacks ${missing} recovery point${missing === 1 ? '' : 's'} and is ${roughSpan(lagMs)} behind`;
    return `what lies at the site "${site}" can be deleted too early`;
  });
  const { there, lagMs, maxLagMs } = broken[0]!;
  const action =
    there === undefined
      ? 'Set up the site and its replication, or take the copy out of the policy.'
      : lagMs > maxLagMs
        ? 'Check the link and the replication to the site.'
        : 'Turn on object lock there, by default for at least as long as the policy says, and run "holdfast lock" there daily.';
  return { cause: `${causes[0]!.charAt(0).toUpperCase()}${causes.join('; ').slice(1)}`, action };
}

// One run, from its terms to its outcome: hooks before, the work of its kind, hooks after.

import { randomBytes } from 'node:crypto';
import { Fault, isFault } from '../../src/base/faults.ts';

import type { ClaimedRun } from '../../src/protocol/agent-messages.ts';
import { AgentHome } from './agent-home.ts';
import { readCertificates } from './certificates.ts';
import { runHooks } from './hooks.ts';
import { HttpTransport } from './http-transport.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome, RunProgress, RunSettings } from './run-messages.ts';
import { outcomeOfError } from './run-outcome.ts';

const PROGRESS_MS = 500;

/** Never rejects. */
export async function execute(
  claimed: ClaimedRun,
  settings: RunSettings,
  signal: AbortSignal,
  onProgress: (progress: RunProgress) => void,
  onGroup: RunContext['onGroup'],
  threads?: RunContext['threads'],
): Promise<RunOutcome> {
  let read: (() => RunProgress) | undefined;
  const timer = setInterval(() => {
    if (read !== undefined) onProgress(read());
  }, PROGRESS_MS);
  let transport: HttpTransport | undefined;
  try {
    const home = new AgentHome(settings.home);
    transport = openTransport(home, settings);
    return await withHooks({
      claimed,
      settings,
      home,
      transport,
      signal,
      now: () => new Date(),
      random: randomBytes,
      watch: (reader) => {
        read = reader;
      },
      onGroup,
      threads,
    });
  } catch (error) {
    return outcomeOfError(error, signal);
  } finally {
    clearInterval(timer);
    await transport?.close();
  }
}

async function withHooks(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, signal, onGroup } = context;
  const { run, asset, terms } = claimed;
  const isHooked = run.kind === 'backup' && terms.hooks !== undefined;
  if (!isHooked) return work(context);
  const variables = { HOLDFAST_RUN: run.id, HOLDFAST_KIND: run.kind, HOLDFAST_ASSET: asset?.name ?? '' };
  const allowed = settings.allowHooks;
  const { before, after } = terms.hooks!;
  const warnings: string[] = [];
  let outcome: RunOutcome;
  try {
    warnings.push(...(await runHooks({ commands: before, allowed, variables, signal, onGroup })));
    outcome = await work(context);
  } catch (error) {
    outcome = outcomeOfError(error, signal);
  }
  // Whatever happened: what a hook has frozen before must be thawed, so no order to stop reaches these.
  try {
    const HOLDFAST_STATE = outcome.state;
    warnings.push(...(await runHooks({ commands: after, allowed, variables: { ...variables, HOLDFAST_STATE }, onGroup })));
  } catch (error) {
    const failure = outcomeOfError(error, new AbortController().signal);
    outcome = outcome.state === 'failed' || outcome.state === 'canceled' ? outcome : { ...outcome, ...failure };
    if (isFault(error) && outcome.fault?.message !== error.message) warnings.push(error.message);
  }
  if (warnings.length === 0) return outcome;
  const result = { ...outcome.result, hookWarnings: warnings.slice(0, 20) };
  return { ...outcome, result, state: outcome.state === 'succeeded' ? 'warned' : outcome.state };
}

async function work(context: RunContext): Promise<RunOutcome> {
  const { kind } = context.claimed.run;
  switch (kind) {
    case 'backup':
      return (await import('./backup-run.ts')).backupRun(context);
    case 'capture':
      return (await import('./capture-run.ts')).captureRun(context);
    case 'restore':
      return (await import('./restore-run.ts')).restoreRun(context);
    case 'restore-test':
      return (await import('./restore-test-run.ts')).restoreTestRun(context);
    case 'readiness':
      return (await import('./readiness-run.ts')).readinessRun(context);
    case 'drill':
      return (await import('./drill-run.ts')).drillRun(context);
    case 'failover':
      return (await import('./failover-run.ts')).failoverRun(context);
    default:
      throw new Fault('RUN_KIND_UNKNOWN', `This agent does not know runs of the kind "${kind}"`);
  }
}

function openTransport(home: AgentHome, { state, version }: RunSettings): HttpTransport {
  return new HttpTransport({
    url: state.service,
    key: home.readKey(),
    agentId: state.agentId,
    ...(state.caFile === undefined ? {} : { ca: readCertificates(state.caFile) }),
    now: () => new Date(),
    random: randomBytes,
    ...(version === undefined ? {} : { version }),
  });
}

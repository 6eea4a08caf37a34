// A drill of a plan on this host. To cancel it is to interrupt it: then it is destroyed as at its limit, and its evidence says so.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault, isFault } from '../../src/base/faults.ts';
import { EvidenceAnswer, PLAN_PATHS } from '../../src/protocol/plan-messages.ts';
import { faultOfEnd, planVerb, withPlan } from './plan-verb.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';
import { outcomeOfError } from './run-outcome.ts';
import { call } from './service-calls.ts';

const TELL_TIMEOUT_MS = 60_000;

export async function drillRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, home, signal } = context;
  const { run } = claimed;
  let current: string | undefined;
  context.watch(() => ({ phase: 'rehearsing', bytesDone: 0, ...(current === undefined ? {} : { current }) }));
  return withPlan(context, async ({ plan, file, config }) => {
    const at = run.parameters['at'];
    const own = ['--config', config, '--evidence-dir', home.evidence, '--key-dir', home.directory, '--cache-dir', home.cache];
    const assets = plan.groups.flatMap(({ members }) => members.map(({ asset }) => asset));
    const looks = settings.drillLooks.filter(({ asset }) => assets.includes(asset));
    const more = [
      ...looks.flatMap(({ at: of, asset, server }) => [`--${of}`, `${asset}=${server}`]),
      ...(settings.drillDirectory === undefined ? [] : ['--directory', settings.drillDirectory]),
      ...(typeof at === 'string' ? ['--at', at] : []),
    ];
    const ended = await planVerb(context, ['drill', 'run', file, ...own, '--tenant', run.tenantId, ...more], (line) => {
      if (line.kind === 'action') current = `${line.action}: ${line.text}`.slice(0, 500);
    });
    const { summary } = ended;
    if (summary === undefined) {
      if (signal.aborted) return outcomeOfError(ended.fault, signal);
      throw faultOfEnd(ended);
    }
    current = 'sending the evidence';
    const { id, outcome, endedBy, isDestroyed, rpoMs, rtoMs, levels } = summary;
    const result = { evidence: id, outcome, endedBy, isDestroyed, rpoMs, rtoMs, levels };
    await sendEvidence(context, String(summary.pack));
    if (signal.aborted) return { ...outcomeOfError(signal.reason, signal), result };
    if (outcome === 'succeeded') return { state: 'succeeded', result };
    const code = outcome === 'void' ? 'DRILL_VOID' : 'DRILL_FAILED';
    const why = typeof endedBy === 'string' ? endedBy : 'see the actions in its evidence';
    const { message, hint } = new Fault(code, `The drill ${id} is "${outcome}": ${why}`);
    return { state: 'failed', result, fault: { code, message: message.slice(0, 4000), hint } };
  });
}

/** The pack and what lies beside it, again and again while the service is away: it stays here, too. Answers its id. */
export async function sendEvidence({ claimed, transport, settings }: RunContext, file: string): Promise<string> {
  const pack = readFileSync(file, 'utf8');
  const { body } = JSON.parse(pack) as { body: { attachments: readonly { readonly name: string }[] } };
  const attachments = body.attachments.map(({ name }) => ({
    name,
    content: readFileSync(join(dirname(file), name)).toString('base64'),
  }));
  const { id, fence } = claimed.run;
  const message = { fence, pack, attachments };
  const said = settings.version === undefined ? {} : { version: settings.version };
  const until = performance.now() + TELL_TIMEOUT_MS;
  for (;;) {
    try {
      const sent = await call(transport, PLAN_PATHS.evidence(id), message, EvidenceAnswer, { timeoutMs: TELL_TIMEOUT_MS, ...said });
      return sent.id;
    } catch (error) {
      if (!isFault(error) || error.retry === 'never' || performance.now() > until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

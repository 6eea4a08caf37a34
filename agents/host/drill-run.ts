// A drill of a plan on this host. To cancel it is to interrupt it: then it is destroyed as at its limit, and its evidence says so.

import { Fault } from '../../src/base/faults.ts';
import { faultOfEnd, planVerb, withPlan } from './plan-verb.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';
import { outcomeOfError } from './run-outcome.ts';
import { sendEvidence } from './send-evidence.ts';

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
      ...settings.serverPrograms.flatMap((directory) => ['--bin-dir', directory]),
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
    const { id, outcome, endedBy, failed, isDestroyed, rpoMs, rtoMs, levels } = summary;
    const result = { evidence: id, outcome, endedBy, isDestroyed, rpoMs, rtoMs, levels };
    await sendEvidence(context, String(summary.pack));
    if (signal.aborted) return { ...outcomeOfError(signal.reason, signal), result };
    if (outcome === 'succeeded') return { state: 'succeeded', result };
    const code = outcome === 'void' ? 'DRILL_VOID' : 'DRILL_FAILED';
    const why = [endedBy, failed].find((one) => typeof one === 'string') ?? 'see the actions in its evidence';
    const { message, hint } = new Fault(code, `The drill ${String(id)} is "${String(outcome)}": ${String(why)}`);
    return { state: 'failed', result, fault: { code, message: message.slice(0, 4000), hint } };
  });
}

// Executes a prune.

import { EXIT } from '../base/faults.ts';
import { endOfFailure, faultText, resultOf, runVerb, type ServiceRun } from './service-run.ts';

export const runPrune: ServiceRun = async (ports, execution) => {
  const outcome = await runVerb(ports, execution, ['prune']);
  const { end, summary } = outcome;
  if (summary === undefined || (end.status !== 0 && end.status !== EXIT.damage)) return endOfFailure(outcome);
  const result = resultOf(summary);
  if (end.status === 0) return { state: 'succeeded', result };
  return {
    state: 'warned',
    result,
    fault: faultText('REPOSITORY_DAMAGED', 'Prune found damaged packs and left them as they were'),
  };
};

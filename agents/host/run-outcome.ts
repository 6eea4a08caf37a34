// From what a run threw to how it ended.

import { Fault, isFault } from '../../src/base/faults.ts';
import type { RunFault } from '../../src/model/run.ts';
import type { RunOutcome, StopCode } from './run-messages.ts';

const MESSAGE_CHARS_MAX = 4_000;

export function stopFault(code: StopCode): Fault {
  return new Fault(code, code === 'RUN_CANCELED' ? 'The run was canceled' : 'The agent was stopped during the run');
}

/** `stop`: why the run was told to end, if it was. */
export function outcomeOfError(error: unknown, stop: AbortSignal): RunOutcome {
  if (stop.aborted) {
    // Whatever breaks when everything is being ended: the order is the reason.
    const reason = isFault(stop.reason) ? stop.reason : stopFault('AGENT_INTERRUPTED');
    return reason.code === 'RUN_CANCELED' ? { state: 'canceled' } : { state: 'failed', fault: asRunFault(reason) };
  }
  return { state: 'failed', fault: asRunFault(error) };
}

function asRunFault(error: unknown): RunFault {
  const fault = isFault(error)
    ? error
    : new Fault('INTERNAL', error instanceof Error ? String(error.stack) : String(error), { cause: error });
  return { code: fault.code, message: fault.message.slice(0, MESSAGE_CHARS_MAX), hint: fault.hint.slice(0, 1000) };
}

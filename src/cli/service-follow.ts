// Follows a run to its end, and answers with the exit status that the same work offline would have.

import { EXIT, FAULTS, Fault, type FaultCode } from '../base/faults.ts';
import type { Run, Tenant } from '../client/generated.ts';
import type { ServiceClient } from '../client/service-client.ts';
import { isOver } from './service-call.ts';
import { runLine, showOne } from './service-show.ts';
import type { Invocation } from './verb.ts';

export async function followRun(
  { output, signal }: Invocation,
  client: ServiceClient,
  tenant: Tenant,
  id: string,
): Promise<number> {
  let last: Run | undefined;
  for await (const event of client.stream(
    'streamRun',
    { tenant: tenant.id, run: id },
    ({ data }) => isOver(JSON.parse(data) as Run),
    signal,
  )) {
    last = JSON.parse(event.data) as Run;
    output.status(runLine(last));
    if (output.options.verbose) output.detail(runLine(last));
  }
  if (signal.aborted) throw signal.reason;
  if (last === undefined || !isOver(last)) throw new Fault('SERVICE_UNREACHABLE', `The service does not tell how ${id} ended`);
  output.status('');
  showOne(output, 'run', last);
  return statusOf(last);
}

function statusOf({ state, fault, id }: Run): number {
  if (state === 'succeeded') return 0;
  if (state === 'warned') return EXIT.warnings;
  const code = fault !== undefined && fault.code in FAULTS ? (fault.code as FaultCode) : 'INTERRUPTED';
  throw new Fault(code, fault?.message ?? `The run ${id} was ${state}`, fault === undefined ? {} : { hint: fault.hint });
}

// One message to the service and its answer, checked; what it refuses is thrown as the fault that it named.

import type { Static, TSchema } from 'typebox';
import { FAULTS, Fault, type FaultCode } from '../../src/base/faults.ts';
import { ProblemAnswer } from '../../src/protocol/agent-messages.ts';
import type { AgentAnswer, AgentCallOptions, AgentTransport } from '../../src/protocol/agent-transport.ts';
import { readMessage } from '../../src/protocol/read-message.ts';
import { checkVersion, PROTOCOL_VERSION, VERSION_HEADER } from '../../src/protocol/version.ts';

/** SERVICE_UNREACHABLE, SERVICE_TIMEOUT, SERVICE_CORRUPT_ANSWER, AGENT_VERSION_UNSUPPORTED, and whatever the service names. */
export async function call<T extends TSchema>(
  transport: AgentTransport,
  path: string,
  message: unknown,
  schema: T,
  options: AgentCallOptions & { readonly version?: string } = {},
): Promise<Static<T>> {
  const answer = await transport.request('POST', path, Buffer.from(JSON.stringify(message)), options);
  checkAnswer(answer, path, options.version ?? PROTOCOL_VERSION);
  return readMessage(schema, parse(answer, path), `The answer to ${path}`);
}

/** Throws unless it is a good one of a service that this agent understands. */
function checkAnswer(answer: AgentAnswer, path: string, version: string): void {
  const { status, headers } = answer;
  const theirs = headers[VERSION_HEADER];
  if (theirs === undefined) {
    // A proxy, or the service's web server before the request reached its routes.
    const what = `${path}: an answer with status ${status} that is not the service's`;
    if (status >= 500) throw new Fault('SERVICE_UNREACHABLE', what);
    throw new Fault('SERVICE_CORRUPT_ANSWER', what, {
      hint: 'Something else answers there. Check the address of the service (--service), its path behind a proxy, and the proxy.',
    });
  }
  checkVersion(version, theirs, 'service');
  if (status < 200 || status > 299) throw faultOf(answer, path);
}

function faultOf(answer: AgentAnswer, path: string): Fault {
  const { code, detail = '', hint } = readMessage(ProblemAnswer, parse(answer, path), `The refusal of ${path}`);
  if (!Object.hasOwn(FAULTS, code))
    return new Fault('SERVICE_CORRUPT_ANSWER', `${path}: refused with ${code}, which this version does not know: ${detail}`);
  return new Fault(code as FaultCode, detail === '' ? `${path} was refused` : detail, hint === undefined ? {} : { hint });
}

function parse({ body }: AgentAnswer, path: string): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (cause) {
    throw new Fault('SERVICE_CORRUPT_ANSWER', `The answer to ${path} is not JSON`, { cause });
  }
}

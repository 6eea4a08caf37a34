// Faults on their way between threads: structured cloning keeps neither class nor code.

import { Fault, type FaultCode, isFault } from '../base/faults.ts';

export type ThreadFault = {
  readonly kind: 'fault';
  readonly code: FaultCode | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
};

export function encodeThreadFault(error: unknown): ThreadFault {
  if (isFault(error)) return { kind: 'fault', code: error.code, message: error.message, hint: error.hint, stack: error.stack };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: 'fault', code: undefined, message, hint: undefined, stack };
}

export function decodeThreadFault({ code, message, hint, stack }: ThreadFault): Error {
  if (code !== undefined) return new Fault(code, message, hint === undefined ? undefined : { hint });
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

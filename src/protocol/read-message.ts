// From what the other side sent to a message that can be trusted in its form: unknown keys are dropped, all else must be as the schema says.

import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Clean } from 'typebox/value';
import { Fault } from '../base/faults.ts';

type Check = {
  readonly Check: (value: unknown) => boolean;
  readonly Errors: (value: unknown) => readonly { message?: string; instancePath?: string }[];
};

const compiled = new WeakMap<TSchema, Check>();

/** MESSAGE_INVALID, naming `what` and the first thing that is wrong in it. `value` is changed. */
export function readMessage<T extends TSchema>(schema: T, value: unknown, what: string): Static<T> {
  let check = compiled.get(schema);
  if (check === undefined) {
    check = Compile(schema) as unknown as Check;
    compiled.set(schema, check);
  }
  const cleaned = Clean(schema, value);
  if (check.Check(cleaned)) return cleaned as Static<T>;
  const first = [...check.Errors(cleaned)][0];
  throw new Fault(
    'MESSAGE_INVALID',
    `${what} is not as it should be: ${first?.instancePath || '/'} ${first?.message ?? ''}`.trim(),
  );
}

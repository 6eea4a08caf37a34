// States that a place has left: what it held before it became a replica. They are kept until people let them go.

import { Fault } from '../base/faults.ts';
import { NONCE_DIGITS } from '../format/head.ts';
import { decodeLeftStates, encodeLeftStates, type LeftState } from '../format/left-states.ts';
import type { CallOptions, ObjectStore, SwapResult } from '../store/object-store.ts';
import type { Random } from './keyring.ts';
import { hex } from './layout.ts';
import type { RegisterCodec } from './register-codec.ts';
import type { Versioned } from './registers.ts';

const REGISTER = 'left-states';

/** Where the value of a register lies that a state had. */
export const leftKey = (id: string, register: string): string => `${leftPrefix(id)}${register}`;
export const leftPrefix = (id: string): string => `left/${id}/`;

export async function readLeftStates(
  store: ObjectStore,
  codec: RegisterCodec,
  options?: CallOptions,
): Promise<Versioned<readonly LeftState[]> | undefined> {
  const register = await store.read(REGISTER, options);
  return register && { value: decodeLeftStates(codec.decode(REGISTER, register.bytes)), version: register.version };
}

export function swapLeftStates(
  store: ObjectStore,
  { codec, random }: { readonly codec: RegisterCodec; readonly random: Random },
  states: readonly LeftState[],
  version: string | undefined,
  options?: CallOptions,
): Promise<SwapResult> {
  return store.swap(REGISTER, codec.encode(REGISTER, encodeLeftStates(states, hex(random(NONCE_DIGITS / 2)))), version, options);
}

/** REPLICA_LEFT_STATE when something is kept here that no head names. */
export async function mustHaveNothingLeft(store: ObjectStore, codec: RegisterCodec, options?: CallOptions): Promise<void> {
  const [state] = (await readLeftStates(store, codec, options))?.value ?? [];
  if (state !== undefined)
    throw new Fault('REPLICA_LEFT_STATE', `The repository at ${store.location} keeps the state that it left on ${state.at}`);
}

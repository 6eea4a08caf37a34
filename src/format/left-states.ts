// The value of the register `left-states`: what a place held that became a replica although it was a repository before. See README.md,
// "Replicas".

import { ClosedRecord, mustDecode } from './closed-record.ts';
import { NONCE_DIGITS, SESSION_DIGITS } from './head.ts';

const STATES_MAX = 1_000;
const TEXT_MAX = 4096;

/** Its registers are kept as objects below `left/<id>/`, and nothing that they name is deleted while it is in this list. */
export type LeftState = {
  /** 20 hex. */
  readonly id: string;
  /** RFC 3339. */
  readonly at: string;
  /** Whose replica the place became. */
  readonly source: string;
  /** Of its head. */
  readonly sequence: number;
};

export function encodeLeftStates(states: readonly LeftState[], nonce: string): unknown {
  const value = { states, nonce };
  mustDecode(() => decodeLeftStates(value));
  return value;
}

/** FORMAT_DAMAGED when it is not exactly such a value. */
export function decodeLeftStates(value: unknown): LeftState[] {
  const r = new ClosedRecord(value, 'The register "left-states"');
  const states = r.records('states', STATES_MAX, (one) => ({
    id: one.hex('id', SESSION_DIGITS),
    at: one.moment('at'),
    source: one.text('source', TEXT_MAX),
    sequence: one.count('sequence'),
  }));
  r.hex('nonce', NONCE_DIGITS);
  r.end();
  return states;
}

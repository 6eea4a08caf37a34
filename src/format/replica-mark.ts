// The value of the register `replica`: this place is a copy of a repository that lives elsewhere. See README.md, "Replicas".

import { ClosedRecord, mustDecode } from './closed-record.ts';
import { NONCE_DIGITS, OBJECT_DIGITS } from './head.ts';

export const HOLDER_DIGITS = 20;
const TEXT_MAX = 4096;

/** seeding: not whole yet. following: whole, and nobody but the replication changes it. released: a repository of its own from then on. */
export type ReplicaState = 'seeding' | 'following' | 'released';

export type ReplicaMark = {
  readonly state: ReplicaState;
  /** Where it is copied from. */
  readonly source: string;
  /** 20 hex: the replication that may go on; another one takes over by putting its own here. */
  readonly holder: string;
  /** RFC 3339: everything that the source held then is here (while seeding: when that began). By the clock of who copies. */
  readonly asOf: string;
  /** Of the head that was copied last. */
  readonly sequence: number;
  /** B3 of the value of the register `head` that was copied last, and of the one that is about to be: any other head is somebody else's. */
  readonly head: string | null;
  readonly next: string | null;
  /** Who released it and why; empty otherwise. */
  readonly releasedBy: string;
  readonly reason: string;
};

export function encodeReplicaMark(mark: ReplicaMark, nonce: string): unknown {
  const value = { ...mark, nonce };
  mustDecode(() => decodeReplicaMark(value));
  return value;
}

/** FORMAT_DAMAGED when it is not exactly such a value. */
export function decodeReplicaMark(value: unknown): ReplicaMark {
  const r = new ClosedRecord(value, 'The register "replica"');
  const mark: ReplicaMark = {
    state: r.oneOf('state', ['seeding', 'following', 'released']),
    source: r.text('source', TEXT_MAX),
    holder: r.hex('holder', HOLDER_DIGITS),
    asOf: r.moment('asOf'),
    sequence: r.count('sequence'),
    head: r.hexOrNull('head', OBJECT_DIGITS),
    next: r.hexOrNull('next', OBJECT_DIGITS),
    releasedBy: r.text('releasedBy', TEXT_MAX),
    reason: r.text('reason', TEXT_MAX),
  };
  r.hex('nonce', NONCE_DIGITS);
  r.end();
  return mark;
}

// The value of a register `snapshots/<session>`: open, then committed or revoked, once. See README.md, "Registers".

import { ClosedRecord, mustDecode } from './closed-record.ts';
import { ASSET_DIGITS, decodeIndexRef, HOST_LENGTH_MAX, type IndexRef, NONCE_DIGITS, SESSION_DIGITS } from './head.ts';

export const COMMITTED_INDEXES_MAX = 10_000;
export const SEALED_LENGTH_MAX = 4 * 1024 * 1024;
const SIGNATURE_LENGTH_MAX = 1024;

/** A snapshot as it is committed: sealed and signed by its session's key. */
export type SealedSnapshot = {
  /** Base64. */
  readonly sealed: string;
  /** Base64. */
  readonly signature: string;
  readonly keyId: string;
};

export type OpenRegister = { readonly state: 'open'; readonly session: string; readonly assetId: string };

export type RevokedRegister = {
  readonly state: 'revoked';
  readonly session: string;
  /** Who did it, for people. */
  readonly by: string;
  readonly at: string;
};

export type CommittedRegister = SealedSnapshot & {
  readonly state: 'committed';
  readonly session: string;
  readonly assetId: string;
  /** Index objects of this session that the head did not name yet. */
  readonly indexes: readonly IndexRef[];
};

export type SnapshotRegister = OpenRegister | RevokedRegister | CommittedRegister;

/** Refuses what nobody could read again: a bug then. */
export function encodeSnapshotRegister(register: SnapshotRegister, nonce: string): unknown {
  const value = { ...register, nonce };
  mustDecode(() => decodeSnapshotRegister(value, register.session));
  return value;
}

/** FORMAT_DAMAGED when it is not exactly the register of `session`. */
export function decodeSnapshotRegister(value: unknown, session: string): SnapshotRegister {
  const r = new ClosedRecord(value, `The register "snapshots/${session}"`);
  const state = r.oneOf('state', ['open', 'revoked', 'committed']);
  r.check(r.hex('session', SESSION_DIGITS) === session, 'it is of another session');
  const register = decodeState(r, state, session);
  r.hex('nonce', NONCE_DIGITS);
  r.end();
  return register;
}

function decodeState(r: ClosedRecord, state: SnapshotRegister['state'], session: string): SnapshotRegister {
  if (state === 'revoked') return { state, session, by: r.text('by', HOST_LENGTH_MAX), at: r.moment('at') };
  const assetId = r.hex('assetId', ASSET_DIGITS);
  if (state === 'open') return { state, session, assetId };
  return {
    state,
    session,
    assetId,
    indexes: r.records('indexes', COMMITTED_INDEXES_MAX, decodeIndexRef),
    sealed: r.text('sealed', SEALED_LENGTH_MAX),
    signature: r.text('signature', SIGNATURE_LENGTH_MAX),
    keyId: r.text('keyId', HOST_LENGTH_MAX),
  };
}

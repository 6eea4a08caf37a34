// A heartbeat: a signed row that is written into the protected database every second. The newest one that is found in recovered data tells how
// much work was lost, whatever logs and jobs say. Its signature binds it to the asset and the cluster, so that neither a row of another
// cluster nor one that somebody made later counts.

import { isSignedBy, type SigningPair, signBytes } from '../codec/signature.ts';
import { keyIdOf } from './pack.ts';

export type HeartbeatOf = { readonly asset: string; readonly systemId: string };

export type Heartbeat = {
  readonly sequence: number;
  /** RFC 3339, by the clock of who writes it. */
  readonly at: string;
  /** 16 hex. */
  readonly keyId: string;
  /** base64url of 64 bytes. */
  readonly signature: string;
};

export function signHeartbeat(pair: SigningPair, of: HeartbeatOf, sequence: number, at: Date): Heartbeat {
  const beat = { sequence, at: at.toISOString() };
  const signature = Buffer.from(signBytes(pair.signingKey, bytesOf(of, beat))).toString('base64url');
  return { ...beat, keyId: keyIdOf(pair.verifyKey), signature };
}

export function isHeartbeatOf(beat: Heartbeat, of: HeartbeatOf, trusted: readonly Uint8Array[]): boolean {
  const signature = Buffer.from(beat.signature, 'base64url');
  return trusted.some((key) => keyIdOf(key) === beat.keyId && isSignedBy(key, bytesOf(of, beat), signature));
}

function bytesOf({ asset, systemId }: HeartbeatOf, { sequence, at }: Pick<Heartbeat, 'sequence' | 'at'>): Uint8Array {
  return Buffer.from(`holdfast heartbeat 1\n${JSON.stringify([asset, systemId, sequence, at])}`);
}

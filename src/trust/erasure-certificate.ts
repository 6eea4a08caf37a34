// Signing and verifying the certificate of an erasure. Verifying needs the certificate and a public key, and nothing of the service.

import { Compile } from 'typebox/compile';
import { canonicalJson } from '../base/canonical-json.ts';
import { isSignedBy, type SigningPair, signBytes } from '../codec/signature.ts';
import { ErasureCertificate } from '../model/erasure.ts';
import { keyName } from './audit-checkpoint.ts';

export const CERTIFICATE_PREFIX = 'certificates/';

/** The name of a setting: how far the erasure of a tenant is. From when it is there nobody takes the erasure back. */
export function erasureSetting(tenantId: string): string {
  return `erasure:${tenantId}`;
}

/** The name of a setting: the certificate of a tenant, as JSON. */
export function certificateSetting(tenantId: string): string {
  return `certificate:${tenantId}`;
}

let checker: ReturnType<typeof Compile<typeof ErasureCertificate>> | undefined;

export type UnsignedCertificate = Omit<ErasureCertificate, 'format' | 'version' | 'key' | 'signature'>;

export function signCertificate(said: UnsignedCertificate, pair: SigningPair): ErasureCertificate {
  const body = { format: 'holdfast-erasure-certificate', version: 1, ...said, key: keyName(pair.verifyKey) } as const;
  return { ...body, signature: Buffer.from(signBytes(pair.signingKey, signedText(body))).toString('base64url') };
}

export type CertificateVerdict =
  | { readonly kind: 'refused'; readonly why: string }
  /** 'unknown': of the form of one, and signed by none of the keys that were given, so that nobody vouches for a word of it. */
  | { readonly kind: 'verified' | 'unknown'; readonly certificate: ErasureCertificate };

export function verifyCertificate(text: string, keys: readonly Uint8Array[]): CertificateVerdict {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'refused', why: 'it is no JSON' };
  }
  checker ??= Compile(ErasureCertificate);
  if (!checker.Check(value)) return { kind: 'refused', why: 'it is no certificate of an erasure, or of a newer Holdfast' };
  const { signature, ...said } = value;
  const key = keys.find((one) => keyName(one) === said.key);
  if (key === undefined) return { kind: 'unknown', certificate: value };
  const isSigned = isSignedBy(key, signedText(said), Buffer.from(signature, 'base64url'));
  return isSigned ? { kind: 'verified', certificate: value } : { kind: 'refused', why: 'its signature is not of this text' };
}

function signedText(said: Omit<ErasureCertificate, 'signature'>): Uint8Array {
  return Buffer.from(canonicalJson(said));
}

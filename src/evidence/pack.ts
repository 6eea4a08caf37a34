// An evidence pack: one text that says what was measured in a drill or a failover and what follows from it, signed. The text is canonical
// JSON and a line break: a pack has one form only, so whatever is changed in it, it is another text.

import { canonicalJson } from '../base/canonical-json.ts';
import { objectId } from '../codec/chunk-id.ts';
import { isSignedBy, type SigningPair, signBytes } from '../codec/signature.ts';
import { ClosedRecord } from '../format/closed-record.ts';
import { PLAN_RUN_KINDS, type PlanRunKind } from '../model/failover-kind.ts';
import { planDigest } from '../plan/plan-digest.ts';
import type { PlanDocument } from '../plan/plan-document.ts';
import { type Claims, claimsOf } from './claims.ts';
import { decodeMeasurement, digestOf, MEASUREMENTS_MAX, type Measurement } from './measurement.ts';

export const PACK_BYTES_MAX = 64 * 1024 * 1024;
const SIGNED_PREFIX = 'holdfast evidence 1\n';
const TEXT_MAX = 4096;
const ATTACHMENTS_MAX = 1000;

/** A file that lies beside the pack: a log, a report of a tool. */
export type Attachment = { readonly name: string; readonly bytes: number; readonly digest: string };

export type PackBody = {
  readonly id: string;
  readonly kind: PlanRunKind;
  readonly tenant: string;
  readonly program: string;
  readonly createdAt: string;
  readonly plan: PlanDocument;
  readonly planDigest: string;
  readonly measurements: readonly Measurement[];
  /** How many there are, and the digest of the last: what is cut off at the end shows. */
  readonly end: { readonly count: number; readonly digest: string };
  readonly attachments: readonly Attachment[];
  readonly claims: Claims;
};

export type Pack = {
  readonly body: PackBody;
  /** 16 hex: the beginning of B3 of the public key. */
  readonly keyId: string;
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
};

export type PackDetails = Pick<
  PackBody,
  'id' | 'kind' | 'tenant' | 'program' | 'createdAt' | 'plan' | 'measurements' | 'attachments'
>;

/** The text of a pack, signed. */
export function makePack(details: PackDetails, pair: SigningPair): string {
  const { measurements, plan } = details;
  const body: PackBody = {
    ...details,
    planDigest: planDigest(plan),
    end: { count: measurements.length, digest: digestOf(measurements.at(-1) ?? null) },
    claims: claimsOf(details),
  };
  const publicKey = Buffer.from(pair.verifyKey).toString('base64url');
  const signature = signBytes(pair.signingKey, signedBytes(body));
  const value = Buffer.from(signature).toString('base64url');
  return `${canonicalJson({ holdfastEvidence: 1, body, signature: { keyId: keyIdOf(pair.verifyKey), publicKey, value } })}\n`;
}

export function keyIdOf(publicKey: Uint8Array): string {
  return Buffer.from(objectId(publicKey)).subarray(0, 8).toString('hex');
}

export function isSigned({ body, publicKey, signature }: Pack): boolean {
  return isSignedBy(publicKey, signedBytes(body), signature);
}

/** FORMAT_DAMAGED. What its plan and its claims say is not looked at: they are only ever compared. */
export function decodePack(value: unknown): Pack {
  const r = new ClosedRecord(value, 'The evidence pack');
  r.check(r.count('holdfastEvidence') === 1, 'it was made by another version');
  const s = new ClosedRecord(r.any('signature'), 'The signature of the evidence pack');
  const pack: Pack = {
    body: decodeBody(r.any('body')),
    keyId: s.hex('keyId', 16),
    publicKey: bytesOf(s, 'publicKey'),
    signature: bytesOf(s, 'value'),
  };
  s.end();
  r.end();
  return pack;
}

/** Of several texts that mean the same bytes only one counts. */
function bytesOf(r: ClosedRecord, name: string): Uint8Array {
  const text = r.text(name, 200);
  const bytes = Buffer.from(text, 'base64url');
  r.check(bytes.toString('base64url') === text, `"${name}" is not in base64url`);
  return bytes;
}

function decodeBody(value: unknown): PackBody {
  const r = new ClosedRecord(value, 'The body of the evidence pack');
  const measurements = r.any('measurements');
  r.check(Array.isArray(measurements) && measurements.length <= MEASUREMENTS_MAX, 'its measurements are no list');
  const end = new ClosedRecord(r.any('end'), 'The end of the evidence pack');
  const body: PackBody = {
    id: r.text('id', 100),
    kind: r.oneOf('kind', PLAN_RUN_KINDS),
    tenant: r.text('tenant', TEXT_MAX),
    program: r.text('program', TEXT_MAX),
    createdAt: r.moment('createdAt'),
    plan: r.any('plan') as PlanDocument,
    planDigest: r.hex('planDigest', 64),
    measurements: (measurements as unknown[]).map((one, i) => {
      const m = new ClosedRecord(one, `Measurement ${i + 1} of the evidence pack`);
      const decoded = decodeMeasurement(m, one);
      m.end();
      return decoded;
    }),
    end: { count: end.count('count'), digest: end.hex('digest', 64) },
    attachments: r.records('attachments', ATTACHMENTS_MAX, (a) => ({
      name: a.text('name', 255),
      bytes: a.count('bytes'),
      digest: a.hex('digest', 64),
    })),
    claims: r.any('claims') as Claims,
  };
  end.end();
  r.end();
  return body;
}

function signedBytes(body: PackBody): Uint8Array {
  return Buffer.from(SIGNED_PREFIX + canonicalJson(body));
}

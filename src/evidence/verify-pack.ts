// Verifying a pack offline: with nothing but its text, the public key of who is trusted, and the files that lie beside it. Everything that is
// wrong is named; a pack is good when nothing is.

import { canonicalJson } from '../base/canonical-json.ts';
import { isFault } from '../base/faults.ts';
import { objectId } from '../codec/chunk-id.ts';
import { parseJson } from '../format/json.ts';
import { checkPlan } from '../plan/plan-checks.ts';
import { planDigest } from '../plan/plan-digest.ts';
import { PlanDocument } from '../plan/plan-document.ts';
import { fieldText, schemaProblems } from '../policy/schema-problems.ts';
import { claimsOf, RULES_VERSION } from './claims.ts';
import { chainProblems, digestOf } from './measurement.ts';
import { decodePack, isSigned, keyIdOf, PACK_BYTES_MAX, type Pack, type PackBody } from './pack.ts';

const LIMITS = { bytesMax: PACK_BYTES_MAX, itemsMax: 4_000_000 };

export type EvidenceProblem = {
  readonly what: 'form' | 'signature' | 'key' | 'chain' | 'plan' | 'claim' | 'attachment';
  readonly message: string;
};

export type VerifiedEvidence = {
  /** Undefined when it could not even be read. */
  readonly pack: Pack | undefined;
  /** Whether somebody vouches for the key. */
  readonly isTrusted: boolean;
  readonly problems: readonly EvidenceProblem[];
};

export type VerifyEvidenceOptions = {
  readonly text: Uint8Array;
  /** Public keys that are trusted; none: then nobody vouches for the signer. */
  readonly trusted: readonly Uint8Array[];
  /** Bytes of an attachment; undefined when it is not there. */
  readonly attachment: (name: string) => Uint8Array | undefined;
};

export function verifyEvidence({ text, trusted, attachment }: VerifyEvidenceOptions): VerifiedEvidence {
  const unreadable = (message: string): VerifiedEvidence => ({
    pack: undefined,
    isTrusted: false,
    problems: [{ what: 'form', message }],
  });
  if (text.at(-1) !== 0x0a) return unreadable('the pack is cut short: its last line does not end');
  let value: unknown;
  let pack: Pack;
  try {
    value = parseJson(text, 'The evidence pack', LIMITS);
    pack = decodePack(value);
  } catch (error) {
    if (!isFault(error, 'FORMAT_DAMAGED')) throw error;
    return unreadable(error.message);
  }
  const isTrusted = trusted.some((key) => Buffer.compare(key, pack.publicKey) === 0);
  const problems: EvidenceProblem[] = [
    ...form(text, value),
    ...signature(pack),
    ...(trusted.length > 0 && !isTrusted
      ? [
          {
            what: 'key',
            message: `it is signed with the key ${keyIdOf(pack.publicKey)}, which is not one that is trusted`,
          } as const,
        ]
      : []),
    ...chain(pack.body),
    ...plan(pack.body),
    ...attachments(pack.body, attachment),
  ];
  return { pack, isTrusted, problems: [...problems, ...claims(pack.body, problems)] };
}

function form(text: Uint8Array, value: unknown): EvidenceProblem[] {
  const canonical = Buffer.from(`${canonicalJson(value)}\n`);
  if (Buffer.compare(canonical, text) === 0) return [];
  const at = canonical.findIndex((byte, i) => byte !== text[i]);
  return [
    { what: 'form', message: `its text is not in the one form that it can have, from byte ${at < 0 ? canonical.length : at} on` },
  ];
}

function signature(pack: Pack): EvidenceProblem[] {
  const wrong = (message: string): EvidenceProblem[] => [{ what: 'signature', message }];
  if (keyIdOf(pack.publicKey) !== pack.keyId) return wrong('the id of its key is not that of its public key');
  return isSigned(pack)
    ? []
    : wrong(`the signature of the key ${pack.keyId} is not one over this pack: something in it was changed`);
}

function chain({ id, measurements, end }: PackBody): EvidenceProblem[] {
  const problems = chainProblems(id, measurements);
  if (end.count !== measurements.length) problems.push(`it holds ${measurements.length} measurements; ${end.count} were made`);
  else if (end.digest !== digestOf(measurements.at(-1) ?? null)) problems.push('its last measurement was changed');
  return problems.map((message) => ({ what: 'chain', message }));
}

function plan({ plan: document, planDigest: digest }: PackBody): EvidenceProblem[] {
  const wrong = (message: string): EvidenceProblem => ({ what: 'plan', message });
  const problems = schemaProblems(PlanDocument, document).map(({ message }) => wrong(message));
  if (problems.length > 0) return problems;
  const findings = checkPlan(document).map(({ path, message }) => wrong(`${fieldText(path)}: ${message}`));
  return planDigest(document) === digest ? findings : [...findings, wrong('the plan in it is not the one whose digest it gives')];
}

function attachments({ attachments: all }: PackBody, read: VerifyEvidenceOptions['attachment']): EvidenceProblem[] {
  return all.flatMap(({ name, bytes, digest }): EvidenceProblem[] => {
    const content = read(name);
    const wrong = (message: string): EvidenceProblem[] => [{ what: 'attachment', message: `${name} ${message}` }];
    if (content === undefined) return wrong('is missing');
    if (content.length !== bytes) return wrong(`has ${content.length} bytes instead of ${bytes}`);
    return digestOfBytes(content) === digest ? [] : wrong('was changed');
  });
}

export function digestOfBytes(bytes: Uint8Array): string {
  return Buffer.from(objectId(bytes)).toString('hex');
}

/** The sums are done again, over all of the measurements. */
function claims(body: PackBody, found: readonly EvidenceProblem[]): EvidenceProblem[] {
  if (found.some(({ what }) => what === 'plan')) return [];
  const rules = body.claims?.rules;
  const expected = claimsOf(body, rules === 1 || rules === 2 ? rules : RULES_VERSION);
  if (canonicalJson(expected) === canonicalJson(body.claims)) return [];
  const claimed: readonly unknown[] = Array.isArray(body.claims?.claims) ? body.claims.claims : [];
  const said = new Set(claimed.map((claim) => canonicalJson(claim)));
  const wrong = expected.claims.filter((claim) => !said.has(canonicalJson(claim)));
  const names = wrong.length === 0 ? ['phases, levels or the rules themselves'] : wrong.map(({ id }) => id);
  return names.map((name) => ({ what: 'claim', message: `what it claims does not follow from what was measured: ${name}` }));
}

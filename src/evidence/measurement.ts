// What was measured in a drill or a failover, one thing a record, in the order in which it was written down. Each record holds the digest of
// the one before it, so that none can be changed, left out, moved or cut off without its neighbours showing it.

import { canonicalJson } from '../base/canonical-json.ts';
import { objectId } from '../codec/chunk-id.ts';
import { ClosedRecord } from '../format/closed-record.ts';

export const MEASUREMENTS_MAX = 100_000;
const TEXT_MAX = 4096;
const FIELDS_MAX = 40;

export const MEASUREMENT_KINDS = [
  /** { declared, disaster }: when somebody declared it, and when it is said to have happened. */
  'declaration',
  /** { action, state, startedAt, endedAt, outcome }: an action of the plan; outcome done, failed or skipped. */
  'action',
  /** { newest, sequence, isSigned }: the newest heartbeat found in recovered data; `newest` is absent (null) when there was none. */
  'heartbeat',
  /** { at, isWhole, point, isQuiet }: when the newest work was done that is in what was recovered; whether nothing is missing in it; the
   *  restore point that recovery stopped at (null: none), and whether no commit lies between that and the last such point of its group.
   *  Of files and volumes also { snapshot, entries, bytes, bytesFetched }. */
  'recovered',
  /** { at, committedAt, position }: the first write of an application at the target that was acknowledged: when the answer was there, and what the
   *  target's own clock said of its commit. */
  'first-write',
  /** { sealed, replayed, missingBytes }: positions of the log. */
  'log-end',
  /** { proof, text }: why nobody else can write. */
  'fencing',
  /** { address, method, isReached }: a negative probe of a drill. */
  'probe',
  /** { before, after }: digests of a thing of production that a drill must not change. */
  'fingerprint',
  /** { before, after }: replay positions of the standing standby while a drill ran. */
  'standby',
  /** { isGone, text }: what a drill has left. */
  'destruction',
  /** { status, text }: a smoke test; status is its exit status. */
  'smoke',
  /** { checked, damaged }: a sample of pages and indexes. */
  'pages',
  /** { name, value }: a figure that levels are judged by. */
  'fact',
  /** { requirement, by, validUntil }: a person says so. */
  'attestation',
  /** { name, role, decision }: somebody approved. */
  'approval',
] as const;
export type MeasurementKind = (typeof MEASUREMENT_KINDS)[number];

export type Scalar = string | number | boolean | null;

export type Measurement = {
  /** "m1", "m2", ... in order. */
  readonly id: string;
  readonly kind: MeasurementKind;
  /** RFC 3339: when it was measured. */
  readonly at: string;
  /** Of what: an asset, an address, a route. */
  readonly of: string;
  /** How: the command, query or request whose answer this is. */
  readonly how: string;
  readonly value: Readonly<Record<string, Scalar>>;
  /** 64 hex: digest of the record before; of the first one: of the pack's id. */
  readonly previous: string;
};

export type NewMeasurement = Omit<Measurement, 'id' | 'previous'>;

export function digestOf(value: unknown): string {
  return Buffer.from(objectId(Buffer.from(canonicalJson(value)))).toString('hex');
}

/** Where a chain begins. */
export function chainStart(packId: string): string {
  return digestOf({ holdfastEvidence: packId });
}

/** The chain with one more. */
export function measured(packId: string, chain: readonly Measurement[], added: NewMeasurement): Measurement[] {
  const last = chain.at(-1);
  const previous = last === undefined ? chainStart(packId) : digestOf(last);
  return [...chain, { id: `m${chain.length + 1}`, ...added, previous }];
}

/** FORMAT_DAMAGED. */
export function decodeMeasurement(r: ClosedRecord, value: unknown): Measurement {
  return {
    id: r.text('id', 20),
    kind: r.oneOf('kind', MEASUREMENT_KINDS),
    at: r.moment('at'),
    of: r.text('of', TEXT_MAX),
    how: r.text('how', TEXT_MAX),
    value: scalarsOf(r, value),
    previous: r.hex('previous', 64),
  };
}

/** `value`: what `r` was made of. */
function scalarsOf(r: ClosedRecord, value: unknown): Readonly<Record<string, Scalar>> {
  const fields = (value as { readonly value?: unknown }).value;
  const inner = new ClosedRecord(fields, 'The value of a measurement');
  const entries = Object.entries(fields as object);
  inner.check(entries.length <= FIELDS_MAX, `it has more than ${FIELDS_MAX} fields`);
  for (const [name, field] of entries) {
    const isText = typeof field === 'string' && field.length <= TEXT_MAX;
    const isPlain = field === null || typeof field === 'boolean' || (typeof field === 'number' && Number.isFinite(field));
    inner.check(isText || isPlain, `"${name}" is neither a text, a number, true, false nor null`);
  }
  r.any('value');
  return fields as Readonly<Record<string, Scalar>>;
}

/** What holds a chain together, or where it does not: in words. */
export function chainProblems(packId: string, chain: readonly Measurement[]): string[] {
  const problems: string[] = [];
  let previous = chainStart(packId);
  chain.forEach((one, i) => {
    const expected = `m${i + 1}`;
    if (one.id !== expected) problems.push(`measurement ${expected} is missing: ${one.id} stands in its place`);
    else if (one.previous !== previous)
      problems.push(
        i === 0
          ? 'measurement m1 does not begin the chain of this pack'
          : `measurement m${i} was changed, or another one stood between it and ${one.id}`,
      );
    previous = digestOf(one);
  });
  return problems;
}

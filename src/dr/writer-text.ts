// The writer record as the registry holds it: JSON of a closed schema.

import { Compile } from 'typebox/compile';
import { Fault } from '../base/faults.ts';
import { Type } from '../base/type.ts';
import { CHAIN_MAX, type WriterRecord } from './writer-record.ts';

const CANDIDATES_MAX = 16;
const closed = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' });
const Lsn = Type.String({ pattern: '^[0-9A-F]{1,8}/[0-9A-F]{1,8}$' });
const LogEnd = { timeline: Type.Integer({ minimum: 1 }), lsn: Lsn };
const Member = Type.Object({ name: Name, site: Name }, closed);
const Proof = Type.Enum(['demotion', 'power-off', 'expiry', 'unclaimed', 'break-glass', 'first', 'same server']);
const EpochStart = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1 }),
    member: Member,
    from: Type.Union([Type.Literal('in place'), Type.Object(LogEnd, closed)]),
    proof: Proof,
  },
  closed,
);

const Record = Type.Object(
  {
    version: Type.Literal(1),
    incarnation: Name,
    epoch: Type.Integer({ minimum: 1 }),
    holder: Member,
    life: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
    candidates: Type.Array(Member, { maxItems: CANDIDATES_MAX }),
    terms: Type.Object(
      {
        ttlMs: Type.Integer({ minimum: 100, maximum: 600_000 }),
        drift: Type.Number({ minimum: 0, maximum: 1 }),
        marginMs: Type.Integer({ minimum: 0, maximum: 600_000 }),
      },
      closed,
    ),
    onLeaseLoss: Type.Enum(['stop', 'continue']),
    watchdog: Type.Enum(['armed', 'none']),
    state: Type.Enum(['open', 'withheld', 'demoted']),
    failover: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
    demotion: Type.Union([Type.Object({ ...LogEnd, systemId: Type.String({ pattern: '^[0-9]{1,20}$' }) }, closed), Type.Null()]),
    beat: Type.Integer({ minimum: 0 }),
    chain: Type.Array(EpochStart, { minItems: 1, maxItems: CHAIN_MAX }),
  },
  closed,
);

let checker: ReturnType<typeof Compile<typeof Record>> | undefined;

export function writerKey(incarnation: string): string {
  return `dr/${incarnation}/writer`;
}

export function encodeWriter(record: WriterRecord): string {
  return JSON.stringify(record);
}

/** REGISTRY_DAMAGED when it is not one of that incarnation. */
export function decodeWriter(text: string, incarnation: string): WriterRecord {
  checker ??= Compile(Record);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!checker.Check(value) || value.incarnation !== incarnation)
    throw new Fault('REGISTRY_DAMAGED', `The register ${writerKey(incarnation)} is not a record of who may write`);
  return value as WriterRecord;
}

// What stands in paths: one name for each, and what it looks like. What does not look like it is not found.

import type { TObject, TSchema } from 'typebox';
import { Type } from '../base/type.ts';
import { EvidenceId } from '../model/evidence.ts';
import { Id, Name } from '../model/identifier.ts';
import { RecoveryPoint } from '../model/recovery-point.ts';

const PARAMS: Readonly<Record<string, TSchema>> = {
  tenant: Id,
  person: Id,
  token: Id,
  agent: Id,
  asset: Id,
  run: Id,
  approval: Id,
  policy: Name,
  plan: Name,
  evidence: EvidenceId,
  failover: Id,
  snapshot: RecoveryPoint.properties.snapshot,
};

export function paramNames(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
}

export function paramsSchema(path: string): TObject {
  const names = paramNames(path);
  return Type.Object(Object.fromEntries(names.map((name) => [name, PARAMS[name]!])), { additionalProperties: false });
}

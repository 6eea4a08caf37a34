// A pack as a drill or a failover of the shipped plan would make it, with what a test wants to be different.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import { generateSigningPair, type SigningPair, signBytes } from '../../src/codec/signature.ts';
import { GBT_20988_2007 } from '../../src/evidence/gbt-20988.ts';
import { type Measurement, type MeasurementKind, measured, type Scalar } from '../../src/evidence/measurement.ts';
import { keyIdOf, makePack, type PackDetails } from '../../src/evidence/pack.ts';
import type { PlanRunKind } from '../../src/model/failover-kind.ts';
import { parsePlan } from '../../src/plan/read-plan.ts';

export const PLAN = parsePlan(readFileSync(join(import.meta.dirname, '../../policies/plans/citizen-portal.yaml'), 'utf8'));
export const PACK_ID = 'evd_test';
export const PAIR: SigningPair = generateSigningPair();

/** Seconds after 08:00. */
export const at = (seconds: number): string => new Date(Date.UTC(2026, 10, 21, 8) + seconds * 1000).toISOString();

export type Told = readonly [kind: MeasurementKind, of: string, value: Readonly<Record<string, Scalar>>];

export function chainOf(told: readonly Told[]): Measurement[] {
  return told.reduce<Measurement[]>(
    (chain, [kind, of, value], n) => measured(PACK_ID, chain, { kind, at: at(n), of, how: 'as a test says', value }),
    [],
  );
}

/** In the order in which it would be told. */
export const FAILOVER: readonly Told[] = [
  ['approval', 'failover', { name: 'li', role: 'operator', decision: 'yes' }],
  ['declaration', 'site-a', { declared: at(30), disaster: at(0) }],
  ['action', 'fence.revoke', { action: 'fence.revoke', state: 'fenced', startedAt: at(31), endedAt: at(40), outcome: 'done' }],
  ['fencing', 'site-a', { proof: 'power-off', text: 'seen by the switch' }],
  ['action', 'seal', { action: 'seal', state: 'sealed', startedAt: at(40), endedAt: at(42), outcome: 'done' }],
  ['log-end', 'pg/portal', { sealed: '0/3000000', replayed: '0/3000000', missingBytes: 0 }],
  ['heartbeat', 'pg/portal', { newest: at(-4), sequence: 4711, isSigned: true }],
  ['recovered', 'pg/portal', { at: at(-4), isWhole: false, point: null, isQuiet: false }],
  ['recovered', 'files/portal-uploads', { at: at(-2), isWhole: false, point: null, isQuiet: false, snapshot: 'abc' }],
  [
    'action',
    'database.promote',
    { action: 'database.promote.pg/portal', state: 'promoted', startedAt: at(43), endedAt: at(60), outcome: 'done' },
  ],
  ['first-write', 'pg/portal', { at: at(75), position: '0/3000100' }],
  ['smoke', 'login', { status: 0, text: '' }],
  ['smoke', 'submit', { status: 0, text: '' }],
  ['pages', 'pg/portal', { checked: 900, damaged: 0 }],
];

const WHOLE = new Set(['data.no-loss']);
/** Everything that levels ask for, but what nobody can have. */
export const LEVEL_FACTS: readonly Told[] = GBT_20988_2007.requirements
  .filter(({ id }) => !WHOLE.has(id))
  .map(({ id, test }): Told => {
    if (test.kind === 'attested') return ['attestation', id, { requirement: id, by: 'wang', validUntil: at(86_400) }];
    const value = test.kind === 'fact' && test.isTrue === true ? true : 1;
    return ['fact', id, { name: test.kind === 'fact' ? test.fact : '', value }];
  });

export type PackOptions = {
  readonly kind?: PlanRunKind;
  readonly told?: readonly Told[];
  readonly attachments?: PackDetails['attachments'];
  readonly pair?: SigningPair;
  readonly plan?: PackDetails['plan'];
  readonly tenant?: string;
};

export function detailsOf({
  kind = 'unplanned',
  told = FAILOVER,
  attachments = [],
  plan = PLAN,
  tenant = 'city',
}: PackOptions = {}): PackDetails {
  return {
    id: PACK_ID,
    kind,
    tenant,
    program: 'test',
    createdAt: at(200),
    plan,
    measurements: chainOf(told),
    attachments,
  };
}

export function packText(options: PackOptions = {}): string {
  return makePack(detailsOf(options), options.pair ?? PAIR);
}

// biome-ignore lint/suspicious/noExplicitAny: whatever is in a pack may be changed.
export type Loose = any;

/** The pack with something changed in it, signed again or not. */
export function forged(text: string, change: (value: Loose) => void, pair?: SigningPair): string {
  const value = JSON.parse(text);
  change(value);
  if (pair !== undefined) {
    const bytes = Buffer.from(`holdfast evidence 1\n${canonicalJson(value.body)}`);
    value.signature = {
      keyId: keyIdOf(pair.verifyKey),
      publicKey: Buffer.from(pair.verifyKey).toString('base64url'),
      value: Buffer.from(signBytes(pair.signingKey, bytes)).toString('base64url'),
    };
  }
  return `${canonicalJson(value)}\n`;
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writeRecord } from '../../agents/drill/drill-record.ts';
import { pastDrills } from '../../agents/drill/past-drills.ts';
import { generateSigningPair } from '../../src/codec/signature.ts';
import { drillDue } from '../../src/evidence/drill-due.ts';
import { at, FAILOVER, PACK_ID, PAIR, PLAN, packText, type Told } from '../support/evidence.ts';

/** The shipped plan is rehearsed every 30 days. */
const DAY_S = 86_400;
const later = (days: number): Date => new Date(Date.parse(at(200)) + days * DAY_S * 1000);

const CLEAN: readonly Told[] = [
  ...FAILOVER,
  ...PLAN.drill!.probes.map((address): Told => ['probe', address, { address, method: 'tcp', isReached: false }]),
  ['fingerprint', 'repository', { before: 'a', after: 'a' }],
  ['destruction', 'drill', { isGone: true, text: '' }],
];

it('is due until signed evidence says that one has succeeded, and again when that is old', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-due-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const keep = (name: string, text: string): void => {
    const path = join(directory, name);
    mkdirSync(path);
    writeFileSync(join(path, 'pack.json'), text);
    const about = { drill: name, plan: PLAN.name, at: at(0) };
    writeRecord(path, { ...about, state: 'finished', outcome: 'succeeded', isDestroyed: true, pack: 'pack.json' });
  };
  const trusted = [PAIR.verifyKey];
  const due = (days: number) => drillDue(PLAN, pastDrills(directory, PLAN, trusted), later(days));
  expect(due(0)).toMatchObject({ isDue: true, last: undefined });
  // Whatever its record says: void, and signed by somebody else.
  keep('drl_1', packText({ kind: 'drill' }));
  keep('drl_2', packText({ kind: 'drill', told: CLEAN, pair: generateSigningPair() }));
  expect(pastDrills(directory, PLAN, trusted).map(({ outcome }) => outcome)).toEqual(['refused', 'void']);
  expect(due(0)).toMatchObject({ isDue: true, lastSucceeded: undefined });
  keep('drl_3', packText({ kind: 'drill', told: CLEAN }));
  expect(due(29)).toMatchObject({ isDue: false, lastSucceeded: { drill: 'drl_3', outcome: 'succeeded', isSamePlan: true } });
  expect(due(30)).toMatchObject({ isDue: true });
  const killed = join(directory, 'drl_4');
  mkdirSync(killed);
  const ended = { why: 'killed', text: '', isDestroyed: true, destruction: '' };
  writeRecord(killed, { drill: PACK_ID, plan: PLAN.name, at: at(300), state: 'not finished', ...ended });
  expect(due(29)).toMatchObject({ isDue: false, last: { outcome: 'not finished' } });
  const { every: _every, ...seldom } = PLAN.drill!;
  expect(drillDue({ ...PLAN, drill: seldom }, [], later(0))).toMatchObject({ isDue: false, dueAt: null });
});

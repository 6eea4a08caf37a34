// Random instants of a window full of switches, restarts, crashes, a failover, idle times and checkpoint storms: a restore to any of them gives
// exactly what the ledger held then, or a refusal with its reason; never anything else. `bin/node bench/recovery-soak.ts` makes it long.

import { describe, expect, it } from 'vitest';
import type { RecoveryTarget } from '../../src/engine/recovery-plan.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';
import { LedgerHistory } from '../support/ledger-history.ts';
import { postgresPrograms } from '../support/postgres.ts';
import { ProtectedCluster } from '../support/protected-cluster.ts';
import { seededRandom } from '../support/seeded-random.ts';

const programs = postgresPrograms();
const INSTANTS = Number(process.env.HOLDFAST_ORACLE_INSTANTS ?? 6);
const SEED = Number(process.env.HOLDFAST_ORACLE_SEED ?? 20261121);
const STEPS_BETWEEN_FAILOVERS = 14;
/** In the long form, one for so many instants. */
const INSTANTS_PER_FAILOVER = 25;
const TIMEOUT_MS = 180_000 + INSTANTS * 30_000;
const HOUR_MICROS = 3_600_000_000;

/** Any moment of the window; now and then exactly a commit, or the microsecond before one. */
function instantOf(
  history: LedgerHistory,
  window: readonly { from: { time: number }; to: { time: number } }[],
  random: () => number,
): number {
  const { from } = window[0]!;
  const { to } = window.at(-1)!;
  const inside = history.changes.filter(({ time }) => time > from.time && time <= to.time);
  const kind = random();
  if (kind < 0.6 || inside.length === 0) return from.time + Math.floor(random() * (to.time - from.time + 1));
  return inside[Math.floor(random() * inside.length)]!.time - (kind < 0.8 ? 1 : 0);
}

describe.skipIf(programs === undefined)('a restore to a random instant', () => {
  it(`gives exactly the rows of that instant (seed ${SEED}, ${INSTANTS} instants)`, { timeout: TIMEOUT_MS }, async () => {
    const random = seededRandom(SEED);
    const settings = { track_commit_timestamp: 'on', max_prepared_transactions: '5' };
    const cluster = await ProtectedCluster.create({ walSegmentMib: 1, settings });
    const history = await LedgerHistory.open(cluster, random);
    await cluster.start();
    const failovers = Math.max(1, Math.round(INSTANTS / INSTANTS_PER_FAILOVER));
    for (let n = 0; n < failovers; n++) {
      for (let step = 0; step < STEPS_BETWEEN_FAILOVERS; step++) await history.step();
      await history.failOver(n % 2 === 0);
      // Another base, so that not all goes back to the first one.
      if (n % 4 === 1) await cluster.base();
    }
    for (let step = 0; step < STEPS_BETWEEN_FAILOVERS; step++) await history.step();
    await history.end();
    const told = (): string => `seed ${SEED}: ${history.told.join(', ')}; ${cluster.troubles.join('; ')}`;
    expect(cluster.gaps, told()).toEqual([]);
    const window = await cluster.window();
    expect(window, told()).toHaveLength(1);
    const [{ from, to }] = window as [(typeof window)[0]];
    for (const time of [from.time - 1, from.time - HOUR_MICROS, to.time + 1, to.time + HOUR_MICROS])
      expect(await cluster.plan({ kind: 'time', time }), textOfMicros(time)).toMatch(/^refused: .*(before|after)/);
    for (let n = 0; n < INSTANTS; n++) {
      const target: RecoveryTarget = { kind: 'time', time: instantOf(history, window, random) };
      const restored = await cluster.restore(target, { action: n % 2 === 0 ? 'pause' : 'promote' });
      const lines = (await restored.sql.query('SELECT line FROM ledger ORDER BY line')).rows.map(([line]) => Number(line));
      expect(lines, `${n}: at ${textOfMicros(target.time)}; ${told()}`).toEqual(history.at(target.time));
      await restored.close();
    }
  });
});

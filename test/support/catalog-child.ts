// Another process on a catalogue. Says every acknowledged step in a line, at once.
//   claim PATH NAME SEED    claims and ends until the queue is empty: "claimed RUN FENCE", "ended RUN FENCE STATE"
//   write PATH NAME SEED    writes until it is killed: "wrote N"

import { writeSync } from 'node:fs';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { RUN_KINDS } from '../../src/model/run-kind.ts';
import { appendAudit } from '../../src/trust/audit-chain.ts';
import { catalogThings, moment } from './catalog-things.ts';
import { seededRandom } from './seeded-random.ts';

const [mode, path, name, seed] = process.argv.slice(2) as [string, string, string, string];
const things = catalogThings(Number(seed));
const chance = seededRandom(Number(seed));
const say = (line: string): unknown => writeSync(1, `${line}\n`);
const catalog = await openSqliteCatalog({ path, now: () => new Date(), random: things.random });
say('open');
if (mode === 'claim') await claimAll(catalog);
else await writeOn(catalog);
await catalog.close();

/** Several at once, as a service has. */
async function claimAll({ runs }: Catalog): Promise<void> {
  const claim = {
    by: `service:${name}`,
    kinds: RUN_KINDS,
    at: moment(1),
    leaseMs: 1000,
    perAgentMax: 9,
    perTenantMax: 9,
    totalMax: 20,
  };
  const one = async (): Promise<void> => {
    for (;;) {
      const run = await runs.claim(claim);
      if (run === undefined) {
        const open = (await runs.counts()).filter(({ state }) => state === 'queued' || state === 'running');
        if (open.length === 0) return;
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      say(`claimed ${run.id} ${run.fence}`);
      if (chance() < 0.2) await new Promise((resolve) => setImmediate(resolve));
      const ended = await runs.end(
        run.id,
        run.fence,
        moment(2),
        chance() < 0.3 ? { state: 'failed', retryAt: moment(0) } : { state: 'succeeded' },
      );
      say(`ended ${run.id} ${run.fence} ${ended === 'fenced' ? 'fenced' : ended.state}`);
    }
  };
  await Promise.all([one(), one(), one()]);
}

/** Transactions over several tables, and small writes beside them. */
async function writeOn(catalog: Catalog): Promise<void> {
  for (let n = 0; ; n++) {
    const { id: tenantId } = (await catalog.tenants.byName('the-tenant'))!;
    const run = things.run(tenantId, { key: `${name}-${n}`, kind: 'prune' });
    await Promise.all([
      catalog.transaction(async (tables) => {
        await tables.runs.add(run, moment(n));
        await tables.settings.set(`${name}-${n}`, 'in the transaction');
        const entry = { at: moment(n), actor: name, actorLabel: name, action: 'run.add', outcome: 'done' as const };
        await appendAudit(tables, { ...entry, subject: `${name}-${n}`, details: { n } });
      }),
      catalog.settings.set(`${name}-${n}-beside`, 'by itself'),
      catalog.usage.addEgress(tenantId, '2026-11-21', 1),
    ]);
    say(`wrote ${n}`);
  }
}

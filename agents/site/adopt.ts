// Entering a database in the writer register, with its first epoch: from then on it starts through the gate of its site only. Said by a person,
// once, at the site where it is written now.

import { Fault } from '../../src/base/faults.ts';
import { firstRecord, type WriterRecord } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import { parseDuration } from '../../src/policy/duration.ts';
import type { Registry } from '../../src/registry/registry.ts';
import type { DatabaseConfig } from './site-config.ts';

const TTL = '10s';
/** Far more than any working clock needs. */
const DRIFT = 0.02;

/** The same again changes nothing. SITE_REFUSED when it is registered otherwise. */
export async function adoptDatabase(registry: Registry, site: string, database: DatabaseConfig): Promise<WriterRecord> {
  const { incarnation, asset, candidates = [], lease, onLeaseLoss = 'stop' } = database;
  const ttl = lease?.ttl ?? TTL;
  const record = firstRecord({
    incarnation,
    holder: { name: site, site },
    candidates: candidates.map((name) => ({ name, site: name })),
    terms: { ttlMs: parseDuration(ttl)!, drift: DRIFT, marginMs: parseDuration(lease?.margin ?? ttl)! },
    onLeaseLoss,
  });
  const register = new WriterRegister(registry, incarnation);
  if ((await register.create(record)) !== 'conflict') return record;
  const { record: known } = await register.read();
  if (known.epoch === 1 && known.holder.name === site) return known;
  throw new Fault('SITE_REFUSED', `${asset} is registered already: its epoch is ${known.epoch}, its site "${known.holder.site}"`);
}

// Entering a database in the writer register, with its first epoch: from then on it starts through the gate of its site only. Said by a person,
// once, at the site where it is written now.

import { Fault } from '../../src/base/faults.ts';
import { firstRecord, type WriterRecord } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { mustAgree, termsOf } from './registered-terms.ts';
import type { DatabaseConfig } from './site-config.ts';

/** The same again changes nothing. SITE_REFUSED when it is written elsewhere or was since, SITE_LEASE when it has another lease. */
export async function adoptDatabase(registry: Registry, site: string, database: DatabaseConfig): Promise<WriterRecord> {
  const { incarnation, asset, candidates = [] } = database;
  const record = firstRecord({
    incarnation,
    holder: { name: site, site },
    candidates: candidates.map((name) => ({ name, site: name })),
    ...termsOf(database),
  });
  const register = new WriterRegister(registry, incarnation);
  if ((await register.create(record)) !== 'conflict') return record;
  const { record: known } = await register.read();
  if (known.epoch === 1 && known.holder.name === site) {
    mustAgree(database, known);
    return known;
  }
  throw new Fault('SITE_REFUSED', `${asset} is registered already: its epoch is ${known.epoch}, its site "${known.holder.site}"`);
}

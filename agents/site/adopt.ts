// Entering a database in the writer register, with its first epoch: from then on it starts through the gate of its site only. Said by a person,
// once, at the site where it is written now.

import { Fault } from '../../src/base/faults.ts';
import { firstRecord, isFirst, type WriterRecord } from '../../src/dr/writer-record.ts';
import { WriterRegister } from '../../src/dr/writer-register.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { mustAgree, termsOf } from './registered-terms.ts';
import { SealFile, sealFileOf } from './seal-file.ts';
import type { DatabaseConfig, SiteConfig } from './site-config.ts';

/** The same again changes nothing. SITE_REFUSED when it is written elsewhere or was since, SITE_LEASE when it has another lease. */
export async function adoptDatabase(registry: Registry, site: string, database: DatabaseConfig, epoch = 1): Promise<WriterRecord> {
  const { incarnation, asset, candidates = [] } = database;
  const first = {
    incarnation,
    holder: { name: site, site },
    candidates: candidates.map((name) => ({ name, site: name })),
    ...termsOf(database),
  };
  const record = firstRecord(first, epoch);
  const register = new WriterRegister(registry, incarnation);
  if ((await register.create(record)) !== 'conflict') return record;
  const { record: known } = await register.read();
  if (isFirst(known) && known.holder.name === site) {
    mustAgree(database, known);
    return known;
  }
  throw new Fault('SITE_REFUSED', `${asset} is registered already: its epoch is ${known.epoch}, its site "${known.holder.site}"`);
}

/** Where the register was lost with its quorum and the database is entered anew: seals of before would count as those of epochs to come. */
export function epochAfterSeals({ state }: SiteConfig, { incarnation }: DatabaseConfig): number {
  const { revoked, sealed, exported } = new SealFile(sealFileOf(state, incarnation)).kept;
  return 1 + Math.max(...[revoked, sealed, exported].map((one) => one?.epoch ?? 0));
}

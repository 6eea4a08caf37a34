// What a site knows of one of its databases while no gate is there to tell it.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseServerAddress } from '../../../agents/postgres/connection-string.ts';
import { DatabaseCapture } from '../../../agents/site/database-capture.ts';
import { DatabaseStandby } from '../../../agents/site/database-standby.ts';
import { SealFile } from '../../../agents/site/seal-file.ts';
import { SiteDatabase } from '../../../agents/site/site-database.ts';
import { SiteRepository } from '../../../agents/site/site-repository.ts';
import { generateSigningPair } from '../../../src/codec/signature.ts';
import { firstRecord, granted, withheld } from '../../../src/dr/writer-record.ts';
import { WriterRegister } from '../../../src/dr/writer-register.ts';
import { RecentLog } from '../../../src/engine/recent-log.ts';
import { openEmbeddedRegistry } from '../../../src/registry/embedded.ts';
import { scratchDirectory } from '../../support/scratch.ts';
import { until } from '../../support/two-sites.ts';

const SEALED = { timeline: 1, lsn: '0/3000000' };

describe('A database at a site', () => {
  it('hears of the site that has taken over while no gate may be opened here', async () => {
    const scratch = scratchDirectory();
    const registry = openEmbeddedRegistry(join(scratch, 'registry.db'));
    const register = new WriterRegister(registry, 'orders');
    const [holder, candidate] = [
      { name: 'a', site: 'a' },
      { name: 'b', site: 'b' },
    ];
    const terms = { ttlMs: 1_500, drift: 0.05, marginMs: 1_500 };
    await register.create(firstRecord({ incarnation: 'orders', holder, candidates: [candidate], terms, onLeaseLoss: 'stop' }));
    const database = databaseIn(scratch, register);
    const over = new AbortController();
    const run = database.run(over.signal);
    try {
      await until('it knows the register', () => database.record !== undefined);
      await database.withoutGate(async () => {
        await register.change((record) => withheld(record, 'f1'));
        const grant = { failover: 'f1', to: 'b', sealed: SEALED, proof: 'expiry' } as const;
        await register.change((record) => granted(record, grant));
        await until('it knows who has taken over', () => database.record?.holder.name === 'b');
      });
      expect(database.record).toMatchObject({ holder: candidate, epoch: 2 });
    } finally {
      over.abort();
      await run;
      await registry.close();
    }
  });
});

/** Of site "a". There is no cluster yet, so no gate either. */
function databaseIn(scratch: string, register: WriterRegister): SiteDatabase {
  const place = { location: join(scratch, 'none'), passphraseFile: join(scratch, 'passphrase') };
  const repository = new SiteRepository(place, 'pg/orders', async () => {
    throw new Error('there is none');
  });
  const connection = `host=${scratch} user=postgres`;
  const address = parseServerAddress(connection, {}, 'postgres');
  const common = { asset: 'pg/orders', address, repository, now: () => new Date() };
  const dataDirectory = join(scratch, 'data');
  const pair = generateSigningPair();
  return new SiteDatabase({
    site: 'a',
    config: {
      asset: 'pg/orders',
      incarnation: 'orders',
      connection,
      dataDirectory,
      programs: scratch,
      repository: place,
    },
    address,
    register,
    tokenFile: join(scratch, 'run', 'orders.token'),
    repository,
    capture: new DatabaseCapture({ ...common, site: 'a', slot: 'holdfast', baseEveryMs: 1e9, program: 'test', threads: 1, pair }),
    replica: undefined,
    standby: new DatabaseStandby({ ...common, dataDirectory, recent: new RecentLog(), program: ['holdfast'] }),
    locks: undefined,
    seals: new SealFile(join(scratch, 'seals', 'orders.json')),
    ask: async () => false,
    now: () => new Date(),
  });
}

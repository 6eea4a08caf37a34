// A secret that was destroyed does not come back out of the service's own backups.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { dropOlderSecrets } from '../../src/recovery/drop-older-secrets.ts';
import { backUpService } from '../../src/recovery/service-backup.ts';
import { systemLocation } from '../../src/recovery/system-repository.ts';
import { prune } from '../../src/repository/prune.ts';
import { pinSnapshot, unpinSnapshot } from '../../src/repository/registry.ts';
import { Repository } from '../../src/repository/repository.ts';
import { BackupSession } from '../../src/repository/sessions.ts';
import { openStore } from '../../src/store/open.ts';
import { newHoldfast } from '../cli/holdfast.ts';
import { START } from '../support/catalog-things.ts';
import { processFacts } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { type Home, openHome } from '../support/service-home.ts';

const signal = new AbortController().signal;

async function openSystem(home: Home): Promise<Repository> {
  const store = await openStore(systemLocation(home.store));
  const passphrase = readFileSync(join(home.secrets, 'system.passphrase'));
  const repository = await Repository.open({ store, passphrase, cacheDirectory: home.cache, process: processFacts() });
  onTestFinished(() => repository.close());
  return repository;
}

/** As "catalog backup" does, and nothing is thinned out. */
function backUp(home: Home, repository: Repository): ReturnType<typeof backUpService> {
  return backUpService({
    catalog: home.catalog,
    repository,
    secretsDirectory: home.secrets,
    scratchDirectory: home.home,
    host: 'test',
    user: 'test',
    program: 'test',
    now: () => START,
    signal,
  });
}

it('of secrets that were destroyed no older backup keeps a block, also where packs were merged, and the others come back', async () => {
  const program = newHoldfast();
  const directory = scratchDirectory();
  const home = await openHome(join(directory, 'home'));
  const { tenant } = await home.tenant(0);
  program.summary(['catalog', 'backup', '--home', home.home]);
  const repository = await openSystem(home);
  // Many small packs are merged by a prune: then a dead secret shares its pack with what lives.
  for (let n = 0; n < 16; n++) {
    writeFileSync(join(home.secrets, 'gone.passphrase'), `a secret ${n}`, { mode: 0o600 });
    await backUp(home, repository);
  }
  expect((await prune(repository, { by: 'test' })).packsMoved, 'this is about packs that hold several').toBeGreaterThan(15);
  rmSync(join(home.secrets, 'gone.passphrase'));
  const summary = program.summary(['catalog', 'backup', '--home', home.home, '--drop-older-secrets']);
  expect(summary['secretsDropped']).toBeGreaterThan(1);
  const system = ['--repo', systemLocation(home.store), '--passphrase-file', join(home.secrets, 'system.passphrase')];
  expect(program.lines(['snapshots', ...system]).filter(({ asset }) => asset === 'holdfast/secrets')).toHaveLength(1);
  expect(program.run(['verify', '--full', ...system])).toMatchObject({ status: 0 });
  const again = join(directory, 'again');
  program.summary(['catalog', 'restore', ...system, '--home', again]);
  expect(readdirSync(join(again, 'secrets')).sort()).toEqual(['system.passphrase', `${tenant.id}.passphrase`]);
});

it('a backup of the service that runs, or a reader of an older one, is waited for', async () => {
  const program = newHoldfast();
  const home = await openHome(join(scratchDirectory(), 'home'));
  program.summary(['catalog', 'backup', '--home', home.home]);
  const repository = await openSystem(home);
  const { secrets: first } = await backUp(home, repository);
  const { secrets } = await backUp(home, repository);
  const drop = () => dropOlderSecrets(repository, secrets, { by: 'test', signal });
  const pinned = await pinSnapshot(repository.heads, first.id, repository.process);
  await expect(drop()).rejects.toMatchObject({ code: 'ERASURE_WAITS', message: expect.stringContaining('is being read') });
  await unpinSnapshot(repository.heads, pinned.holder);
  const details = { assetId: '0'.repeat(32), process: repository.process };
  const other = await BackupSession.begin(repository.heads, details);
  await expect(drop()).rejects.toMatchObject({ code: 'ERASURE_WAITS', message: expect.stringContaining('another backup') });
  await other.abandon();
  expect(await drop()).toBe(0);
});

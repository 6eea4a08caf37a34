// ops/runbooks/lost-service.md, executed.

import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { appendAudit } from '../../src/trust/audit-chain.ts';
import { CHECKOUT } from '../architecture/source-files.ts';
import { moment } from '../support/catalog-things.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { openHome } from '../support/service-home.ts';

it('the runbook of a lost service brings it back', async () => {
  const text = readFileSync(join(CHECKOUT, 'ops/runbooks/lost-service.md'), 'utf8');
  const [backup, ...steps] = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands!);
  expect(steps).toHaveLength(4);
  const directory = scratchDirectory();
  const home = await openHome(join(directory, 'old'));
  const { assets } = await home.tenant(1);
  await home.backUp(assets[0]!);
  await appendAudit(home.catalog, { at: moment(0), actor: 'person:a', actorLabel: 'A', action: 'x', outcome: 'done', details: {} });
  const variables = {
    PATH: `${join(CHECKOUT, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: directory,
    HOLDFAST_CACHE_DIR: join(directory, 'cache'),
    OLD_HOME: home.home,
    NEW_HOME: join(directory, 'new'),
    STORE: home.store,
    SAFE: join(directory, 'safe'),
  };
  const run = (commands: string): void => {
    const { status, stderr } = spawnSync('sh', ['-euc', commands], { env: variables, encoding: 'utf8' });
    expect({ commands, status, stderr: status === 0 ? '' : stderr }).toEqual({ commands, status: 0, stderr: '' });
  };
  run(backup!);
  copyFileSync(join(home.secrets, 'system.passphrase'), variables.SAFE);
  const since = await home.backUp(assets[0]!);
  await home.close();
  renameSync(home.store, join(directory, 'store'));
  renameSync(home.home, join(directory, 'lost'));
  variables.STORE = join(directory, 'store');
  for (const step of steps) run(step);
  const again = await openHome(variables.NEW_HOME, 2);
  expect(await again.catalog.recoveryPoints.latest(assets[0]!.id)).toMatchObject({ snapshot: since });
});

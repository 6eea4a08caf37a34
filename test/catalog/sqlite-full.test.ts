// A catalogue whose disk is full: what was acknowledged stays, what was not is refused by its name, and it goes on when there is room again.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { openSqliteCatalog } from '../../src/catalog/sqlite/open.ts';
import { catalogThings, START } from '../support/catalog-things.ts';
import { mayMount, mountTmpfs, scratchDirectory, unmount } from '../support/scratch.ts';

it.skipIf(!mayMount())('a full disk loses nothing that was acknowledged', async () => {
  const disk = join(scratchDirectory(), 'disk');
  mkdirSync(disk);
  mountTmpfs(disk, '2m');
  onTestFinished(() => unmount(disk));
  const options = { now: () => START, random: catalogThings().random };
  const catalog = await openSqliteCatalog({ path: join(disk, 'catalog.sqlite'), ...options });
  const value = 'x'.repeat(5000);
  const acknowledged: string[] = [];
  const failures: unknown[] = [];
  // Many at once: they share transactions, and one that fills the disk ends all of its neighbours.
  for (let round = 0; failures.length === 0; round++) {
    const writes = Array.from({ length: 20 }, (_, n) =>
      catalog.settings.set(`${round}-${n}`, value).then(
        () => acknowledged.push(`${round}-${n}`),
        (error: unknown) => failures.push(error),
      ),
    );
    await Promise.all(writes);
  }
  for (const failure of failures) expect(isFault(failure, 'CATALOG_FULL', 'CATALOG_FAILED'), String(failure)).toBe(true);
  expect(acknowledged.length).toBeGreaterThan(20);
  const failed = catalog.transaction(async (tables) => {
    for (let n = 0; n < 100; n++) await tables.settings.set(`long-${n}`, value);
  });
  await expect(failed).rejects.toMatchObject({ code: expect.stringMatching(/^CATALOG_(?:FULL|FAILED)$/) });
  for (const name of acknowledged) expect(await catalog.settings.get(name), name).toBe(value);
  expect(await catalog.settings.get('long-0')).toBeUndefined();
  await expect(catalog.backUpTo(join(disk, 'copy'))).rejects.toThrow();

  execFileSync('mount', ['-o', 'remount,size=20m', disk]);
  await catalog.settings.set('after', value);
  await catalog.check();
  await catalog.close();
  const again = await openSqliteCatalog({ path: join(disk, 'catalog.sqlite'), ...options });
  onTestFinished(() => again.close());
  for (const name of [...acknowledged, 'after']) expect(await again.settings.get(name), name).toBe(value);
});

// Executes a backup of the catalogue: a consistent copy of it as a file, that file as a snapshot in the repository of the tenant of the run, and the
// copies before it thinned out. The last restore begins with this: bucket, passphrase, this program.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT } from '../base/faults.ts';
import { endOfFailure, resultOf, runVerb, type ServiceRun } from './service-run.ts';

export const CATALOG_ASSET = 'holdfast/catalog';
const KEEP = ['--keep-last', '3', '--keep-daily', '14', '--keep-weekly', '8', '--keep-monthly', '12', '--time-zone', 'UTC'];

export const runCatalogBackup: ServiceRun = async (ports, execution) => {
  const { catalog, scratchDirectory } = ports;
  const { run, signal, tell } = execution;
  const directory = join(scratchDirectory, run.id);
  // Left by an attempt that died.
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    const copy = join(directory, 'catalog.sqlite');
    tell({ phase: 'copying the catalogue', bytesDone: 0 });
    await catalog.backUpTo(copy, signal);
    const outcome = await runVerb(ports, execution, [
      'backup',
      copy,
      '--type',
      'files',
      '--asset',
      CATALOG_ASSET,
      '--tag',
      'catalog',
    ]);
    const { end, summary } = outcome;
    if (summary === undefined || (end.status !== 0 && end.status !== EXIT.warnings)) return endOfFailure(outcome);
    const thinned = await runVerb(ports, execution, ['forget', '--asset', CATALOG_ASSET, ...KEEP]);
    const result = { ...resultOf(summary), forgotten: resultOf(thinned.summary).forgotten ?? 0 };
    // The copy is safe; that older ones stay is no failure of it.
    return end.status === 0 && thinned.end.status === 0 ? { state: 'succeeded', result } : { state: 'warned', result };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

// Executes a backup of the service itself: "holdfast catalog backup" makes it (src/recovery/service-backup.ts), and what older ones alone held is
// pruned from the repository that is the service's own. The run belongs to a tenant only because every run does.

import { join } from 'node:path';
import { SYSTEM_PASSPHRASE } from '../recovery/system-repository.ts';
import { endOfFailure, outcomeOf, resultOf, type ServiceRun } from './service-run.ts';

export const runCatalogBackup: ServiceRun = async (ports, execution) => {
  const { home, store } = ports.service;
  const { environment } = await ports.tenants.place(execution.run.tenantId);
  const cache = ['--cache-dir', join(home, 'cache')];
  const backup = ['catalog', 'backup', '--home', home, ...(store === undefined ? [] : ['--store', store]), ...cache];
  const outcome = await outcomeOf(ports, execution, environment, backup);
  const { end, summary } = outcome;
  const location = summary?.location;
  if (end.status !== 0 || typeof location !== 'string') return endOfFailure(outcome);
  const passphraseFile = join(home, 'secrets', SYSTEM_PASSPHRASE);
  const prune = ['prune', '--repo', location, '--passphrase-file', passphraseFile, ...cache];
  const pruned = await outcomeOf(ports, execution, environment, prune);
  const result = { ...resultOf(summary), bytesFreed: resultOf(pruned.summary).bytesFreed ?? 0 };
  if (pruned.end.status === 0) return { state: 'succeeded', result };
  // The backup is safe; that its repository could not be cleaned up is to be seen.
  const { fault } = endOfFailure(pruned);
  return { state: 'warned', result, ...(fault === undefined ? {} : { fault }) };
};

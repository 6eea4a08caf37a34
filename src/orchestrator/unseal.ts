// After an undo the sites store and copy log of the epoch again. A site that cannot be told would go on refusing it: so that is not passed
// over in silence, but somebody may say that it is done without it.

import { isFault } from '../base/faults.ts';
import type { StepOutcome } from '../dr/failover.ts';
import type { Facts, FailoverJournal } from '../dr/failover-journal.ts';
import type { OrchestratorPorts } from './ports.ts';
import { saidYes, waitsFor } from './run-actions.ts';

const PATIENCE_MS = 10_000;

export async function unsealAll(
  ports: OrchestratorPorts,
  journal: FailoverJournal,
  facts: Facts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const newest = (await ports.journal.read({ signal })).journal;
  const sites = [journal.from, journal.to];
  const problems = await Promise.all(sites.map((site) => problemAt(ports, newest, site, signal)));
  const by = sites.flatMap((site, i) => {
    const action = `unseal.${site}`;
    if (problems[i] === undefined || saidYes(newest, action).length > 0) return [];
    return [waitsFor(action, `${site} still refuses log of the epoch: ${problems[i]}; reach it, or say yes to leave it so`)];
  });
  return by.length > 0 ? { kind: 'blocked', by } : { kind: 'done', facts };
}

async function problemAt(
  { site }: OrchestratorPorts,
  { id, databases }: FailoverJournal,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const call = { signal: AbortSignal.any([signal, limit]) };
  try {
    await Promise.all(databases.map(({ asset, epoch }) => site(name).unseal(asset, { epoch, failover: id }, call)));
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit.aborted) return `no answer within ${PATIENCE_MS} ms`;
    if (!isFault(error)) throw error;
    return error.message;
  }
}

// A rehearsal: the snapshot is restored into a place of its own, read again, compared with the digests of its map, and removed. How long it
// took until everything was there is the measured recovery time.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { pathFromText } from '../../src/model/entry-path.ts';
import { makeRestoreDirectory } from './restore-place.ts';
import { type RestorePlace, RestoreWork } from './restore-work.ts';
import type { RunContext } from './run-context.ts';
import type { RunOutcome } from './run-messages.ts';

export async function restoreTestRun(context: RunContext): Promise<RunOutcome> {
  const { claimed, settings, home } = context;
  const { run } = claimed;
  if (claimed.asset?.source.kind === 'postgres') return (await import('./cluster-test-run.ts')).clusterTestRun(context);
  const asked = run.parameters['target'];
  const base = typeof asked === 'string' && asked !== 'scratch' ? asked : home.restores;
  // A name of its own: what an attempt before left behind (it was killed) goes first, and nothing else is ever removed.
  const target = join(base, `rehearsal-${run.id}`);
  makeRestoreDirectory(base, settings.allowRestore);
  rmSync(target, { recursive: true, force: true });
  const directory = pathFromText(makeRestoreDirectory(target, settings.allowRestore));
  const startedMs = performance.now();
  try {
    const work = await RestoreWork.open(context);
    try {
      const place: RestorePlace =
        work.reader.snapshot.type === 'files'
          ? { kind: 'tree', directory, below: '', rootName: 'content', delta: false }
          : { kind: 'content', path: `${directory}/content`, delta: false };
      await work.restore(place);
      const rtoMs = Math.round(performance.now() - startedMs);
      await work.check(place);
      return outcomeOf(work, rtoMs, Math.round(performance.now() - startedMs));
    } finally {
      await work.close();
    }
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

function outcomeOf(work: RestoreWork, rtoMs: number, durationMs: number): RunOutcome {
  const { damaged, differing, problems, reader } = work;
  const result = { ...work.describe(), differing, rtoMs, durationMs };
  if (damaged > 0 || differing > 0) {
    const code = 'RESTORE_TEST_DIFFERS';
    const text = `The rehearsal of the snapshot ${reader.snapshot.id}: ${damaged} entries are damaged or lost, ${differing} differ`;
    const { message, hint } = new Fault(code, text);
    return { state: 'failed', result, fault: { code, message, hint } };
  }
  return { state: problems === 0 ? 'succeeded' : 'warned', result };
}

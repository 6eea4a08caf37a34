// Which rows an old primary had changed behind the seal. The cluster is brought to the seal in a sandbox, from the repository, and the rows of
// all blocks that the divergent log touches are read; then the sandbox replays that log to its end, and the same blocks are read again. No
// row changes without its block being touched, so what differs between the two is all there is. The old primary's directory is not used.
//
// The sandbox takes the log from what was exported. It is as large as the cluster, and is gone afterwards.

import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import type { ClusterFacts } from '../../src/engine/cluster-facts.ts';
import { planRecovery } from '../../src/engine/recovery-plan.ts';
import { formatLsn } from '../../src/model/lsn.ts';
import { RecoveryProgress } from '../postgres/recovery-progress.ts';
import { shellWord } from '../postgres/recovery-settings.ts';
import { type ClusterRestore, type RestoredCluster, restoreCluster } from '../postgres/restore.ts';
import { RestoredServer } from '../postgres/restored-server.ts';
import { serverFactsOf } from '../postgres/server-programs.ts';
import { parseHistory } from '../postgres/timeline-history.ts';
import { samePlace } from '../postgres/wal-records.ts';
import type { DivergentLog } from './divergent-log.ts';
import { DIVERGENT_LOG, type RowsFound } from './export-divergence.ts';
import { type DatabaseTables, readTouched, writeDifferences } from './touched-rows.ts';

const PREFIX = 'holdfast-divergence-';
const ROWS = 'rows.jsonl';

export type ListRows = Pick<ClusterRestore, 'repository' | 'programs' | 'program' | 'helper' | 'threads' | 'signal'> & {
  /** Of the old primary's own site. */
  readonly cluster: ClusterFacts;
  /** Where the sandbox lies. */
  readonly directory: string;
};

/** `exported`: the directory that holds the log. */
export async function listDivergentRows(options: ListRows, log: DivergentLog, exported: string): Promise<RowsFound> {
  const { cluster, directory } = options;
  const plan = await planRecovery(cluster.facts, log.timeline, { kind: 'position', position: log.from - 1 }, true);
  if (plan.kind !== 'plan') throw new Fault('RECOVERY_REFUSED', `The state at the seal cannot be recovered: ${plan.reason}`);
  makeDirectory(directory);
  const holder = mkdtempSync(join(directory, PREFIX));
  // The server's user has to come through to its directory, which nobody else can enter.
  chmodSync(holder, 0o711);
  const dataDirectory = join(holder, 'data');
  let restored: RestoredCluster | undefined;
  try {
    const quiet = { tablespaces: {}, settings: {}, progress: new RecoveryProgress(), onStep: () => {} };
    restored = await restoreCluster({ ...options, ...quiet, plan, dataDirectory, action: 'pause' });
    let before: DatabaseTables;
    try {
      before = await readTouched(restored.server, log.relations);
    } finally {
      await restored.server.stop();
      await restored.finish();
    }
    const server = replayRest(options, log, { restored, dataDirectory, exported, base: plan.base.snapshot });
    try {
      await server.until(
        async (sql) => ((await sql.value('SELECT pg_is_in_recovery()')) === 'f' ? true : undefined),
        options.signal,
      );
      mustHaveReplayed(dataDirectory, log, cluster, plan.base.snapshot);
      const after = await readTouched(server, log.relations);
      return { kind: 'listed', file: ROWS, tables: writeDifferences(before, after, join(exported, ROWS)) };
    } finally {
      await server.stop('now');
    }
  } finally {
    if (restored !== undefined) rmSync(restored.sandbox, { recursive: true, force: true });
    rmSync(holder, { recursive: true, force: true });
  }
}

type Rest = {
  readonly restored: RestoredCluster;
  readonly dataDirectory: string;
  readonly exported: string;
  readonly base: string;
};

/** Started again where it stood, with the exported log and nothing else: it comes up at the end of that. */
function replayRest({ cluster, programs }: ListRows, log: DivergentLog, rest: Rest): RestoredServer {
  const { restored, dataDirectory, exported, base } = rest;
  const { sandbox, owner } = restored;
  const place = join(sandbox, 'divergent');
  mkdirSync(place, { mode: 0o700 });
  if (owner !== undefined) chownSync(place, owner.uid, owner.gid);
  for (const name of log.segments) {
    copyFileSync(join(exported, DIVERGENT_LOG, name), join(place, name));
    if (owner !== undefined) chownSync(join(place, name), owner.uid, owner.gid);
  }
  const file = `${shellWord(place)}/"%f"`;
  const server = serverFactsOf(cluster.snapshots.get(base)!);
  return RestoredServer.start({
    programs,
    dataDirectory,
    directory: sandbox,
    owner,
    role: server.role,
    database: server.database,
    version: Number.parseInt(server.version, 10),
    settings: {
      // All there is beside what was replayed before, which lies in the directory: that it ends is proven, and looked at afterwards.
      restore_command: `test -f ${file} && cp ${file} "%p"`,
      recovery_target: '',
      recovery_target_lsn: '',
      recovery_target_action: 'promote',
    },
  });
}

/** Its new history says where it came up. */
function mustHaveReplayed(dataDirectory: string, log: DivergentLog, cluster: ClusterFacts, base: string): void {
  const { segmentBytes } = serverFactsOf(cluster.snapshots.get(base)!);
  const directory = join(dataDirectory, 'pg_wal');
  const name = readdirSync(directory)
    .filter((one) => /^[0-9A-F]{8}\.history$/.test(one))
    .sort()
    .at(-1);
  const timeline = Number.parseInt(name ?? '0', 16);
  const ended = name === undefined ? undefined : parseHistory(readFileSync(join(directory, name), 'utf8'), timeline).at(-1)?.until;
  if (ended !== undefined && samePlace(ended, log.to, segmentBytes)) return;
  throw new Fault(
    'PG_RECOVERY_FAILED',
    `The sandbox replayed the divergent log up to ${ended === undefined ? 'nowhere' : formatLsn(ended)} instead of ${formatLsn(log.to)}`,
  );
}

// Making a standby: the newest base of the repository whose log leads to the end of a timeline, as files; then the settings of a standby
// instead of those of a restore. pg_control comes last, so what was cut short starts nowhere, and the same call goes on with it. Over the
// directory of an old primary only what differs is fetched (`delta`).

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { baseFactsOf, type ClusterFacts } from '../../src/engine/cluster-facts.ts';
import { type Leg, pathTo, type RecoveryBase, type RecoveryPlan, wayFrom } from '../../src/engine/recovery-plan.ts';
import type { RestoreProgress } from '../../src/engine/restore-progress.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { DataDirectory } from '../postgres/data-directory.ts';
import { raisedFloor } from '../postgres/recovery-settings.ts';
import { checkLaterTablespaces, keepConfiguration, notesOnWay, ownerOf } from '../postgres/restore.ts';
import { type BaseReader, placeTablespaces, poolOf, restoreBase, restoreControl } from '../postgres/restore-base.ts';
import type { ServerFacts } from '../postgres/server-facts.ts';
import { checkPrograms } from '../postgres/server-programs.ts';
import { configureStandby, type StandbyFacts, writeStandby } from './standby-directory.ts';

export type MakeStandby = {
  /** Of its own site. */
  readonly repository: BaseReader & { readonly openIndex?: Repository['openIndex'] };
  readonly cluster: ClusterFacts;
  readonly asset: string;
  /** Absent: the one that was captured last. */
  readonly timeline?: number;
  /** Absolute; new or empty. */
  readonly dataDirectory: string;
  /** Over the data directory of this cluster, whose server is stopped. */
  readonly delta?: boolean;
  /** By oid; others go where they lay before, or to `<data directory>-tablespaces/<oid>`. */
  readonly tablespaces: Readonly<Record<string, string>>;
  readonly programs: string;
  /** What the helper is started by: "holdfast". */
  readonly program: readonly string[];
  readonly threads: number;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly progress: RestoreProgress;
};

export type StandbyWay = { readonly base: RecoveryBase; readonly legs: readonly Leg[] };

/** The newest base that leads to the end of a timeline. RECOVERY_REFUSED when none does. */
export function standbyWay({ facts, view }: ClusterFacts, timeline: number): StandbyWay {
  if (pathTo(timeline, facts.lineages) === undefined)
    throw new Fault('RECOVERY_REFUSED', `It is not known where timeline ${timeline} comes from: its history is not stored`);
  const ways = facts.bases
    .map((base) => wayFrom(base, timeline, facts))
    .filter((way) => way?.isWhole === true)
    .sort((a, b) => b!.base.stop - a!.base.stop);
  const way = ways.find((one) => one!.legs.at(-1)!.timeline === timeline) ?? ways[0];
  if (way === undefined)
    throw new Fault(
      'RECOVERY_REFUSED',
      `There is no base backup whose log is whole on the way to timeline ${timeline} (${facts.bases.length} bases, the log ends on timeline ${view.timeline})`,
    );
  return way;
}

/** The directory is a standby when it returns; its server is started by the gate. TARGET_OCCUPIED, RECOVERY_REFUSED. */
export async function makeStandby(make: MakeStandby): Promise<StandbyFacts> {
  const { cluster, asset, repository: reader, threads, signal, progress, program, now } = make;
  const timeline = make.timeline ?? cluster.view.timeline;
  const { base, legs } = standbyWay(cluster, timeline);
  const plan: RecoveryPlan = { kind: 'plan', base, legs, stopAt: undefined, timeline };
  const snapshot = cluster.snapshots.get(base.snapshot)!;
  const found = baseFactsOf(snapshot);
  const server = JSON.parse(found.server) as ServerFacts;
  checkPrograms(make.programs, server);
  const notes = await notesOnWay({ plan, cluster });
  const wish = { delta: make.delta === true, systemId: found.systemId, plan: JSON.stringify({ standby: timeline, base }) };
  const directory = await DataDirectory.take(make.dataDirectory, wish);
  try {
    checkLaterTablespaces(notes);
    const tablespaces = placeTablespaces(found.tablespaces, make.tablespaces, directory);
    directory.begin(tablespaces);
    await reader.openIndex?.({ signal });
    const facts: StandbyFacts = {
      version: 1,
      asset,
      systemId: found.systemId,
      serverVersion: server.version,
      segmentBytes: server.segmentBytes,
      floor: raisedFloor(server.floor, notes),
      base: base.snapshot,
      madeAt: now().toISOString(),
      timeline,
      sealed: null,
    };
    const pool = poolOf(reader, threads, signal);
    const restore = { reader, snapshot, directory, tablespaces, pool, progress };
    try {
      await restoreBase(restore);
      const owner = ownerOf(directory.path);
      keepConfiguration(directory.path, owner, server.segmentBytes);
      rmSync(join(directory.path, 'postmaster.pid'), { force: true });
      configureStandby(directory.path, facts, program, owner);
      writeStandby(directory.path, facts, owner);
      await restoreControl(restore, cluster.view);
    } finally {
      await pool.close();
    }
    directory.done();
    return facts;
  } finally {
    directory.release();
  }
}

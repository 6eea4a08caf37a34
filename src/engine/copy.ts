// Copying snapshots to another repository, which has keys, ids and cuts of its own: content is read and stored anew, as if it were backed
// up there. A copy carries a tag that names its origin, so it is made once.
//
// Only what is missing is read: the copy of an earlier snapshot is the parent of the new one, and where the origin of that parent and the
// snapshot at hand agree (by the digests of their maps), the parent's content is taken as it is. What an interrupted copy had stored is
// found again by dedup.

import { Fault } from '../base/faults.ts';
import { isOriginTag, originTag } from '../model/origin-tag.ts';
import { bytesEqual } from '../model/reference.ts';
import type { Snapshot, SnapshotRoot } from '../model/snapshot.ts';
import { hex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { listSnapshots } from '../repository/snapshots.ts';
import { backUp } from './backup.ts';
import { BackupProgress } from './backup-progress.ts';
import { backUpStream } from './backup-stream.ts';
import { type CopyBase, type CopyProgress, type CopyRun, counted } from './copy-run.ts';
import { copyTree } from './copy-tree.ts';
import { copyUnits } from './copy-units.ts';
import { readContent } from './restore-single.ts';

export type CopyOptions = {
  readonly threads: number;
  readonly level?: number | undefined;
  readonly signal: AbortSignal;
  readonly progress: CopyProgress;
};

function originOf({ parameters }: Repository, { id }: Snapshot): string {
  return originTag(hex(parameters.id), id);
}

/** Those that `to` does not have, oldest first. A copy that was brought back to where its origin is counts as there. USAGE when both are
 *  one repository, or when units of one cannot lie in the other: before anything is copied. */
export async function missingCopies(
  from: Repository,
  to: Repository,
  snapshots: readonly Snapshot[],
  signal: AbortSignal,
): Promise<Snapshot[]> {
  if (hex(from.parameters.id) === hex(to.parameters.id))
    throw new Fault('USAGE', `${from.store.location} and ${to.store.location} are one repository`, {
      hint: 'Name another repository with --to.',
    });
  if (from.parameters.paged.unitBytes !== to.parameters.paged.unitBytes)
    throw new Fault('USAGE', `The repository at ${to.store.location} has units of another size than ${from.store.location}`, {
      hint: 'Copy to a repository that was made with the same parameters.',
    });
  const there = await listSnapshots(to, await to.heads.read({ signal }), { signal });
  const origins = new Set(there.flatMap(({ tags }) => tags));
  for (const snapshot of there) origins.add(originOf(to, snapshot));
  return snapshots.filter(
    (snapshot) => !origins.has(originOf(from, snapshot)) && !snapshot.tags.some((tag) => isOriginTag(tag) && origins.has(tag)),
  );
}

/** Answers the copy. Both indexes need not be open. */
export async function copySnapshot(from: Repository, to: Repository, snapshot: Snapshot, options: CopyOptions): Promise<Snapshot> {
  const { threads, level, signal, progress } = options;
  await from.openIndex({ signal });
  const { asset, type, host, user, paths, tags, program, startedAt, endedAt, statistics } = snapshot;
  progress.bytesTotal = snapshot.root.contentBytes;
  progress.bytesDone = 0;
  // A copy shows the times of its origin: asked for at its beginning and at its end.
  const times = [startedAt, endedAt];
  const now = (): Date => new Date(times.length > 1 ? times.shift()! : times[0]!);
  const recorded = new BackupProgress();
  const details = {
    asset,
    type,
    host,
    user,
    paths,
    program,
    now,
    threads,
    level,
    signal,
    tags: [...tags, originOf(from, snapshot)],
    progress: recorded,
    listener: { onProblem: () => {} },
  };
  const copied = await backUp(to, details, async ({ pipeline, parent }) => {
    const base = await baseOf(from, parent, signal);
    const root = await copyRoot({ from, to, pipeline, progress, signal }, snapshot, base);
    const { files, directories, others, bytesScanned, filesUnchanged, bytesRead } = statistics;
    Object.assign(recorded, { files, directories, others, bytesScanned, filesUnchanged, bytesRead, problems: snapshot.problems });
    return {
      root,
      ...(snapshot.volume === undefined ? {} : { volume: snapshot.volume }),
      ...(snapshot.facts === undefined ? {} : { facts: snapshot.facts }),
    };
  });
  progress.bytesStored += copied.statistics.bytesStored;
  return copied;
}

async function baseOf(from: Repository, parent: Snapshot | undefined, signal: AbortSignal): Promise<CopyBase | undefined> {
  if (parent === undefined) return undefined;
  const head = await from.heads.read({ signal });
  const original = (await listSnapshots(from, head, { signal }, from.keyring.assetId(parent.asset))).find((one) =>
    parent.tags.includes(originOf(from, one)),
  );
  return original?.root.kind === parent.root.kind ? { original: original.root, copy: parent.root } : undefined;
}

async function copyRoot(run: CopyRun, { root }: Snapshot, base: CopyBase | undefined): Promise<SnapshotRoot> {
  const { from, to, pipeline, progress } = run;
  if (
    base !== undefined &&
    root.contentBytes === base.original.contentBytes &&
    bytesEqual(root.reference, base.original.reference)
  ) {
    progress.bytesDone = root.contentBytes;
    return base.copy;
  }
  if (root.kind === 'entries') return copyTree(run, root, base);
  if (root.kind === 'units') {
    const reference = await copyUnits(
      run,
      'volume',
      { root: root.reference, sizeBytes: root.contentBytes },
      base === undefined ? undefined : mapsOf(base),
    );
    return { ...root, reference };
  }
  const { parameters, readNode, reader } = from;
  const content = readContent(
    { kind: 'chunks-map', root: root.reference },
    root.contentBytes,
    parameters.paged.unitBytes,
    readNode,
    reader,
  );
  return backUpStream({
    session: pipeline,
    stream: counted(content, run),
    chunking: to.parameters.content,
    multiplier: to.keyring.multiplier,
    progress: new BackupProgress(),
  });
}

function mapsOf({ original, copy }: CopyBase) {
  const mapOf = ({ reference, contentBytes }: SnapshotRoot) => ({ root: reference, sizeBytes: contentBytes });
  return { original: mapOf(original), copy: mapOf(copy) };
}

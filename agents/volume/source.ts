// A disk image or a block device as the source of a backup.

import { Fault } from '../../src/base/faults.ts';
import type { BackupPipeline } from '../../src/engine/backup-pipeline.ts';
import type { BackupListener, BackupProgress } from '../../src/engine/backup-progress.ts';
import { backUpVolume } from '../../src/engine/backup-volume.ts';
import type { ChangedRange } from '../../src/engine/changed-ranges.ts';
import type { ReadNode } from '../../src/engine/content-map.ts';
import { isSettled } from '../../src/engine/settled.ts';
import { FileStat, HERE, OPEN, TYPE, TYPE_MASK } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import { isPosixError } from '../../src/files/posix-error.ts';
import { displayPath } from '../../src/model/entry-path.ts';
import type { Snapshot, SnapshotRoot, VolumeStat } from '../../src/model/snapshot.ts';

export type Volume = {
  /** Absolute, latin1, links followed. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Of a regular file; a device has no times that tell of its content. */
  readonly stat: VolumeStat | undefined;
};

/** SOURCE_UNREADABLE when it cannot be opened, USAGE when it is neither a file nor a block device. */
export function openVolume(path: string): Volume {
  const posix = posixCalls();
  const stat = new FileStat();
  let fd: number;
  try {
    fd = posix.open(HERE, path, OPEN.read | OPEN.nonBlocking, 0);
  } catch (error) {
    if (!isPosixError(error)) throw error;
    throw new Fault('SOURCE_UNREADABLE', `Cannot open the volume "${displayPath(path)}": ${error.message}`, { cause: error });
  }
  try {
    posix.lstat(fd, '', stat);
    const type = stat.mode & TYPE_MASK;
    if (type !== TYPE.file && type !== TYPE.blockDevice)
      throw new Fault('USAGE', `"${displayPath(path)}" is neither a file nor a block device`);
    const { mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, inodeLow, inodeHigh } = stat;
    const inode = `${inodeHigh}:${inodeLow}`;
    return {
      path,
      sizeBytes: posix.sizeOf(fd),
      stat: type === TYPE.file ? { mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, inode } : undefined,
    };
  } finally {
    posix.close(fd);
  }
}

export type VolumeSource = {
  readonly volume: Volume;
  readonly pipeline: BackupPipeline;
  readonly parent: Snapshot | undefined;
  readonly unitBytes: number;
  readonly changedRanges: readonly ChangedRange[] | undefined;
  /** Reads it although nothing tells of a change. */
  readonly rereadAll: boolean;
  readonly readNode: ReadNode;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
};

/** Reads the volume, or what may have changed of it. */
export async function readVolume(source: VolumeSource): Promise<{ readonly root: SnapshotRoot; readonly volume?: VolumeStat }> {
  const { volume, pipeline, parent, unitBytes, changedRanges, rereadAll, readNode, progress, listener } = source;
  const { path, sizeBytes, stat } = volume;
  progress.files = 1;
  const isSame = !rereadAll && changedRanges === undefined && parent?.root.kind === 'units' && isUnchanged(volume, parent);
  const kept = stat === undefined ? {} : { volume: stat };
  if (isSame) {
    progress.bytesScanned = progress.bytesDone = sizeBytes;
    progress.scanned = true;
    progress.filesUnchanged = 1;
    return { root: parent.root, ...kept };
  }
  const before = parent?.root.kind === 'units' ? { root: parent.root.reference, sizeBytes: parent.root.contentBytes } : undefined;
  const root = await backUpVolume({
    session: pipeline,
    path,
    sizeBytes,
    unitBytes,
    parent: before,
    changedRanges,
    readNode,
    progress,
    listener,
  });
  return { root, ...kept };
}

function isUnchanged({ sizeBytes, stat }: Volume, parent: Snapshot): boolean {
  const before = parent.volume;
  if (stat === undefined || before === undefined || parent.root.contentBytes !== sizeBytes) return false;
  const same =
    stat.mtimeSec === before.mtimeSec &&
    stat.mtimeNsec === before.mtimeNsec &&
    stat.ctimeSec === before.ctimeSec &&
    stat.ctimeNsec === before.ctimeNsec &&
    stat.inode === before.inode;
  return same && isSettled(before, Date.parse(parent.startedAt));
}

// A snapshot: an immutable captured state of an asset.

import type { References } from './reference.ts';

export type SourceType = 'files' | 'volume' | 'stream';

/** What a snapshot's map is and where its root lies. */
export type SnapshotRoot = {
  readonly kind: 'entries' | 'units' | 'chunks';
  /** No reference when there is nothing but zeros, or nothing at all. */
  readonly reference: References;
  /** Of a volume or stream: its length. Of a tree: the sum of its files. */
  readonly contentBytes: number;
  /** Of a tree; 1 otherwise. */
  readonly entries: number;
};

export type SnapshotStatistics = {
  readonly files: number;
  readonly directories: number;
  readonly others: number;
  /** Length of everything that the snapshot holds. */
  readonly bytesScanned: number;
  /** Read from the source: unchanged files and ranges are not. */
  readonly bytesRead: number;
  /** Chunks that were not in the repository, before compression. */
  readonly bytesNew: number;
  /** Written to the store. */
  readonly bytesStored: number;
  readonly filesUnchanged: number;
  readonly chunks: number;
  readonly chunksNew: number;
  readonly durationMs: number;
};

/** How a volume looked, so that an unchanged image file is not read again. */
export type VolumeStat = {
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly inode: string;
};

export type Snapshot = {
  /** 20 hex digits: the session that made it. */
  readonly id: string;
  readonly asset: string;
  readonly type: SourceType;
  readonly host: string;
  readonly user: string;
  /** Absolute, as given; latin1 (one char a byte). */
  readonly paths: readonly string[];
  readonly tags: readonly string[];
  /** RFC 3339. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** Snapshot that unchanged content was taken from. */
  readonly parent: string | undefined;
  readonly root: SnapshotRoot;
  readonly statistics: SnapshotStatistics;
  /** Entries that could not be read or changed while they were. */
  readonly problems: number;
  readonly volume?: VolumeStat;
  /** What the source says of its own state, by name: log positions of a base backup and the like. */
  readonly facts?: Readonly<Record<string, string>>;
  readonly program: string;
};

/** What the result of a backup's run says of its snapshot. */
export function backupResult({ id, statistics, problems }: Snapshot): Readonly<Record<string, string | number>> {
  const { files, filesUnchanged, bytesScanned, bytesRead, bytesNew, bytesStored, durationMs } = statistics;
  return { snapshot: id, files, filesUnchanged, bytesScanned, bytesRead, bytesNew, bytesStored, durationMs, problems };
}

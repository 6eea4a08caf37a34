// What a backup says about single entries: whether they are as before, what a worker must know of them, what is kept of them.

import type { Xattr } from '../model/entry.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import { type ExpectedStat, type FileTaskResult, STAT_FIELDS } from '../worker/file-task.ts';
import type { SourceEntry } from './file-source.ts';
import type { LargeResult } from './large-content.ts';

/** What is kept of an entry, but for its path and its content. */
type StoredStat = Omit<StoredEntry, 'path' | 'content'>;

/** The content cannot have changed: a change of it changes the time of modification, or at least that of the inode. */
export function isUnchanged(entry: SourceEntry, before: StoredStat): boolean {
  return (
    entry.sizeBytes === before.sizeBytes &&
    entry.mtimeSec === before.mtimeSec &&
    entry.mtimeNsec === before.mtimeNsec &&
    entry.ctimeSec === before.ctimeSec &&
    entry.ctimeNsec === before.ctimeNsec &&
    entry.inode === before.inode
  );
}

export function statsOf(slots: readonly { readonly entry: SourceEntry }[]): Float64Array {
  const stats = new Float64Array(slots.length * STAT_FIELDS);
  slots.forEach(({ entry }, i) => {
    stats[i * STAT_FIELDS] = entry.sizeBytes;
    stats[i * STAT_FIELDS + 1] = entry.mtimeSec;
    stats[i * STAT_FIELDS + 2] = entry.mtimeNsec;
    stats[i * STAT_FIELDS + 3] = entry.ctimeSec;
    stats[i * STAT_FIELDS + 4] = entry.ctimeNsec;
  });
  return stats;
}

export function expectedOf({ sizeBytes, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec }: SourceEntry): ExpectedStat {
  return { sizeBytes, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec };
}

export function problemOf(path: string, outcome: FileTaskResult['outcome']): LargeResult['problem'] {
  if (outcome === 'read') return undefined;
  if (outcome === 'changed')
    return { code: 'CHANGED', message: `"${displayPath(path)}" changed while it was read`, missing: false };
  return { code: outcome.problem, message: outcome.message, missing: true };
}

export function hasSameStat(entry: SourceEntry, before: StoredStat): boolean {
  return (
    entry.mode === before.mode &&
    entry.uid === before.uid &&
    entry.gid === before.gid &&
    entry.device === before.device &&
    entry.links === before.links &&
    entry.rdevMajor === before.rdevMajor &&
    entry.rdevMinor === before.rdevMinor &&
    entry.linkTarget === before.linkTarget
  );
}

export function storedEntry(entry: SourceEntry, content: Content, xattrs: readonly Xattr[], hardLinkTo: string): StoredEntry {
  const {
    path,
    kind,
    mode,
    uid,
    gid,
    sizeBytes,
    mtimeSec,
    mtimeNsec,
    ctimeSec,
    ctimeNsec,
    inode,
    device,
    links,
    rdevMajor,
    rdevMinor,
    linkTarget,
  } = entry;
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    sizeBytes,
    mtimeSec,
    mtimeNsec,
    ctimeSec,
    ctimeNsec,
    inode,
    device,
    links,
    rdevMajor,
    rdevMinor,
    linkTarget,
    content,
    xattrs,
    hardLinkTo,
  };
}

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string') throw error;
  return code;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// The port of a tree of files: what a backup of one needs from whoever can walk it (agents/files does).

import type { FileEntry, Xattr } from '../model/entry.ts';

export type SourceEntry = FileEntry & {
  /** Less than `sizeBytes` for a file with holes. */
  readonly allocatedBytes: number;
  /** Equal for names of one inode; '' for what has one name only. */
  readonly hardLinkKey: string;
};

export type SourceProblem = { readonly kind: 'problem'; readonly path: string; readonly code: string; readonly message: string };

export type FileSource = {
  /** Absolute paths of the roots, latin1. */
  readonly roots: readonly string[];
  /** Entries in canonical order of their paths in the snapshot. */
  readonly items: () => Iterable<SourceEntry | SourceProblem>;
  /** Where an entry's file lies: a root, and the path below it. */
  readonly locate: (path: string) => { readonly root: string; readonly path: string };
  /** Throws an error with a `code` when they cannot be read. */
  readonly readXattrs: (path: string) => readonly Xattr[];
};

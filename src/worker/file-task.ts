// What the main thread asks a worker to read, and what it answers. A task is a file, or an extent of a large one.

import type { Xattr } from '../model/entry.ts';
import type { References } from '../model/reference.ts';

/** How a file looked when it was found; a difference after reading means that it changed meanwhile. */
export type ExpectedStat = {
  readonly sizeBytes: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
};

export type FileTask = {
  /** Given back with the result. */
  readonly file: number;
  /** A root that was given to the backup, absolute, and the path below it ('' for the root itself); latin1. */
  readonly root: string;
  readonly path: string;
  /** The bytes from `offset` on, when they come from elsewhere: then no file is opened. */
  readonly bytes?: Uint8Array;
  /** Cut by content, or units by position; of a volume, where everything is compared and stored by position, new runs are cut by content. */
  readonly cut: 'content' | 'paged' | 'volume';
  readonly offset: number;
  readonly length: number;
  /** Compared after reading, when given (devices have none). */
  readonly expected: ExpectedStat | undefined;
  /** Paged: the leaves of the parent's map at these positions (plain nodes), null where it has none. */
  readonly parentLeaves: readonly (Uint8Array | null)[];
  /** Paged: of each unit of a leaf, 1 when it may have changed; absent when all may have. Units outside keep the parent's reference. */
  readonly changedUnits?: readonly (Uint8Array | null)[];
  /** Somebody writes the file while it is read: what a file system says of its holes may be older than what it gives to read. */
  readonly isWritten?: boolean;
  /** The file is made of pages with checksums; absent when it is not. */
  readonly pages?: PageCheck | undefined;
};

/** PostgreSQL's pages. */
export type PageCheck = {
  /** A power of two. */
  readonly pageBytes: number;
  /** Which page of its relation the file's first is: a relation goes on in the next file after 1 GiB. */
  readonly firstPage: number;
};

/** A page that stayed wrong however often it was read. */
export type BrokenPage = {
  /** Of the file, from 0 on. */
  readonly page: number;
  /** The log position of its last change, as it says. */
  readonly position: number;
};

export type PagedLeaf =
  /** The same as the parent's. */
  { readonly kind: 'same' } | { readonly kind: 'zero' } | { readonly kind: 'node'; readonly bytes: Uint8Array };

export type FileTaskResult = {
  readonly file: number;
  readonly offset: number;
  readonly bytesRead: number;
  readonly outcome: 'read' | 'changed' | { readonly problem: string; readonly message: string };
  /** Content. */
  readonly references: References;
  /** Paged. */
  readonly leaves: readonly PagedLeaf[];
  readonly brokenPages?: readonly BrokenPage[];
};

/** Small files that are cut by content, many in one message: objects for each would cost more than the files (measured: 0.5 s of 7 for
 *  60,000 files). */
export type FileBatch = {
  readonly root: string;
  readonly paths: readonly string[];
  /** STAT_FIELDS for each: size, mtime seconds, nanoseconds, ctime seconds, nanoseconds. */
  readonly stats: Float64Array;
};

export const STAT_FIELDS = 5;

export type FileBatchResult = {
  /** Of each file. */
  readonly referenceCounts: Uint32Array;
  /** Of all files, one after the other. */
  readonly references: References;
  readonly bytesRead: number;
  /** Files that were not read as they were found. */
  readonly outcomes: readonly { readonly file: number; readonly outcome: Exclude<FileTaskResult['outcome'], 'read'> }[];
  /** Of the files that have any, or whose could not be read. */
  readonly xattrs: readonly {
    readonly file: number;
    readonly xattrs: readonly Xattr[];
    readonly problem?: { readonly code: string; readonly message: string };
  }[];
};

export type WorkerTotals = {
  readonly bytesRead: number;
  readonly chunks: number;
  readonly newChunks: number;
  readonly newBytes: number;
  readonly zeroBytes: number;
};

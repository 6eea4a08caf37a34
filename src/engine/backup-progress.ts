// What a running backup tells about itself. Counters only grow; the reader decides how often to look.

export class BackupProgress {
  /** Length of what was found so far. */
  bytesScanned = 0;
  /** Of that, done: read, or known to be unchanged. */
  bytesDone = 0;
  bytesRead = 0;
  bytesStored = 0;
  entriesScanned = 0;
  entriesDone = 0;
  files = 0;
  directories = 0;
  others = 0;
  filesUnchanged = 0;
  problems = 0;
  /** True when the whole source has been looked at, so that bytesScanned is the total. */
  scanned = false;
  /** Latin1; the file that was begun last. */
  current = '';
}

export type BackupProblem = {
  readonly path: string;
  /** Name of the errno, 'CHANGED', or 'EMPTY' of a stream. */
  readonly code: string;
  readonly message: string;
  /** Whether the entry is missing from the snapshot; otherwise it is there, but perhaps of two minds. */
  readonly missing: boolean;
};

export type BackupListener = { readonly onProblem: (problem: BackupProblem) => void };

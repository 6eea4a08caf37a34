import type { AttributeProblem } from '../files/attributes.ts';

export class RestoreProgress {
  /** Of the content; grows while the tree is read when it is not known before. */
  bytesTotal = 0;
  bytesDone = 0;
  /** Fetched from the store. */
  bytesFetched = 0;
  /** Not fetched, because the target had them already. */
  bytesKept = 0;
  entriesTotal = 0;
  entriesDone = 0;
  problems = 0;
  current = '';
}

export type RestoreProblem = {
  readonly path: string;
  readonly code: string;
  readonly message: string;
  /** The attribute that could not be given; absent: the problem is another one. */
  readonly attribute?: AttributeProblem['what'];
};

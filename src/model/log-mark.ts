// A place in a log that recovery can stop at, or that says something about the log.

export type LogMark = {
  /** 'commit', 'abort': a transaction's end. 'point': a named place. 'floor': the database's parameters changed. */
  readonly kind: 'commit' | 'abort' | 'point' | 'floor';
  /** Where its record begins, and where the next one does. */
  readonly position: number;
  readonly end: number;
  /** The database's own clock, Unix time in microseconds; 0 when the record has none. */
  readonly time: number;
  /** Of the transaction; 0 otherwise. */
  readonly id: number;
  /** Of a point: its name. Of a floor: JSON. '' otherwise. */
  readonly text: string;
};

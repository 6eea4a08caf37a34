// A place in a log that recovery can stop at, or that says something about the log.

export type LogMark = {
  /** 'commit', 'abort': a transaction's end. 'point': a named place. 'note': something that a recovery over it must know. */
  readonly kind: 'commit' | 'abort' | 'point' | 'note';
  /** Where its record begins, and where the next one does. */
  readonly position: number;
  readonly end: number;
  /** The database's own clock, Unix time in microseconds; 0 when the record has none. */
  readonly time: number;
  /** Of the transaction; 0 otherwise. */
  readonly id: number;
  /** Of a point: its name. Of a note: JSON, the database's own. '' otherwise. */
  readonly text: string;
};

import type { LogEnd } from '../dr/writer-record.ts';
import { mustParseLsn } from '../model/lsn.ts';

/** Whether a log that ends at `end` holds what one that ends at `other` holds, both of one history. */
export function reaches(end: LogEnd, other: LogEnd): boolean {
  return end.timeline > other.timeline || (end.timeline === other.timeline && mustParseLsn(end.lsn) >= mustParseLsn(other.lsn));
}

/** Bytes of log of `to` that `from` has not. */
export function bytesBetween(from: LogEnd, to: LogEnd): number {
  return Math.max(0, mustParseLsn(to.lsn) - mustParseLsn(from.lsn));
}

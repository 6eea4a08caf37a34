// What a capture takes a server's log from: the server's sender (LogStream), or the files into which it writes it (WrittenLog).

export type LogEvent =
  /** Log from `start` on. The bytes are the caller's until it asks for the next event. */
  | { readonly kind: 'data'; readonly start: number; readonly bytes: Buffer; readonly serverEnd: number }
  | { readonly kind: 'keepalive'; readonly serverEnd: number; readonly wantsReply: boolean }
  /** The timeline ended at `position`, where `timeline` begins. */
  | { readonly kind: 'ended'; readonly timeline: number; readonly position: number };

export interface LogSource {
  /** PG_LOG_REMOVED when the server has the log no more; PG_SLOT_BUSY when somebody else reads from the slot. */
  next(): Promise<LogEvent>;
  /** `flushed`: durable up to here; the server may forget what lies before. */
  report(written: number, flushed: number, nowUnixMicros: number): void;
}

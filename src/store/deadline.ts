// Puts an end to every call: by the caller's signal or by a time limit, whichever comes first.

import { Fault } from '../base/faults.ts';

export type Deadline = {
  /** What is done, for the message: "put packs/00/ab in /backup". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
};

/** Runs `work`. When the time is over or the caller gives up, the promise rejects at once (STORE_TIMEOUT, or the signal's reason),
 *  and the signal given to `work` aborts; `work` itself may end later, and its outcome is then dropped. */
export async function withDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal, timeoutMs, what } = deadline;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const { promise: ended, reject: end } = Promise.withResolvers<never>();
  const stop = (reason: unknown) => {
    end(reason);
    controller.abort(reason);
  };
  const onAbort = () => stop(signal?.reason);
  const timer = setTimeout(() => stop(new Fault('STORE_TIMEOUT', `gave up after ${timeoutMs} ms: ${what}`)), timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  const working = work(controller.signal);
  working.catch(() => {});
  ended.catch(() => {});
  try {
    return await Promise.race([working, ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

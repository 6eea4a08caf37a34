// Events as they come, from the catalogue, which may have been written by another process: asked for again and again, in order, none twice.

import type { CatalogTables } from '../catalog/catalog.ts';
import type { Event } from '../model/event.ts';

const EVENTS_AT_ONCE = 100;

/** The greatest sequence that a tenant's events have; 0: none. */
export async function lastSequence({ events }: Pick<CatalogTables, 'events'>, tenantId: string): Promise<number> {
  const isAfter = async (sequence: number): Promise<boolean> => (await events.after(sequence, tenantId, 1)).length > 0;
  if (!(await isAfter(0))) return 0;
  let [low, high] = [0, 1];
  while (await isAfter(high)) [low, high] = [high, high * 2];
  // Something is after `low`, nothing after `high`.
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isAfter(middle)) low = middle;
    else high = middle;
  }
  return high;
}

/** Until the signal. */
export async function* eventsFrom(
  { events }: Pick<CatalogTables, 'events'>,
  tenantId: string,
  sequence: number,
  pollMs: number,
  signal: AbortSignal,
): AsyncGenerator<Event> {
  let after = sequence;
  while (!signal.aborted) {
    const found = await events.after(after, tenantId, EVENTS_AT_ONCE);
    for (const event of found) {
      yield event;
      after = event.sequence;
    }
    if (found.length < EVENTS_AT_ONCE) await pauseOf(pollMs, signal);
  }
}

/** Ends early with the signal. */
export function pauseOf(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    signal.addEventListener('abort', done);
  });
}

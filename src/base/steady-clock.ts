/** The time of day for the stamps of one piece of work: read once, and from there on counted by a clock that nobody sets. So a clock that is set
 *  in the middle of the work changes none of the durations that its stamps tell. `nowMs` may begin anywhere. */
export function steadyClock(now: () => Date, nowMs: () => number): () => Date {
  const aheadMs = now().getTime() - nowMs();
  return () => new Date(aheadMs + nowMs());
}

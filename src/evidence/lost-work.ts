/** By how much the clocks of two sites may differ before nothing is concluded from both: a heartbeat is no finer. */
const CLOCKS_MS = 1_000;

/** Work that is lost, in ms: from the newest heartbeat to the disaster. Null when that heartbeat was found before it was written: the clocks of
 *  the sites differ, and nobody can tell. All three in ms since 1970. */
export function lostWorkMs(of: {
  readonly newestMs: number;
  readonly foundMs: number;
  readonly disasterMs: number;
}): number | null {
  return of.newestMs > of.foundMs + CLOCKS_MS ? null : Math.max(0, of.disasterMs - of.newestMs);
}

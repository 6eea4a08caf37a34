// When an unchanged time of change proves unchanged content: only if it lay in the past already when the content was read. Two changes
// within one tick of the kernel's clock carry the same time; so do two within 2 s where times have whole seconds only.

const TICK_MS = 20;
const COARSE_TICK_MS = 2000;

/** `readMs`: when reading began (Unix time, ms), by the clock that made the times. */
export function isSettled(times: { readonly ctimeSec: number; readonly ctimeNsec: number }, readMs: number): boolean {
  const tick = times.ctimeNsec === 0 ? COARSE_TICK_MS : TICK_MS;
  return times.ctimeSec * 1000 + times.ctimeNsec / 1e6 < readMs - tick;
}

/** Runs `run` on every item, at most `inFlightMax` at a time. The first failure ends it: nothing new is started, and it is thrown once
 *  what was under way has ended. */
export async function forEachBounded<T>(items: Iterable<T>, inFlightMax: number, run: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  let failure: unknown;
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && !failed; next = iterator.next()) {
      try {
        await run(next.value);
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, lane));
  if (failed) throw failure;
}

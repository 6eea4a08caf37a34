// The walk of a large tree that is backed up again: this thread begins it while it waits for the repository, and a thread of its own goes
// on, so that walking and comparing with the parent snapshot take place at the same time. A first backup walks here: the processors are
// busy with its content, and a thread more is memory more.

import type { WalkRequest } from '../files/walk-request.ts';
import { Walker } from '../worker/walker.ts';
import type { SourceEntry, SourceProblem } from './file-source.ts';
import type { ReadAhead } from './read-ahead.ts';

type Item = SourceEntry | SourceProblem;

/** With fewer entries a thread takes longer to start than to walk. */
export const WALKED_HERE_MIN = 6_000;

/** All items of the tree at `location`, of which `ahead` has taken some. */
export async function* walkInThread(
  ahead: ReadAhead<Item>,
  location: string,
  request: WalkRequest,
): AsyncGenerator<Iterable<Item>, void, undefined> {
  // Behind a problem nobody could go on: it may have come after the content of a directory, or in its place.
  const taken = ahead.takeUntil((item, count) => count >= WALKED_HERE_MIN && item.kind !== 'problem');
  if (taken === undefined) {
    yield ahead.items();
    return;
  }
  const { path, kind } = taken.at(-1)!;
  const walker = new Walker(location, request, { path, isDirectory: kind === 'directory' });
  try {
    yield givenAway(taken);
    yield* walker.batches();
  } finally {
    await walker.close();
  }
}

/** Each is garbage when the consumer is done with it. */
function* givenAway(items: (Item | undefined)[]): Generator<Item, void, undefined> {
  for (let n = 0; n < items.length; n++) {
    const item = items[n]!;
    items[n] = undefined;
    yield item;
  }
}

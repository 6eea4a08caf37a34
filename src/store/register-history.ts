// How a writer learns what became of its swap when the answer was lost.
//
// Values of a register are numbered 1, 2, 3, ... A value's id is a digest of its bytes, and each value carries, beside it, the
// ids of its last predecessors. A swap from number n offers number n+1. Whoever sees any later value can therefore tell who won
// n+1: the id at that place is ours, or somebody else's, or the window has moved on (and only then nobody knows).

import { hash } from 'node:crypto';
import { REGISTER_HISTORY } from './object-store.ts';

export const VALUE_ID_HEX = 32;

export type RegisterHistory = {
  /** Number of the newest value. */
  readonly sequence: number;
  /** Ids, newest first: ids[i] is that of value number `sequence - i`. */
  readonly ids: readonly string[];
};

export type SwapOutcome = 'won' | 'lost' | 'pending' | 'unknown';

/** The id of a value: 128 bits of its SHA-256, in hex. */
export function valueId(bytes: Uint8Array): string {
  return hash('sha256', bytes).slice(0, VALUE_ID_HEX);
}

/** The history after one more value. */
export function extendHistory(history: RegisterHistory | undefined, id: string): RegisterHistory {
  return { sequence: (history?.sequence ?? 0) + 1, ids: [id, ...(history?.ids ?? [])].slice(0, REGISTER_HISTORY) };
}

/** What became of the swap from value number `base` (0: none) to the value `id`, judged from the history as it is `now`. */
export function swapOutcome(base: number, id: string, now: RegisterHistory | undefined): SwapOutcome {
  // Gone, or gone and made anew: whatever was there was deleted.
  if (now === undefined) return base === 0 ? 'pending' : 'lost';
  if (now.sequence <= base) return now.sequence === base ? 'pending' : 'lost';
  const place = now.sequence - (base + 1);
  if (place >= now.ids.length) return 'unknown';
  return now.ids[place] === id ? 'won' : 'lost';
}

// What a thread that walks is told, and what it answers.

import type { WalkedPlace } from '../files/walk.ts';
import type { WalkRequest } from '../files/walk-request.ts';
import type { ThreadFault } from './thread-fault.ts';
import type { WalkedBatch } from './walked-batch.ts';

/** Words of the shared memory: batches that were taken; not 0 when nobody wants more. */
export const TAKEN = 0;
export const STOPPED = 1;
export const WALK_WORDS = 2;

export type WalkThreadSpec = {
  /** Of the root. */
  readonly location: string;
  readonly request: WalkRequest;
  readonly after: WalkedPlace;
  /** WALK_WORDS of 32 bits. */
  readonly memory: SharedArrayBuffer;
};

export type WalkMessage = { readonly kind: 'batch'; readonly batch: WalkedBatch } | { readonly kind: 'end' } | ThreadFault;

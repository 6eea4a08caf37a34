// What is said between a drill and its watcher.

import type { ProcessIdentity } from '../../src/base/process-identity.ts';
import type { RoomIdentity } from './room.ts';

export type EndedWhy = 'killed' | 'time limit' | 'pre-empted' | 'no room';

export type WatchOrder = {
  readonly drill: string;
  readonly plan: string;
  /** What is removed at the end. */
  readonly work: string;
  /** Where it is recorded. */
  readonly directory: string;
  readonly process: ProcessIdentity;
  /** By the clock of boot-clock.ts. */
  readonly untilMs: number;
  readonly freeBytesMin: number;
  /** For whoever makes the view of failovers of it. */
  readonly view: unknown;
};

/** Each is answered with `noted`. */
export type ToWatcher =
  | { readonly kind: 'watch'; readonly order: WatchOrder }
  | { readonly kind: 'room'; readonly room: RoomIdentity }
  | { readonly kind: 'over' };

export type FromWatcher = { readonly kind: 'noted' } | { readonly kind: 'ended'; readonly why: EndedWhy; readonly text: string };

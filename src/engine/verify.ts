// Verifying a repository: its structure, and, sampled or whole, every byte of its packs.

import type { Repository } from '../repository/repository.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** structure: head, snapshots, maps, and that every reference leads into a pack that is there. sample, full: the bytes of packs too. */
export type VerifyDepth =
  | { readonly kind: 'structure' }
  | { readonly kind: 'sample'; readonly share: number; readonly seed: number }
  | { readonly kind: 'full' };

export class VerifyProgress {
  phase: 'structure' | 'packs' | 'damage' | 'done' = 'structure';
  snapshotsTotal = 0;
  snapshotsDone = 0;
  nodesDone = 0;
  packsTotal = 0;
  packsDone = 0;
  bytesTotal = 0;
  bytesDone = 0;
  /** Damaged things found so far. */
  damaged = 0;
}

export type VerifyOptions = {
  readonly depth: VerifyDepth;
  readonly threads: number;
  /** Affected paths named for each snapshot at the most, default 100; all are counted. */
  readonly pathsMax?: number;
  readonly signal?: AbortSignal;
  readonly progress?: VerifyProgress;
};

export type DamagedThing = {
  readonly kind: 'snapshot' | 'index' | 'pack' | 'block' | 'node' | 'session-key';
  /** Hex: session, index object, pack, block. */
  readonly id: string;
  /** Of a block: the pack it lies in, when known. */
  readonly pack?: string;
  /** What is wrong, for people. */
  readonly message: string;
};

export type AffectedPath = {
  /** Latin1; of a volume or stream ''. */
  readonly path: string;
  /** Set when a part of the tree cannot be listed: everything from `path` to before this one ('' for: to the end). */
  readonly until?: string;
};

export type AffectedSnapshot = {
  readonly session: string;
  /** '' when the snapshot itself cannot be read. */
  readonly asset: string;
  readonly startedAt: string;
  readonly paths: readonly AffectedPath[];
  /** All of them, named or not. */
  readonly pathsCount: number;
};

export type VerifyReport = {
  readonly outcome: 'clean' | 'damaged';
  readonly snapshots: number;
  readonly nodes: number;
  readonly packs: number;
  /** Packs whose bytes were read. */
  readonly packsRead: number;
  readonly bytesRead: number;
  /** The first ones; `damagedCount` counts all. */
  readonly damaged: readonly DamagedThing[];
  readonly damagedCount: number;
  readonly affected: readonly AffectedSnapshot[];
};

/** Damage is a value, not a fault: exit 4 when the outcome is 'damaged'. */
export async function verify(_repository: Repository, _options: VerifyOptions): Promise<VerifyReport> {
  throw new Error('not there yet');
}

export type ScrubOptions = { readonly threads: number; readonly signal?: AbortSignal; readonly progress?: VerifyProgress };

export type ScrubReport = {
  readonly outcome: 'clean' | 'damaged';
  readonly packs: number;
  readonly indexes: number;
  readonly bytesRead: number;
  /** Keys whose bytes are not those that their names say; the first ones. */
  readonly damaged: readonly { readonly key: string; readonly message: string }[];
  readonly damagedCount: number;
};

/** Names against bytes, for all that the store lists. Needs no key. */
export async function scrub(_store: ObjectStore, _options: ScrubOptions): Promise<ScrubReport> {
  throw new Error('not there yet');
}

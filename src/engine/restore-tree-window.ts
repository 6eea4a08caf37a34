// A window of a tree on its way into the target: what is planned together and finished together. It ends after so many entries or bytes, in
// the middle of a file when that is large: so threads begin before a large file is planned to its end, and memory does not grow with it.

import { AttributeList } from '../files/packed-attributes.ts';
import type { BlockFinder } from '../repository/block-reader.ts';
import { RestoreWindow } from './restore-plan.ts';

const ENTRIES_MAX = 100_000;
const BYTES_MAX = 16 * 1024 * 1024 * 1024;
const PIECES_MAX = 200_000;

export type WindowLimits = { readonly entries: number; readonly bytes: number };

/** The first window is small, so that the workers begin at once; each next one is twice as large. */
export const LIMITS_FIRST: WindowLimits = { entries: 500, bytes: 16 * 1024 * 1024 };

export function nextLimits({ entries, bytes }: WindowLimits): WindowLimits {
  return { entries: Math.min(ENTRIES_MAX, entries * 2), bytes: Math.min(BYTES_MAX, bytes * 2) };
}

export type TreeWindow = {
  readonly plan: RestoreWindow;
  /** Of everything that is given attributes; the numbers below, and those of files, are positions in it. */
  readonly attributes: AttributeList;
  /** By position: made and finished by whoever writes it. */
  readonly isWhole: boolean[];
  /** To be given attributes at the end, if they are complete. */
  readonly finished: number[];
  readonly closedDirectories: number[];
  readonly links: { readonly path: string; readonly original: string }[];
  /** Files of which a piece is nowhere to be found. */
  readonly lost: Set<number>;
  /** Of files with a map: such a one may go on in the next window, and has a number in each. */
  readonly fates: Map<number, Fate>;
  entries: number;
};

export type Fate = { isLost: boolean };

export function newWindow(blocks: BlockFinder): TreeWindow {
  return {
    plan: new RestoreWindow(blocks),
    attributes: new AttributeList(),
    isWhole: [],
    finished: [],
    closedDirectories: [],
    links: [],
    lost: new Set(),
    fates: new Map(),
    entries: 0,
  };
}

export function isFull({ plan, entries }: TreeWindow, limits: WindowLimits): boolean {
  return plan.pieces >= PIECES_MAX || plan.bytes >= limits.bytes || entries >= limits.entries;
}

// What a user wants walked, as plain values that can be posted to a thread.

import { compileExclude } from './exclude.ts';
import type { WalkOptions } from './walk.ts';

export type WalkRequest = {
  /** As in `compileExclude`. */
  readonly patterns: readonly string[];
  /** The path of one more directory to leave out, relative to the root. */
  readonly leftOut: string | undefined;
  readonly oneFileSystem: boolean;
  readonly excludeCaches: boolean;
};

/** Throws USAGE when a pattern makes no sense. */
export function walkOptionsOf({ patterns, leftOut, oneFileSystem, excludeCaches }: WalkRequest): WalkOptions {
  const exclude = compileExclude(patterns);
  return {
    exclude: leftOut === undefined ? exclude : (path, isDirectory) => path === leftOut || exclude(path, isDirectory),
    oneFileSystem,
    excludeCaches,
  };
}

// An entry of a snapshot: a file entry and where its content lies.

import type { FileEntry, Xattr } from './entry.ts';
import type { References } from './reference.ts';

export type Content =
  /** Nothing: not a file, an empty one, or one that could not be read. */
  | { readonly kind: 'none' }
  /** A few chunks, in order. */
  | { readonly kind: 'chunks'; readonly references: References }
  /** Many chunks: the root of a chunks map. */
  | { readonly kind: 'chunks-map'; readonly root: References }
  /** Units by position: the root of a units map; no reference when all is zero. */
  | { readonly kind: 'units-map'; readonly root: References };

export const NO_CONTENT: Content = { kind: 'none' };

export type StoredEntry = FileEntry & {
  readonly content: Content;
  readonly xattrs: readonly Xattr[];
  /** A hard link: the path, in the same snapshot, of the entry that holds the content; '' otherwise. */
  readonly hardLinkTo: string;
};

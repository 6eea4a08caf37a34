// Entries on their way into the map, in order: those whose content is being read, and those that are as they were.

import type { Xattr } from '../model/entry.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { SourceEntry } from './file-source.ts';
import type { ParentLeaf } from './parent-cursor.ts';

/** `content` is undefined while it is being read; 'omit' when the entry must be left out. */
export type Slot = {
  entry: SourceEntry;
  xattrs: readonly Xattr[];
  hardLinkTo: string;
  content: Content | 'omit' | undefined;
  unchanged: StoredEntry | undefined;
};

/** Entries that are as they were: those from `from` to before `to` of a leaf. */
export type Kept = { readonly leaf: ParentLeaf; readonly from: number; to: number };

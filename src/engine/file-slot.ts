// Entries on their way into the map, in order: those whose content is being read, and those that are as they were.

import type { Xattr } from '../model/entry.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { EntriesLeaf } from './entries-reader.ts';
import type { SourceEntry } from './file-source.ts';

/** `content` is undefined while it is being read; 'omit' when the entry must be left out. */
export type Slot = {
  entry: SourceEntry;
  xattrs: readonly Xattr[];
  hardLinkTo: string;
  content: Content | 'omit' | undefined;
  unchanged: StoredEntry | undefined;
  parentLeaf: EntriesLeaf | undefined;
};

/** An entry that is as it was. */
export type Kept = { readonly kept: StoredEntry; readonly leaf: EntriesLeaf | undefined };

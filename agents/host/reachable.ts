// Whether another user gets to a place: a restored server runs as who owns its files, and an agent that is root makes directories of its own.

import { lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export type PlaceUser = { readonly uid: number; readonly gid: number };

/** The first directory above `place` that the user may not enter; undefined: all may be. */
export function barrierTo(place: string, { uid, gid }: PlaceUser): string | undefined {
  if (process.getuid?.() !== 0 || uid === 0) return undefined;
  for (let at = dirname(place); ; at = dirname(at)) {
    if (lstatSync(at, { throwIfNoEntry: false }) !== undefined) {
      const stat = statSync(at);
      const bit = stat.uid === uid ? 0o100 : stat.gid === gid ? 0o010 : 0o001;
      if ((stat.mode & bit) === 0) return at;
    }
    if (at === '/') return undefined;
  }
}

// Where a file or block device holds data. Between the extents it reads as zeros, so a backup need not read there and a restore need
// not write there.

import type { Posix } from './posix.ts';

export type Extent = { readonly offset: number; readonly length: number };

/** The data extents of `fd` in ascending order, cut at `sizeBytes`; the whole of it where holes cannot be seen. Use positioned reads
 *  meanwhile: the search moves the file's own position. Throws PosixError when the file system cannot tell for lack of health (EIO). */
export function* dataExtents(posix: Posix, fd: number, sizeBytes: number): Generator<Extent, void, undefined> {
  let offset = 0;
  while (offset < sizeBytes) {
    const start = posix.nextData(fd, offset);
    if (start === undefined || start >= sizeBytes) return;
    const end = Math.min(posix.nextHole(fd, start), sizeBytes);
    // A hole at the start of data: the file changes under our eyes. The rest counts as data; reading it finds out.
    if (end <= start) {
      yield { offset: start, length: sizeBytes - start };
      return;
    }
    yield { offset: start, length: end - start };
    offset = end;
  }
}

// A cluster's log in its own files, one for each segment.

import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentName } from '../../src/model/lsn.ts';

/** Of the server's data directory. */
export const LOG_FILES = 'pg_wal';

export type LogFilePlace = { readonly timeline: number; readonly position: number; readonly segmentBytes: number };

/** Up to `length` bytes, never beyond the segment, fewer where the file ends. Undefined when there is no such file, or when the server has made
 *  another segment of it meanwhile. `files`: the directory. */
export async function readSegment(
  files: string,
  { timeline, position, segmentBytes }: LogFilePlace,
  length: number,
): Promise<Buffer | undefined> {
  const path = join(files, segmentName(timeline, Math.floor(position / segmentBytes), segmentBytes));
  const offset = position % segmentBytes;
  try {
    await using file = await open(path, 'r');
    const bytes = Buffer.allocUnsafe(Math.min(length, segmentBytes - offset));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
    const [read, named] = await Promise.all([file.stat({ bigint: true }), stat(path, { bigint: true })]);
    return read.ino === named.ino && read.dev === named.dev ? bytes.subarray(0, bytesRead) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

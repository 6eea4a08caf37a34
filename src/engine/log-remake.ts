// An object of a log made again from ranges that hold the same bytes: byte for byte as its writer made it, since keys and nonce follow from the
// object's name, its frames from those of the ranges, and its marks are theirs. Where another version of zstd made it, other bytes come out
// under the same nonce: who uses this compares with what was stored, and gives nothing else away. So whoever has the ranges and the epoch's
// key needs no more than a digest to have the section.

import { isFault } from '../base/faults.ts';
import { LOG_SECTION_BYTES, type LogObjectKind } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { CallOptions } from '../store/object-store.ts';
import { joinFrames, type LogFrame } from './log-frames.ts';
import { type EpochKeys, type OpenedLogObject, RANGES_UNTIL_WHOLE, rangeKey, readLogObject, sealLogObject } from './log-objects.ts';
import type { ReadingRepository } from './log-tail.ts';

export type RemadeObject = {
  readonly kind: LogObjectKind;
  readonly key: string;
  /** Of the epoch. */
  readonly prefix: string;
  readonly section: number;
  /** Ranges of the section that there are before it. */
  readonly count: number;
};

/** `repository`: where the ranges are. Undefined when one of them cannot be read, or they do not follow each other. */
export async function remakeLogObject(
  repository: ReadingRepository,
  keys: EpochKeys,
  { kind, key, prefix, section, count }: RemadeObject,
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  const parts: OpenedLogObject[] = [];
  for (let n = 0; n < count; n++) {
    // It repeats what those before it hold.
    if (n % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) continue;
    const part = await readRange(repository, keys, rangeKey(prefix, section, n), options);
    if (part === undefined || part.index.from !== (parts.at(-1)?.index.to ?? part.index.from)) return undefined;
    parts.push(part);
  }
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  if (kind === 'section' && last.index.to !== section + LOG_SECTION_BYTES) return undefined;
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  const frames: LogFrame[] = parts.flatMap((part) => part.frames);
  const marks: LogMark[] = parts.flatMap(({ index }) => index.marks);
  const { from, timeBefore } = first.index;
  const { to, recordFrom } = last.index;
  const index = { from, to, digest: repository.keyring.ids.id(bytes), recordFrom, timeBefore, marks };
  return sealLogObject(repository, keys, { kind, key, index, frames: await joinFrames(bytes, frames) });
}

async function readRange(
  repository: ReadingRepository,
  keys: EpochKeys,
  key: string,
  options?: CallOptions,
): Promise<OpenedLogObject | undefined> {
  try {
    return await readLogObject(repository, keys, key, options);
  } catch (error) {
    if (!isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
    return undefined;
  }
}

// An object of a log made again from ranges that hold the same bytes: byte for byte as its writer made it, since keys and nonce follow from the
// object's name, its frames from those of the ranges, and its marks are theirs. Where another version of zstd made it, other bytes come out
// under the same nonce: who uses this compares with what was stored, and gives nothing else away. So whoever has the ranges and the epoch's
// key needs no more than a digest to have the section.

import { isFault } from '../base/faults.ts';
import { LOG_SECTION_BYTES, type LogObjectKind } from '../format/log-object.ts';
import type { LogMark } from '../model/log-mark.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { joinFrames, type LogFrame } from './log-frames.ts';
import { type EpochKeys, type OpenedLogObject, openLogObject, RANGES_UNTIL_WHOLE, rangeKey, sealLogObject } from './log-objects.ts';

export type RemadeObject = {
  readonly kind: LogObjectKind;
  readonly key: string;
  /** Of the epoch. */
  readonly prefix: string;
  readonly section: number;
  /** Ranges of the section that there are before it. */
  readonly count: number;
  /** The object of one of them; undefined when nobody has it. */
  readonly read: (key: string) => Promise<Uint8Array | undefined>;
};

/** Undefined when one of the ranges cannot be read, or they do not follow each other. */
export async function remakeLogObject(
  repository: OpenedRepository,
  keys: EpochKeys,
  { kind, key, prefix, section, count, read }: RemadeObject,
): Promise<Uint8Array | undefined> {
  const parts: OpenedLogObject[] = [];
  for (let n = 0; n < count; n++) {
    // It repeats what those before it hold.
    if (n % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) continue;
    const part = await openRange(repository, keys, rangeKey(prefix, section, n), read);
    if (part === undefined || part.index.from !== (parts.at(-1)?.index.to ?? part.index.from)) return undefined;
    parts.push(part);
  }
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  if (kind === 'section' && last.index.to !== section + LOG_SECTION_BYTES) return undefined;
  const frames: LogFrame[] = parts.flatMap((part) => part.frames);
  const marks: LogMark[] = parts.flatMap(({ index }) => index.marks);
  const { from, timeBefore } = first.index;
  const { to, recordFrom } = last.index;
  const index = {
    from,
    to,
    digest: repository.keyring.ids.idOf(...parts.map(({ bytes }) => bytes)),
    recordFrom,
    timeBefore,
    marks,
  };
  return sealLogObject(repository, keys, {
    kind,
    key,
    index,
    frames: await joinFrames(to - from, (begin, end) => cutOf(parts, from + begin, from + end), frames),
  });
}

/** All of them together are as large as a section: no second copy is made of what need not be. */
function cutOf(parts: readonly OpenedLogObject[], begin: number, end: number): Uint8Array {
  const wanted = parts.map(({ index, bytes }) => bytes.subarray(Math.max(0, begin - index.from), Math.max(0, end - index.from)));
  return wanted.length === 1 ? wanted[0]! : Buffer.concat(wanted);
}

async function openRange(
  repository: OpenedRepository,
  keys: EpochKeys,
  key: string,
  read: RemadeObject['read'],
): Promise<OpenedLogObject | undefined> {
  try {
    const object = await read(key);
    return object === undefined ? undefined : openLogObject(repository, keys, key, object);
  } catch (error) {
    if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
    return undefined;
  }
}

// The ranges that hold the open section of an epoch, of which as few are read as hold all of it.

import { isFault } from '../base/faults.ts';
import { LOG_SECTION_BYTES, type LogIndex } from '../format/log-object.ts';
import type { OpenedRepository } from '../repository/open.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { CallOptions } from '../store/object-store.ts';
import type { KnownIndexes } from './known-indexes.ts';
import type { ListedRange } from './log-listing.ts';
import { type EpochKeys, RANGES_UNTIL_WHOLE, rangeKey, readLogIndex, type StoredLogIndex, sectionKey } from './log-objects.ts';

export type ReadingRepository = OpenedRepository & { readonly keys: SessionKeyFinder };

/** Log of an epoch that cannot be read. */
export type LostPiece = { readonly object: string; readonly from: number; readonly to: number; readonly cause: string };

/** An object of an epoch. */
export type LogPiece = { readonly key: string; readonly index: LogIndex };

export type TailDetails = {
  readonly repository: ReadingRepository;
  readonly keys: EpochKeys;
  readonly prefix: string;
  readonly section: number;
  /** Where the epoch's part of the section begins. */
  readonly begin: number;
  /** Ranges that there are. */
  readonly count: number;
  /** Of which these are listed. */
  readonly listed: readonly ListedRange[];
};

export type LookOptions = CallOptions & {
  /** Of earlier looks. */
  readonly known?: KnownIndexes;
};

/** Undefined when they vanish while they are read, since their section is stored. A range that is gone or does not open leaves a hole. */
export async function readTail(
  { repository, keys, prefix, section, begin, count, listed }: TailDetails,
  options?: LookOptions,
): Promise<{ readonly pieces: readonly LogPiece[]; readonly lost: readonly LostPiece[] } | undefined> {
  const sizes = new Map(listed.map(({ key, sizeBytes }) => [key, sizeBytes]));
  const pieces: LogPiece[] = [];
  const lost: LostPiece[] = [];
  let next = section + LOG_SECTION_BYTES;
  let broken: { readonly object: string; readonly cause: string } | undefined;
  for (let n = count - 1; n >= 0; n--) {
    const key = rangeKey(prefix, section, n);
    const read = async (): Promise<StoredLogIndex | string | undefined> => {
      try {
        return await readLogIndex(repository, keys, key, options);
      } catch (error) {
        if (!isFault(error, 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
        return error.message;
      }
    };
    const index = options?.known?.get(key, sizes.get(key)) ?? (await read());
    if (typeof index === 'object') options?.known?.add(key, index);
    if (index === undefined && (await repository.store.size(sectionKey(prefix, section), options)) !== undefined) return undefined;
    if (index === undefined || typeof index === 'string') {
      broken ??= { object: key.slice(key.lastIndexOf('/') + 1), cause: index ?? 'it is not there any more' };
      continue;
    }
    // What one that holds all before it holds is in it already.
    if (index.to > next) continue;
    // Of one that only repeats what others hold nothing is lost with it.
    if (index.to < next && (broken !== undefined || pieces.length > 0))
      lost.push({ ...(broken ?? { object: '', cause: 'ranges do not follow each other' }), from: index.to, to: next });
    broken = undefined;
    pieces.unshift({ key, index });
    next = index.from;
    if (n % RANGES_UNTIL_WHOLE === RANGES_UNTIL_WHOLE - 1) return { pieces, lost };
  }
  if (broken !== undefined && next > begin) lost.push({ ...broken, from: begin, to: next });
  return { pieces, lost };
}

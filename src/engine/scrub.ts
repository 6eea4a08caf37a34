// Names against bytes, for everything that the store lists under the names of its bytes. Needs no key: whoever keeps the bucket can do it.

import { forEachBounded } from '../base/bounded.ts';
import { isFault } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import { objectId } from '../codec/chunk-id.ts';
import { INDEX_PLAIN_BYTES_MAX } from '../format/index-object.ts';
import { LOG_INDEX_BYTES_MAX } from '../format/log-object.ts';
import { PACK_BYTES_MAX } from '../format/pack.ts';
import { CONDEMNED_PREFIX, hex, INDEX_PREFIX, PACKS_PREFIX, unhex } from '../repository/layout.ts';
import { lookAnew } from '../repository/read-anew.ts';
import type { ListedObject, ObjectStore, StoreKey } from '../store/object-store.ts';
import { isIntactLogObject } from './log-objects.ts';
import { ReadingPool } from './reading-pool.ts';
import type { VerifyProgress } from './verify-report.ts';

const READS_IN_FLIGHT_MAX = 8;
const DAMAGED_NAMED_MAX = 10_000;
const PACK_KEY = /^packs\/([0-9a-f]{2})\/(\1[0-9a-f]{62})$/;
const NAMED_KEY = /^(?:index|condemned)\/([0-9a-f]{64})$/;

const LOG_PREFIX = 'log/';
const LOG_KEY = /^log\/[0-9a-f]{32}\/[0-9a-f]{16}\/[0-9a-f]{20}\/[0-9a-f]{8}\/[0-9a-f]{16}(?:\.\d{6})?$/;
/** They have up to 16 MiB. */
const LOGS_IN_FLIGHT_MAX = 3;

/** Sealed, and with what was not compressible. */
const NAMED_BYTES_MAX = INDEX_PLAIN_BYTES_MAX + 16 * 1024 * 1024;
const LOG_BYTES_MAX = LOG_INDEX_BYTES_MAX + 32 * 1024 * 1024;

export type ScrubOptions = { readonly threads: number; readonly signal?: AbortSignal; readonly progress?: VerifyProgress };

export type ScrubReport = {
  readonly outcome: 'clean' | 'damaged';
  readonly packs: number;
  readonly indexes: number;
  readonly logs: number;
  readonly bytesRead: number;
  /** Keys whose bytes are not those that their names say; the first ones. */
  readonly damaged: readonly { readonly key: string; readonly message: string }[];
  readonly damagedCount: number;
};

export async function scrub(
  store: ObjectStore,
  { threads, signal = new AbortController().signal, progress }: ScrubOptions,
): Promise<ScrubReport> {
  const damaged: { key: string; message: string }[] = [];
  let damagedCount = 0;
  let bytesRead = 0;
  const report = (key: StoreKey, message: string): void => {
    damagedCount++;
    if (progress !== undefined) progress.damaged = damagedCount;
    if (damaged.length < DAMAGED_NAMED_MAX) damaged.push({ key, message });
  };
  const check = async ({ key, sizeBytes }: ListedObject, bytesMax: number, read: () => Promise<Look>): Promise<void> => {
    try {
      // A file that was grown to a terabyte is not read to find that out.
      if (sizeBytes > bytesMax) return report(key, `it has ${formatBytes(sizeBytes)}: more than such an object can have`);
      const { bytes, nameHolds } = await lookAnew(read, (look) => look.nameHolds);
      bytesRead += bytes;
      if (!nameHolds) report(key, 'its bytes are not those that were stored');
    } catch (error) {
      signal.throwIfAborted();
      // Deleted since it was listed: a prune may do that.
      if (isFault(error, 'STORE_NOT_FOUND')) return;
      if (!isFault(error, 'STORE_CORRUPT_ANSWER')) throw error;
      report(key, error.message);
    } finally {
      if (progress !== undefined) {
        progress.packsDone++;
        progress.bytesDone += sizeBytes;
      }
    }
  };
  if (progress !== undefined) progress.phase = 'packs';
  const indexes = await scrubNamed(store, signal, check, report);
  const packs = await scrubPacks(store, threads, signal, check, report);
  const logs = await scrubLogs(store, signal, check, report);
  if (progress !== undefined) progress.phase = 'done';
  return { outcome: damagedCount === 0 ? 'clean' : 'damaged', packs, indexes, logs, bytesRead, damaged, damagedCount };
}

type Look = { readonly bytes: number; readonly nameHolds: boolean };
type Check = (object: ListedObject, bytesMax: number, read: () => Promise<Look>) => Promise<void>;
type Report = (key: StoreKey, message: string) => void;

async function scrubNamed(store: ObjectStore, signal: AbortSignal, check: Check, report: Report): Promise<number> {
  let count = 0;
  for (const prefix of [INDEX_PREFIX, CONDEMNED_PREFIX]) {
    for await (const page of store.list(prefix, { signal })) {
      if (prefix === INDEX_PREFIX) count += page.length;
      await forEachBounded(page, READS_IN_FLIGHT_MAX, async (object) => {
        const id = NAMED_KEY.exec(object.key)?.[1];
        if (id === undefined) return report(object.key, 'its name is not one of ours');
        await check(object, NAMED_BYTES_MAX, async () => {
          const bytes = await store.get(object.key, undefined, { signal });
          return { bytes: bytes.length, nameHolds: hex(objectId(bytes)) === id };
        });
      });
    }
  }
  return count;
}

/** They are not named by their bytes, but end in what tells them. */
async function scrubLogs(store: ObjectStore, signal: AbortSignal, check: Check, report: Report): Promise<number> {
  let count = 0;
  for await (const page of store.list(LOG_PREFIX, { signal })) {
    count += page.length;
    await forEachBounded(page, LOGS_IN_FLIGHT_MAX, async (object) => {
      if (!LOG_KEY.test(object.key)) return report(object.key, 'its name is not one of ours');
      await check(object, LOG_BYTES_MAX, async () => {
        const bytes = await store.get(object.key, undefined, { signal });
        return { bytes: bytes.length, nameHolds: isIntactLogObject(bytes) };
      });
    });
  }
  return count;
}

async function scrubPacks(store: ObjectStore, threads: number, signal: AbortSignal, check: Check, report: Report): Promise<number> {
  const pool = new ReadingPool(store, threads, { idKey: new Uint8Array(32), target: undefined }, signal);
  let count = 0;
  try {
    for await (const page of store.list(PACKS_PREFIX, { signal })) {
      for (const object of page) {
        count++;
        const id = PACK_KEY.exec(object.key)?.[2];
        if (id === undefined) {
          report(object.key, 'its name is not one of ours');
          continue;
        }
        await pool.start(() =>
          check(object, PACK_BYTES_MAX, async () => {
            const packId = unhex(id);
            const pack = await pool.packBytes(packId, 0, object.sizeBytes);
            const answer = await pool.run({
              kind: 'verify',
              pack,
              packId,
              packLength: object.sizeBytes,
              directory: undefined,
              keys: [],
              unitBytes: 1,
            });
            return answer.kind === 'verify' ? answer : { bytes: 0, nameHolds: false };
          }),
        );
      }
    }
    await pool.drain();
    return count;
  } finally {
    await pool.close();
  }
}

// Mending logs: what another copy of the repository has whole is taken from there; what nobody has is written down as lost, so that the
// window shows the gap and no restore leads over it.
//
// An object cannot be overwritten, so the damaged one is deleted first. Dying in between, it is gone instead of damaged, and the next repair
// goes on.

import { isFault } from '../base/faults.ts';
import { unhex } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import type { CallOptions, ObjectStore } from '../store/object-store.ts';
import { isIntactLogObject, openLogObject } from './log-objects.ts';
import { type DamagedLog, recordDamage, type VerifiedLogs } from './verify-log.ts';

/** Answers how many could be mended. */
export async function mendLogs(
  repository: Repository,
  { damaged, mended }: VerifiedLogs,
  { from, now }: { readonly from: ObjectStore | undefined; readonly now: Date },
  options: CallOptions,
): Promise<number> {
  const lost: DamagedLog[] = [];
  const whole = [...mended];
  for (const one of damaged) {
    const bytes = from === undefined ? undefined : await goodCopy(repository, from, one, options);
    if (bytes === undefined) {
      lost.push(one);
      continue;
    }
    await repository.store.delete(one.key, options);
    await repository.store.put(one.key, bytes, options);
    whole.push(one);
  }
  await recordDamage(repository, { damaged: lost, mended: whole }, now, options);
  return whole.length - mended.length;
}

async function goodCopy(
  repository: Repository,
  from: ObjectStore,
  { key, epoch, assetId }: DamagedLog,
  options: CallOptions,
): Promise<Uint8Array | undefined> {
  if (epoch === '') return undefined;
  try {
    const bytes = await from.get(key, undefined, options);
    const session = unhex(epoch);
    const keys = {
      metadata: repository.keys.metadataKey(session, assetId),
      data: await repository.keys.dataKey(session, options),
    };
    openLogObject(repository, keys, key, bytes);
    return isIntactLogObject(bytes) ? bytes : undefined;
  } catch (error) {
    if (!isFault(error, 'STORE_NOT_FOUND', 'FORMAT_DAMAGED', 'STORE_CORRUPT_ANSWER')) throw error;
    return undefined;
  }
}

// From a location to a store that is ready for use: driver, then measure, then limit, then retry. So every attempt is reported by
// itself, and an attempt that waits to be repeated holds no place in the limits.

import { Fault } from '../base/faults.ts';
import { openFsStore } from './fs-store.ts';
import { type LimitOptions, withLimit } from './limit.ts';
import { parseLocation, type StoreLocation } from './location.ts';
import { withMeasure } from './measured.ts';
import type { ObjectStore, StoreEvent } from './object-store.ts';
import { type Patience, RETRY, type RetryOptions, withRetry } from './retry.ts';
import type { S3Credentials } from './s3-bucket.ts';
import type { S3Timeouts } from './s3-timeouts.ts';
import { systemTiming, type Timing } from './timing.ts';

export type OpenOptions = {
  /** Needed for S3. */
  readonly credentials?: S3Credentials;
  readonly region?: string;
  /** Make the directory when it is not there. A bucket is never made. */
  readonly create?: boolean;
  readonly limits?: LimitOptions;
  readonly retry?: Partial<RetryOptions>;
  readonly patience?: Patience;
  readonly timeouts?: Partial<S3Timeouts>;
  readonly onEvent?: (event: StoreEvent) => void;
  readonly timing?: Timing;
};

/** Throws STORE_BAD_LOCATION, STORE_BUCKET_MISSING (a directory that is not there), STORE_DENIED (no credentials). A bucket is asked
 *  for the first time by the first call; `probe` is a good one. */
export async function openStore(location: string | StoreLocation, options: OpenOptions = {}): Promise<ObjectStore> {
  const timing = options.timing ?? systemTiming;
  const driver = await openDriver(typeof location === 'string' ? parseLocation(location) : location, options);
  const measured = options.onEvent === undefined ? driver : withMeasure(driver, options.onEvent, timing);
  const limited = options.limits === undefined ? measured : withLimit(measured, options.limits, timing);
  return withRetry(limited, { ...RETRY, ...options.retry }, timing, options.patience);
}

async function openDriver(location: StoreLocation, options: OpenOptions): Promise<ObjectStore> {
  if (location.kind === 'directory') return openFsStore(location.path, { create: options.create ?? false });
  const { credentials, region, timeouts, limits } = options;
  if (credentials === undefined) {
    throw new Fault('STORE_DENIED', `there are no credentials for ${location.endpoint}/${location.bucket}`, {
      hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    });
  }
  const { openS3Store } = await import('./s3-store.ts');
  return openS3Store({
    location,
    credentials,
    ...(region !== undefined && { region }),
    ...(timeouts !== undefined && { timeouts }),
    ...(limits?.concurrency !== undefined && { concurrency: limits.concurrency }),
  });
}

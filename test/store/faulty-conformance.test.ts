// Every driver under the retry wrapper, with a store between the two that misbehaves: the contract holds all the same.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFsStore } from '../../src/store/fs-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { type RetryOptions, withRetry } from '../../src/store/retry.ts';
import { openS3Store } from '../../src/store/s3-store.ts';
import { objectStoreConformance } from '../conformance/object-store.ts';
import { startS3 } from '../support/ceph.ts';
import { type Chances, type FaultyStore, faultyStore } from '../support/faulty-store.ts';
import { instantTiming } from '../support/instant-timing.ts';

const s3 = await startS3();
const CHANCES: Partial<Chances> = { lostRequest: 0.05, lostAnswer: 0.1, repeated: 0.1, storm: 0.01, truncated: 0.05 };
const PATIENCE: RetryOptions = { attemptsMax: 60, baseMs: 1, capMs: 10, totalMs: 1e9 };
const seed = Date.now() >>> 0;
console.log(`faulty stores: seed ${seed}`);

const faulty: FaultyStore[] = [];

/** Sleeps of no time, but turns for the others. */
function underFaults(inner: ObjectStore, ownSeed: number): ObjectStore {
  const between = faultyStore(inner, { seed: ownSeed, ...CHANCES });
  faulty.push(between);
  const instant = instantTiming(ownSeed);
  const sleep: typeof instant.sleep = async (ms, signal) => {
    await new Promise(setImmediate);
    await instant.sleep(ms, signal);
  };
  return withRetry(between, PATIENCE, { ...instant, sleep });
}

objectStoreConformance('a directory, under faults and retries', {
  faulty: true,
  open: async () => {
    const path = mkdtempSync(join(tmpdir(), 'holdfast-faulty-'));
    const [store, other] = [underFaults(await openFsStore(path), seed), underFaults(await openFsStore(path), seed + 1)];
    return { store, other, cleanUp: async () => rmSync(path, { recursive: true }) };
  },
});

objectStoreConformance('a bucket of Ceph RGW, under faults and retries', {
  faulty: true,
  skip: s3 === undefined,
  open: async () => {
    if (s3 === undefined) throw new Error('no S3 server');
    const location = {
      kind: 's3' as const,
      endpoint: s3.endpoint,
      bucket: s3.bucket,
      prefix: `faulty-${randomBytes(4).toString('hex')}`,
    };
    const { credentials, region } = s3;
    const [one, two] = [openS3Store({ location, credentials, region }), openS3Store({ location, credentials, region })];
    const cleanUp = async () => {
      await one.close();
      await two.close();
    };
    return { store: underFaults(one, seed + 2), other: underFaults(two, seed + 3), cleanUp };
  },
});

describe('the faults of the runs above', () => {
  // Over all stores: one alone meets ten storms or one, as its seed has it (a run of CI was red because one met none).
  it('were many, and of every kind', () => {
    for (const kind of Object.keys(CHANCES) as (keyof Chances)[]) {
      const count = faulty.reduce((sum, { injected }) => sum + (injected[kind] ?? 0), 0);
      expect(count, `${kind}, seed ${seed}`).toBeGreaterThan(0);
    }
  });
});

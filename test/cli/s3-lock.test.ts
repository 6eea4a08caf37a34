// A repository in a bucket with Object Lock, on a real S3 server that keeps no condition in such a bucket.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { LockedBucket } from '../support/locked-bucket.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { newHoldfast } from './holdfast.ts';

const s3 = await startS3();

describe.runIf(s3 !== undefined)('a repository in a bucket with Object Lock', () => {
  const { endpoint, credentials, region } = s3 ?? ({} as TestS3);
  const at = (bucket: string) => ({
    variables: {
      HOLDFAST_REPO: `s3+${endpoint}/${bucket}/r`,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: region,
    },
  });

  it('is made, written, pruned, proven and restored, where nothing can be deleted', async () => {
    const bucket = await LockedBucket.create(s3!, 'lock-cli', 1);
    const holdfast = newHoldfast();
    const options = at(bucket.name);
    holdfast.ok(['init'], options);
    for (let n = 0; n < 8; n++) holdfast.file(`tree/f${n}`, seededBytes(300_000 + n, n));
    const first = holdfast.summary(['backup', holdfast.path('tree')], options);
    holdfast.file('tree/f3', 'changed');
    holdfast.ok(['backup', holdfast.path('tree')], options);
    holdfast.ok(['forget', first.snapshot as string], options);
    const packs = (await bucket.versions('r/packs/')).length;
    expect(holdfast.summary(['prune', '--max-unused', '0'], options).bytesFreed).toBeGreaterThan(0);
    const kept = await bucket.versions('r/packs/');
    expect(kept.length, 'what prune deleted is kept under its marker').toBeGreaterThanOrEqual(packs);
    expect(kept.some(({ isLatest }) => !isLatest)).toBe(true);
    expect(holdfast.summary(['prune', '--max-unused', '0'], options), 'and is not tried again').toMatchObject({ bytesFreed: 0 });
    expect(holdfast.summary(['verify', '--full'], options)).toMatchObject({ outcome: 'clean', snapshots: 1 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out'), '--verify'], options);
    expect(readFileSync(holdfast.path('out/f7')).equals(seededBytes(300_007, 7))).toBe(true);
    expect(holdfast.fault(['init'], options)).toMatchObject({ code: 'FORMAT_REPOSITORY_EXISTS' });
    bucket.close();
  });
});

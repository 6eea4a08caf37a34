// A replica in a bucket of a real S3 server, with credentials of its own.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { newHoldfast } from '../cli/holdfast.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { seededBytes } from '../support/seeded-random.ts';

const s3 = await startS3();

describe.runIf(s3 !== undefined)('a replica in a bucket', () => {
  const { endpoint, bucket, credentials, stranger, region } = s3 ?? ({} as TestS3);

  it('follows a directory, is proven, and is a repository of its own when it is released', () => {
    const holdfast = newHoldfast();
    const location = `s3+${endpoint}/${bucket}/replica`;
    const toReplica = {
      HOLDFAST_TO_REPO: location,
      HOLDFAST_TO_AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      HOLDFAST_TO_AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      HOLDFAST_TO_AWS_REGION: region,
      // Of the source's store, if it needed any: they open nothing there.
      AWS_ACCESS_KEY_ID: stranger.accessKeyId,
      AWS_SECRET_ACCESS_KEY: stranger.secretAccessKey,
    };
    const options = { variables: toReplica };
    holdfast.ok(['init']);
    for (let n = 0; n < 10; n++) holdfast.file(`tree/f${n}`, seededBytes(300_000 + n, n));
    const first = holdfast.summary(['backup', holdfast.path('tree')]);
    expect(holdfast.summary(['replica', 'run', '--once'], options)).toMatchObject({ missing: 0 });
    holdfast.file('tree/f3', 'changed');
    holdfast.ok(['backup', holdfast.path('tree')]);
    expect(holdfast.summary(['replica', 'status'], options)).toMatchObject({ state: 'following', behind: { snapshots: 1 } });
    holdfast.ok(['forget', first.snapshot as string]);
    holdfast.ok(['prune', '--max-unused', '0']);
    holdfast.ok(['replica', 'run', '--once'], options);
    expect(holdfast.summary(['replica', 'status'], options)).toMatchObject({ behind: { changes: 0, snapshots: 0, bytes: 0 } });
    expect(holdfast.summary(['replica', 'verify', '--full'], options)).toMatchObject({ outcome: 'clean' });
    const own = {
      variables: {
        HOLDFAST_REPO: location,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_REGION: region,
      },
    };
    expect(holdfast.fault(['backup', holdfast.path('tree')], own)).toMatchObject({ code: 'REPLICA_READ_ONLY' });
    expect(
      holdfast.fault(['replica', 'run', '--once'], {
        variables: { ...toReplica, HOLDFAST_TO_REPO: `${location}2`, HOLDFAST_TO_AWS_ACCESS_KEY_ID: undefined },
      }),
    ).toMatchObject({
      code: 'STORE_DENIED',
    });
    holdfast.ok(['replica', 'release', '--reason', 'test'], options);
    expect(holdfast.fault(['replica', 'run', '--once'], options)).toMatchObject({ code: 'REPLICA_FOREIGN' });
    holdfast.ok(['backup', holdfast.path('tree')], own);
    expect(holdfast.summary(['verify', '--full'], own)).toMatchObject({ outcome: 'clean', snapshots: 2 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out')], own);
    expect(readFileSync(holdfast.path('out/f3'), 'utf8')).toBe('changed');
  });
});

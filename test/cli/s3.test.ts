// The command line against a real S3 server: the same verbs, the same answers.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { newHoldfast } from './holdfast.ts';

const MIB = 1024 * 1024;
const s3 = await startS3();

describe.runIf(s3 !== undefined)('a repository in a bucket', () => {
  const { endpoint, bucket, credentials, stranger, region } = s3 ?? ({} as TestS3);
  const place = (prefix: string, as = credentials) => ({
    HOLDFAST_REPO: `s3+${endpoint}/${bucket}/${prefix}`,
    AWS_ACCESS_KEY_ID: as.accessKeyId,
    AWS_SECRET_ACCESS_KEY: as.secretAccessKey,
    AWS_REGION: region,
  });

  it('is made, written, read, pruned and proven', () => {
    const holdfast = newHoldfast();
    const options = { variables: place('cli-all') };
    holdfast.ok(['init'], options);
    for (let n = 0; n < 20; n++) holdfast.file(`tree/f${n}`, seededBytes(300_000 + n, n));
    const first = holdfast.summary(['backup', holdfast.path('tree')], options);
    expect(first).toMatchObject({ files: 20, problems: 0 });
    holdfast.file('tree/f3', 'changed');
    expect(holdfast.summary(['backup', holdfast.path('tree')], options)).toMatchObject({ parent: first.snapshot });
    expect(holdfast.ok(['diff', 'latest~1', 'latest'], options)).toContain('M f3');
    const image = Buffer.concat([seededBytes(MIB, 100), Buffer.alloc(7 * MIB)]);
    holdfast.ok(['backup', holdfast.file('disk.img', image)], options);
    expect(holdfast.run(['restore', 'latest', '--stdout'], options).bytes.equals(image)).toBe(true);
    holdfast.ok(['restore', 'latest~1', '--target', holdfast.path('out'), '--verify'], options);
    expect(readFileSync(holdfast.path('out/f7')).equals(seededBytes(300_007, 7))).toBe(true);
    holdfast.ok(['forget', first.snapshot as string], options);
    expect(holdfast.summary(['prune', '--max-unused', '0'], options).bytesFreed).toBeGreaterThan(0);
    expect(holdfast.summary(['verify', '--full'], options)).toMatchObject({ outcome: 'clean', snapshots: 2 });
    expect(holdfast.summary(['scrub'], options)).toMatchObject({ outcome: 'clean' });
    expect(holdfast.fault(['init'], options)).toMatchObject({ code: 'FORMAT_REPOSITORY_EXISTS', status: 1 });
  });

  it('is refused to who may not, and where there is none', () => {
    const holdfast = newHoldfast();
    expect(holdfast.fault(['init'], { variables: place('cli-denied', stranger) })).toMatchObject({
      code: 'STORE_DENIED',
      status: 1,
    });
    expect(
      holdfast.fault(['init'], { variables: place('cli-denied', { ...credentials, secretAccessKey: 'wrong' }) }),
    ).toMatchObject({ code: 'STORE_DENIED', status: 1 });
    expect(holdfast.fault(['snapshots'], { variables: place('cli-nothing-there') })).toMatchObject({
      code: 'FORMAT_NOT_A_REPOSITORY',
      status: 1,
    });
    const nowhere = { ...place('x'), HOLDFAST_REPO: `s3+${endpoint}/no-such-bucket-here/x` };
    expect(holdfast.fault(['init'], { variables: nowhere })).toMatchObject({ code: 'STORE_BUCKET_MISSING', status: 1 });
  });

  it('can be copied from a directory and back', () => {
    const holdfast = newHoldfast();
    holdfast.ok(['init']);
    holdfast.ok(['backup', '-', '--name', 'dump'], { input: Buffer.from(seededBytes(3 * MIB, 1)) });
    const variables = place('cli-copy');
    holdfast.ok(['init'], { variables });
    const to = ['--to', variables.HOLDFAST_REPO, '--to-passphrase-file', holdfast.path('secrets/passphrase')];
    const { HOLDFAST_REPO: _, ...credentialsOnly } = variables;
    expect(holdfast.summary(['copy', ...to], { variables: credentialsOnly })).toMatchObject({ copied: 1 });
    expect(holdfast.run(['restore', 'latest', '--stdout'], { variables }).bytes.equals(Buffer.from(seededBytes(3 * MIB, 1)))).toBe(
      true,
    );
  });
});

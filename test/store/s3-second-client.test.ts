// What lies in the bucket can be had by another S3 client too: one that shares no code with the AWS SDK (the npm package `minio`).

import { randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openS3Store } from '../../src/store/s3-store.ts';
import { startS3 } from '../support/ceph.ts';
import { seededBytes } from '../support/seeded-random.ts';

type OtherClient = {
  getObject(bucket: string, name: string): Promise<AsyncIterable<Buffer>>;
  listObjectsV2(
    bucket: string,
    prefix: string,
    recursive: boolean,
  ): AsyncIterable<{ readonly name: string; readonly size: number }>;
  putObject(bucket: string, name: string, body: Buffer, size: number, headers: Record<string, string>): Promise<unknown>;
};

const s3 = await startS3();
const minio = await import('minio' as string).catch(() => undefined);
if (minio === undefined) console.log('SKIPPED, tests with a second S3 client: the package minio is not installed');

describe.skipIf(s3 === undefined || minio === undefined)('a bucket, seen by another S3 client', () => {
  const open = () => {
    if (s3 === undefined) throw new Error('no S3 server');
    const prefix = `second-${randomBytes(4).toString('hex')}`;
    const location = { kind: 's3' as const, endpoint: s3.endpoint, bucket: s3.bucket, prefix };
    const store = openS3Store({ location, credentials: s3.credentials, region: s3.region });
    onTestFinished(() => store.close());
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = s3.credentials;
    const { host: endPoint, port, region, bucket } = s3;
    const other: OtherClient = new minio.Client({ endPoint, port, useSSL: false, accessKey, secretKey, region, pathStyle: true });
    return { store, other, bucket, prefix };
  };

  it('holds the objects under their keys, byte for byte, and registers under "key~"', async () => {
    const { store, other, bucket, prefix } = open();
    const bytes = seededBytes(5_000_000, 1);
    await store.put('packs/00/a', bytes);
    await store.swap('head', Buffer.from('the value'), undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of await other.getObject(bucket, `${prefix}/packs/00/a`)) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    const names: string[] = [];
    for await (const { name, size } of other.listObjectsV2(bucket, `${prefix}/`, true))
      names.push(`${name.slice(prefix.length + 1)} ${size}`);
    expect(names.sort()).toEqual(['head~ 9', 'packs/00/a 5000000']);
  });

  it('refuses the other client too what is there already', async () => {
    const { store, other, bucket, prefix } = open();
    await store.put('a', Buffer.from('ours'));
    const put = other.putObject(bucket, `${prefix}/a`, Buffer.from('theirs'), 6, { 'If-None-Match': '*' });
    await expect(put).rejects.toMatchObject({ code: 'PreconditionFailed' });
    expect(Buffer.from(await store.get('a')).toString()).toBe('ours');
  });

  it('gives us what the other client has put', async () => {
    const { store, other, bucket, prefix } = open();
    await other.putObject(bucket, `${prefix}/b`, Buffer.from('theirs'), 6, {});
    expect(Buffer.from(await store.get('b')).toString()).toBe('theirs');
    expect(await store.put('b', Buffer.from('ours'))).toBe('exists');
  });
});

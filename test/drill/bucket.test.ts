// A drill from a bucket: with a key that may only read it passes; with one that may write it is void, whatever the program promises not to do.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { PackBody } from '../../src/evidence/pack.ts';
import { Holdfast, linesOf } from '../cli/holdfast.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { portalPlan } from '../support/portal-plan.ts';
import { makeOwned, postgresPrograms, removeScratch, serverScratch, TestServer } from '../support/postgres.ts';
import { until } from '../support/protected-cluster.ts';

const programs = postgresPrograms();
const s3 = programs === undefined ? undefined : await startS3();

describe.runIf(s3 !== undefined)('a drill from a bucket', () => {
  const { endpoint, credentials, stranger, region } = s3 ?? ({} as TestS3);

  it('is void when its key may write there, and passes with one that may only read', async () => {
    const scratch = serverScratch();
    onTestFinished(() => removeScratch(scratch));
    const bucket = `drill-${process.pid}`;
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    onTestFinished(() => client.destroy());
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    const reads = {
      Effect: 'Allow',
      Principal: { AWS: ['arn:aws:iam:::user/stranger'] },
      Action: ['s3:GetObject', 's3:ListBucket'],
    };
    const policy = {
      Version: '2012-10-17',
      Statement: [{ ...reads, Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`] }],
    };
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy) }));
    const server = await TestServer.create(programs!, scratch);
    onTestFinished(() => server.stop('SIGQUIT'));
    const holdfast = new Holdfast(join(scratch, 'h'));
    mkdirSync(holdfast.directory, { recursive: true });
    const variablesOf = (key: TestS3['credentials']): Record<string, string> => ({
      HOLDFAST_REPO: `s3+${endpoint}/${bucket}/pg`,
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      AWS_REGION: region,
    });
    const variables = variablesOf(credentials);
    holdfast.ok(['init'], { variables });
    const child = holdfast.start(['pg', 'capture', server.connectionString, '--json', '--asset', 'pg/test'], { variables });
    let text = '';
    child.stdout!.on('data', (piece: Buffer) => {
      text += piece.toString();
    });
    await until(
      () => text.includes('"kind":"base"'),
      () => text,
    );
    await until(() => holdfast.run(['pg', 'window', '--json'], { variables }).stdout.includes('"kind":"interval"'));
    const plan = join(scratch, 'plan.yaml');
    writeFileSync(plan, stringify(portalPlan({ name: 'alive', command: ['/bin/true'], limit: '10s' })));
    const clones = makeOwned(join(scratch, 'c'));
    const places = [
      '--evidence-dir',
      join(scratch, 'evidence'),
      '--key-dir',
      join(scratch, 'key'),
      '--directory',
      clones,
      '--bin-dir',
      programs!,
    ];
    const drill = (key: TestS3['credentials']): { status: number | null; body: PackBody } => {
      const { status, stdout, stderr } = holdfast.run(['drill', 'run', plan, ...places, '--json'], { variables: variablesOf(key) });
      const pack = linesOf(stdout).at(-1)?.pack;
      if (pack === undefined) throw new Error(`${stdout}${stderr}`);
      return { status, body: (JSON.parse(readFileSync(String(pack), 'utf8')) as { body: PackBody }).body };
    };
    const writes = ({ measurements }: PackBody): unknown[] =>
      measurements.flatMap(({ kind, how, value }) => (kind === 'probe' && how.startsWith('PUT') ? [value.isReached] : []));
    const mayWrite = drill(credentials);
    expect({ status: mayWrite.status, writes: writes(mayWrite.body)[0] }).toEqual({ status: 4, writes: true });
    const mayRead = drill(stranger);
    expect({ status: mayRead.status, writes: writes(mayRead.body) }).toEqual({ status: 0, writes: [false, false] });
    // The store itself is not reached from inside of the room.
    const { host } = new URL(endpoint);
    expect(mayRead.body.measurements.filter(({ kind, of }) => kind === 'probe' && of === host).length).toBe(2);
  });
});

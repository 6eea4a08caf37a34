// A request to the store that production has signed, sent again byte for byte: whoever has it needs no key. From the room of a drill it reaches nothing.

import { mkdtempSync, rmSync } from 'node:fs';
import { CreateBucketCommand, DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { programPlaces, Room } from '../../agents/drill/room.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';
import { runBeside } from '../support/failing-over.ts';
import { makeOwned, serverUser } from '../support/postgres.ts';

type Recorded = {
  readonly method: string;
  readonly path: string;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string>;
};

const BODY = 'what production wrote';
/** Prints the status that the store answered, or why it was not reached. */
const REPLAY = `const [url, method, headers, body] = process.argv.slice(1);
fetch(url, { method, headers: JSON.parse(headers), body }).then(({ status }) => console.log(status), ({ cause }) => console.log(cause.code));`;
const s3 = await startS3();

describe.runIf(s3 !== undefined)('a request that production has signed', () => {
  const { endpoint, credentials, region } = s3 ?? ({} as TestS3);

  it('is taken again by the store, but not from within the room of a drill', async () => {
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    onTestFinished(() => client.destroy());
    const Bucket = `replayed-${process.pid}`;
    await client.send(new CreateBucketCommand({ Bucket }));
    let recorded: Recorded | undefined;
    const put = new PutObjectCommand({ Bucket, Key: 'object', Body: BODY });
    put.middlewareStack.add(
      (next) => (args) => {
        recorded = args.request as Recorded;
        return next(args);
      },
      { step: 'deserialize', priority: 'low' },
    );
    await client.send(put);
    const { method, path, query, headers } = recorded!;
    const own = Object.entries(headers).filter(([name]) => !['host', 'content-length'].includes(name.toLowerCase()));
    const words = [
      process.execPath,
      '-e',
      REPLAY,
      `${endpoint}${path}?${new URLSearchParams(query)}`,
      method,
      JSON.stringify(Object.fromEntries(own)),
      BODY,
    ];
    const stored = async (): Promise<number> => (await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount ?? 0;

    await client.send(new DeleteObjectCommand({ Bucket, Key: 'object' }));
    expect((await runBeside(words, {})).stdout.trim()).toBe('200');
    expect(await stored()).toBe(1);
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'object' }));

    const scratch = mkdtempSync('/tmp/holdfast-room-');
    onTestFinished(() => rmSync(scratch, { recursive: true, force: true }));
    const room = await Room.open({ work: makeOwned(`${scratch}/work`), shown: programPlaces([]), covered: [] });
    onTestFinished(() => room.close());
    const owner = serverUser();
    const { status, text } = await room.run({ words, environment: {}, ...(owner === undefined ? {} : { owner }) });
    expect({ status, text: text.trim() }).toEqual({ status: 0, text: expect.stringMatching(/^(ECONNREFUSED|ENETUNREACH)$/) });
    expect(await stored()).toBe(0);
  });
});

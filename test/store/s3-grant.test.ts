// What a signed request lets its holder do on a real S3 server, and what not.

import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseLocation } from '../../src/store/location.ts';
import { openStore } from '../../src/store/open.ts';
import { S3Grants, type SignedRequest } from '../../src/store/s3-grant.ts';
import { startS3, type TestS3 } from '../support/ceph.ts';

const s3 = await startS3();
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Sends what is given, whatever the grant says. */
function send(
  { method, url, headers }: SignedRequest,
  body?: Uint8Array,
  change: { method?: string; url?: string; headers?: Record<string, string | undefined> } = {},
): Promise<{ status: number; body: Buffer }> {
  const all = Object.entries({ ...headers, ...change.headers }).filter(([, value]) => value !== undefined);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      change.url ?? url,
      { method: change.method ?? method, headers: Object.fromEntries(all) as Record<string, string>, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks) }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

describe.skipIf(s3 === undefined)('a request that was signed for somebody else', () => {
  const { endpoint, bucket, credentials, region } = s3 ?? ({} as TestS3);
  const prefix = `grants-${randomBytes(4).toString('hex')}`;
  let grants: S3Grants;
  let location: string;

  beforeAll(() => {
    location = `s3+${endpoint}/${bucket}/${prefix}`;
    const parsed = parseLocation(location);
    if (parsed.kind !== 's3') throw new Error('not S3');
    grants = new S3Grants({ location: parsed, credentials, region, now: () => new Date() });
  });

  it('creates the object with exactly these bytes', async () => {
    const bytes = randomBytes(100_000);
    expect((await send(grants.put('packs/aa/one', bytes.length, sha256(bytes)), bytes)).status).toBe(200);
    const store = await openStore(location, { credentials, region });
    expect(Buffer.compare(await store.get('packs/aa/one'), bytes)).toBe(0);
    await store.close();
  });

  it('works once: the second time the object is there', async () => {
    const bytes = randomBytes(1000);
    const grant = grants.put('packs/aa/two', bytes.length, sha256(bytes));
    expect((await send(grant, bytes)).status).toBe(200);
    expect((await send(grant, bytes)).status).toBe(412);
  });

  it('is refused for other bytes of the same length, and nothing is stored', async () => {
    const bytes = randomBytes(5000);
    const grant = grants.put('packs/aa/three', bytes.length, sha256(bytes));
    const answer = await send(grant, randomBytes(5000));
    expect(answer.status).toBe(400);
    expect((await send(grants.get('packs/aa/three', 0, 1))).status).toBe(404);
  });

  it('is refused for a longer or a shorter body', async () => {
    const bytes = randomBytes(5000);
    const grant = grants.put('packs/aa/four', bytes.length, sha256(bytes));
    const longer = randomBytes(6000);
    expect((await send(grant, longer, { headers: { 'content-length': '6000' } })).status).toBe(403);
    expect(
      (await send(grant, longer, { headers: { 'content-length': '6000', 'x-amz-content-sha256': sha256(longer) } })).status,
    ).toBe(403);
    expect((await send(grant, bytes.subarray(0, 10), { headers: { 'content-length': '10' } })).status).toBe(403);
    expect((await send(grants.get('packs/aa/four', 0, 1))).status).toBe(404);
  });

  it('does not overwrite: without its condition it is not the request that was signed', async () => {
    const bytes = randomBytes(1000);
    await send(grants.put('packs/aa/five', bytes.length, sha256(bytes)), bytes);
    const other = randomBytes(1000);
    const grant = grants.put('packs/aa/five', other.length, sha256(other));
    expect((await send(grant, other, { headers: { 'if-none-match': undefined } })).status).toBe(403);
    expect((await send(grant, other)).status).toBe(412);
  });

  it('is good for no other key, no DELETE, no listing and no reading', async () => {
    const bytes = randomBytes(1000);
    const grant = grants.put('packs/aa/six', bytes.length, sha256(bytes));
    const elsewhere = grant.url.replace('six', 'seven');
    expect((await send(grant, bytes, { url: elsewhere })).status).toBe(403);
    expect((await send(grant, bytes)).status).toBe(200);
    const bare = { 'content-length': undefined, 'if-none-match': undefined, 'x-amz-checksum-sha256': undefined };
    expect((await send(grant, undefined, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(400);
    expect((await send(grant, undefined, { method: 'DELETE', headers: bare })).status).toBeGreaterThanOrEqual(400);
    expect((await send(grant, undefined, { method: 'GET' })).status).toBeGreaterThanOrEqual(400);
    expect(
      (await send(grant, undefined, { method: 'GET', url: `${endpoint}/${bucket}?list-type=2` })).status,
    ).toBeGreaterThanOrEqual(400);
    expect((await send(grants.get('packs/aa/six', 0, 1000))).body.equals(bytes)).toBe(true);
  });

  it('reads the range that was granted and no other', async () => {
    const bytes = randomBytes(10_000);
    await send(grants.put('packs/aa/eight', bytes.length, sha256(bytes)), bytes);
    const grant = grants.get('packs/aa/eight', 100, 50);
    const answer = await send(grant);
    expect(answer.status).toBe(206);
    expect(Buffer.compare(answer.body, bytes.subarray(100, 150))).toBe(0);
    expect((await send(grant, undefined, { headers: { range: 'bytes=0-9999' } })).status).toBe(403);
    expect((await send(grant, undefined, { headers: { range: undefined } })).status).toBe(403);
  });

  it('is refused when it is too old', async () => {
    const parsed = parseLocation(location);
    if (parsed.kind !== 's3') throw new Error('not S3');
    const old = new S3Grants({ location: parsed, credentials, region, now: () => new Date(Date.now() - 16 * 60_000) });
    const bytes = randomBytes(10);
    expect((await send(old.put('packs/aa/nine', bytes.length, sha256(bytes)), bytes)).status).toBe(403);
  });
});

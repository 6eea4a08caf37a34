import { createHash } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import type { AgentTransport } from '../../src/protocol/agent-transport.ts';
import type { StoreRequest } from '../../src/protocol/session-messages.ts';
import { StoreClient } from '../../src/remote/store-client.ts';
import { S3Grants } from '../../src/store/s3-grant.ts';
import { startS3 } from '../support/ceph.ts';
import { httpPeer } from '../support/http-peer.ts';

const s3 = await startS3();
const bytes = Buffer.from('what a server forgets once it is stored');
const sha256 = createHash('sha256').update(bytes).digest('hex');

function newClient(): StoreClient {
  // Requests to a bucket do not go through the service.
  const client = new StoreClient({} as AgentTransport);
  onTestFinished(() => client.close());
  return client;
}

function grantAt(endpoint: string, credentials = { accessKeyId: 'AK', secretAccessKey: 'SK' }, region = 'default'): StoreRequest {
  const location = { kind: 's3' as const, endpoint, bucket: s3?.bucket ?? 'bucket', prefix: 'store-client' };
  const { expiresAt, ...signed } = new S3Grants({ location, credentials, region, now: () => new Date() }).put(
    'a',
    bytes.length,
    sha256,
  );
  return { ...signed, expiresAt: expiresAt.toISOString() };
}

it.each([
  [200, '<html><body>Welcome</body></html>'],
  [204, ''],
])('a page that answers %i in the place of the store has stored nothing', async (status, page) => {
  const { endpoint } = await httpPeer((_, __, outgoing) => void outgoing.writeHead(status).end(page));
  const client = newClient();
  await expect(client.put(grantAt(endpoint), bytes)).rejects.toMatchObject({
    code: 'STORE_STRANGE_ANSWER',
    retry: 'later',
  });
  expect(client.bytesStored).toBe(0);
});

it.runIf(s3 !== undefined)('the store itself is believed', async () => {
  const { endpoint, credentials, region } = s3!;
  const request = grantAt(endpoint, credentials, region);
  const client = newClient();
  expect(await client.put(request, bytes)).toBe('created');
  expect(await client.put(request, bytes)).toBe('exists');
});

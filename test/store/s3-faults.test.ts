import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openS3Store, type S3StoreOptions } from '../../src/store/s3-store.ts';
import { type Handler, httpPeer, s3Error } from '../support/http-peer.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts';

const credentials = { accessKeyId: 'AK', secretAccessKey: 'SK' };
const text = (string: string) => new TextEncoder().encode(string);

function storeAt(endpoint: string, options: Partial<S3StoreOptions> = {}): ObjectStore {
  const store = openS3Store({ location: { kind: 's3', endpoint, bucket: 'bucket', prefix: 'p' }, credentials, ...options });
  onTestFinished(() => store.close());
  return store;
}

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    return `no fault but ${JSON.stringify(await promise)}`;
  } catch (error) {
    return isFault(error) ? error.code : `not a fault: ${error}`;
  }
};

async function answering(handler: Handler): Promise<ObjectStore> {
  return storeAt((await httpPeer(handler)).endpoint);
}

const listed = async (store: ObjectStore) => {
  for await (const page of store.list('')) return page;
};

describe('what an S3 store says becomes a fault of the right kind', () => {
  it.each([
    [403, 'AccessDenied', 'STORE_DENIED'],
    [403, 'SignatureDoesNotMatch', 'STORE_DENIED'],
    [403, 'SomethingNew', 'STORE_DENIED'],
    [403, 'QuotaExceeded', 'STORE_FULL'],
    [404, 'NoSuchBucket', 'STORE_BUCKET_MISSING'],
    [409, 'ConditionalRequestConflict', 'STORE_THROTTLED'],
    [429, 'TooManyRequests', 'STORE_THROTTLED'],
    [500, 'InternalError', 'STORE_INTERNAL'],
    [503, 'SlowDown', 'STORE_THROTTLED'],
    [503, 'ServiceUnavailable', 'STORE_THROTTLED'],
    [507, 'InsufficientStorage', 'STORE_FULL'],
    [400, 'XAmzContentSHA256Mismatch', 'STORE_CORRUPT_UPLOAD'],
    [400, 'RequestTimeout', 'STORE_TIMEOUT'],
    [400, 'EntityTooLarge', 'STORE_TOO_LARGE'],
    [301, 'PermanentRedirect', 'STORE_BAD_LOCATION'],
    [418, 'Teapot', 'STORE_STRANGE_ANSWER'],
  ])('%i %s is %s for every verb', async (status, name, expected) => {
    const store = await answering((_, __, outgoing) => s3Error(outgoing, status, name));
    expect(await code(store.put('k', text('x')))).toBe(expected);
    expect(await code(store.get('k'))).toBe(expected);
    expect(await code(store.get('k', { offset: 0, length: 4 }))).toBe(expected);
    expect(await code(store.size('k'))).toBe(expected);
    expect(await code(store.delete('k'))).toBe(expected);
    expect(await code(listed(store))).toBe(expected);
    expect(await code(store.read('k'))).toBe(expected);
    expect(await code(store.swap('k', text('x'), undefined))).toBe(expected);
    expect(await code(store.probe())).toBe(expected);
  });

  it('a 404 that is not of S3 does not say that an object is missing', async () => {
    for (const page of ['', 'Not found', '<html><body>404</body></html>', '{"error":404}']) {
      const store = await answering((_, __, outgoing) => void outgoing.writeHead(404, { 'content-length': page.length }).end(page));
      expect(await code(store.get('k'))).toBe('STORE_STRANGE_ANSWER');
      expect(await code(store.size('k'))).toBe('STORE_STRANGE_ANSWER');
      expect(await code(store.read('k'))).toBe('STORE_STRANGE_ANSWER');
    }
  });

  it('a 503 without a body is taken for what it is', async () => {
    const store = await answering((_, __, outgoing) => void outgoing.writeHead(503, { 'content-length': 0 }).end());
    expect(await code(store.put('k', text('x')))).toBe('STORE_THROTTLED');
    expect(await code(store.get('k'))).toBe('STORE_THROTTLED');
  });

  it('an error in the body of a 200 is not success', async () => {
    const body = '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>too late for the status</Message></Error>';
    const store = await answering((_, __, outgoing) => void outgoing.writeHead(200, { 'content-length': body.length }).end(body));
    expect(await code(store.put('k', text('x')))).toBe('STORE_INTERNAL');
    expect(await code(listed(store))).toBe('STORE_INTERNAL');
    expect(await code(store.get('k'))).toBe('STORE_STRANGE_ANSWER');
  });

  it('a welcome page is not success', async () => {
    const body = '<html><body>It works!</body></html>';
    const store = await answering((_, __, outgoing) => void outgoing.writeHead(200, { 'content-length': body.length }).end(body));
    expect(await code(store.put('k', text('x')))).toBe('STORE_STRANGE_ANSWER');
    expect(await code(store.get('k'))).toBe('STORE_STRANGE_ANSWER');
    expect(await code(store.size('k'))).toBe('STORE_STRANGE_ANSWER');
    expect(await code(listed(store))).toBe('STORE_STRANGE_ANSWER');
    expect(await code(store.read('k'))).toBe('STORE_STRANGE_ANSWER');
  });
});

describe('an answer with other bytes than it should have is noticed', () => {
  const object = (headers: Record<string, string | number>, status: number, body: string): Handler => {
    return (_, __, outgoing) => void outgoing.writeHead(status, { etag: '"e"', ...headers }).end(body);
  };

  it.each([
    ['the whole object for a range', { 'content-length': 10 }, 200, '0123456789'],
    ['another range', { 'content-length': 4, 'content-range': 'bytes 0-3/10' }, 206, '0123'],
    ['fewer bytes', { 'content-length': 3, 'content-range': 'bytes 2-4/10' }, 206, '234'],
    ['other bytes than it says', { 'content-length': 3, 'content-range': 'bytes 2-5/10' }, 206, '234'],
    ['no place', { 'content-length': 4 }, 206, '2345'],
    ['a place that makes no sense', { 'content-length': 4, 'content-range': 'bytes */10' }, 206, '2345'],
  ])('%s', async (_, headers, status, body) => {
    const store = await answering(object(headers as Record<string, string | number>, status, body));
    expect(await code(store.get('k', { offset: 2, length: 4 }))).toBe('STORE_CORRUPT_ANSWER');
  });

  it('a size that comes with more bytes than it says', async () => {
    const store = await answering(object({ 'content-length': 2, 'content-range': 'bytes 0-0/10' }, 206, '01'));
    expect(await code(store.size('k'))).toBe('STORE_CORRUPT_ANSWER');
  });

  it('a body that ends too early', async () => {
    const store = await answering((_, __, outgoing) => {
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 100_000 });
      outgoing.write(Buffer.alloc(50_000), () => outgoing.destroy());
    });
    expect(await code(store.get('k'))).toBe('STORE_CORRUPT_ANSWER');
  });

  it('a body that is larger than anything may be, before memory is taken for it', async () => {
    const store = await answering(
      (_, __, outgoing) => void outgoing.writeHead(200, { etag: '"e"', 'content-length': 1e13 }).flushHeaders(),
    );
    expect(await code(store.get('k'))).toBe('STORE_CORRUPT_ANSWER');
    expect(await code(listed(store))).toBe('STORE_CORRUPT_ANSWER');
  });

  it('a listing without end, as a stream', async () => {
    const store = await answering(async (_, __, outgoing) => {
      outgoing.writeHead(200);
      while (!outgoing.destroyed) await new Promise((resolve) => outgoing.write(Buffer.alloc(1 << 20, 'x'), resolve));
    });
    expect(await code(listed(store))).toBe('STORE_CORRUPT_ANSWER');
  });

  const listing = (inner: string) => `<?xml version="1.0"?><ListBucketResult><Name>bucket</Name>${inner}</ListBucketResult>`;
  const one = '<Contents><Key>p/a</Key><Size>1</Size></Contents>';
  it.each([
    ['with fewer keys than it counts', listing(`<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>${one}`)],
    ['that goes on but does not say where', listing(`<IsTruncated>true</IsTruncated><KeyCount>1</KeyCount>${one}`)],
    [
      'of another prefix',
      listing('<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount><Contents><Key>q/a</Key><Size>1</Size></Contents>'),
    ],
  ])('a listing %s', async (_, body) => {
    const store = await answering((__, ___, outgoing) => void outgoing.writeHead(200, { 'content-length': body.length }).end(body));
    expect(await code(listed(store))).toBe('STORE_CORRUPT_ANSWER');
  });

  it.each([
    ['cut off', listing(one).slice(0, 90)],
    ['without an end', listing(one)],
  ])('what is no listing: one %s', async (_, body) => {
    const store = await answering((__, ___, outgoing) => void outgoing.writeHead(200, { 'content-length': body.length }).end(body));
    expect(await code(listed(store))).toBe('STORE_STRANGE_ANSWER');
  });

  it('a listing that goes in a circle', async () => {
    const body = listing(
      `<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><KeyCount>1</KeyCount>${one}`,
    );
    const store = await answering((__, ___, outgoing) => void outgoing.writeHead(200, { 'content-length': body.length }).end(body));
    const all = async () => {
      for await (const page of store.list('')) expect(page).toEqual([{ key: 'a', sizeBytes: 1 }]);
    };
    expect(await code(all())).toBe('STORE_CORRUPT_ANSWER');
  });

  it('a listing goes on with the same page after a fault', async () => {
    let calls = 0;
    const tokens: (string | null)[] = [];
    const peer = await httpPeer((incoming, _, outgoing) => {
      if (++calls % 2 === 1) return s3Error(outgoing, 503, 'SlowDown');
      const token = new URL(incoming.url ?? '', 'http://x').searchParams.get('continuation-token');
      tokens.push(token);
      const n = Number(token ?? 0);
      const more =
        n < 2
          ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${n + 1}</NextContinuationToken>`
          : '<IsTruncated>false</IsTruncated>';
      const body = listing(`${more}<KeyCount>1</KeyCount><Contents><Key>p/${n}</Key><Size>1</Size></Contents>`);
      outgoing.writeHead(200, { 'content-length': body.length }).end(body);
    });
    const pages = storeAt(peer.endpoint).list('')[Symbol.asyncIterator]();
    const keys: string[] = [];
    for (let ended = false; !ended; ) {
      expect(await code(pages.next())).toBe('STORE_THROTTLED');
      const { value, done } = await pages.next();
      ended = done === true;
      if (!ended) keys.push(value[0].key);
      if (keys.length === 3) break;
    }
    expect(keys).toEqual(['0', '1', '2']);
    expect(tokens).toEqual([null, '1', '2']);
    expect((await pages.next()).done).toBe(true);
  });
});

describe('every wait for an S3 store ends', () => {
  const quick = { connectMs: 200, idleMs: 200, totalMs: 600, slowestBytesPerSecond: 1_000_000_000 };

  it('when the store takes the request and never answers', async () => {
    const { endpoint } = await httpPeer(() => new Promise(() => {}));
    const store = storeAt(endpoint, { timeouts: quick });
    expect(await code(store.get('k'))).toBe('STORE_TIMEOUT');
    expect(await code(store.put('k', text('x')))).toBe('STORE_TIMEOUT');
  });

  it('when the answer stops in the middle', async () => {
    const { endpoint } = await httpPeer((_, __, outgoing) => {
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 1000 });
      outgoing.write('the start');
    });
    expect(await code(storeAt(endpoint, { timeouts: quick }).get('k'))).toBe('STORE_TIMEOUT');
  });

  it('when the answer comes a byte at a time', async () => {
    const { endpoint } = await httpPeer((_, __, outgoing) => {
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 1_000_000 });
      const timer = setInterval(() => outgoing.write('x'), 20);
      outgoing.on('close', () => clearInterval(timer));
    });
    expect(await code(storeAt(endpoint, { timeouts: quick }).get('k'))).toBe('STORE_TIMEOUT');
  });

  it('when the connection never stands', async () => {
    const mute = createTcpServer(() => {}).listen(0, '127.0.0.1');
    onTestFinished(() => void mute.close());
    await once(mute, 'listening');
    const endpoint = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`;
    const store = storeAt(endpoint, { timeouts: { ...quick, idleMs: 60_000, totalMs: 60_000 } });
    expect(await code(store.get('k'))).toBe('STORE_TIMEOUT');
  });

  it('when nobody listens, or the name is unknown', async () => {
    const closed = createTcpServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    expect(await code(storeAt(`http://127.0.0.1:${port}`).get('k'))).toBe('STORE_UNREACHABLE');
    expect(await code(storeAt('http://no-such-host.invalid').put('k', text('x')))).toBe('STORE_UNREACHABLE');
  });

  it('when the connection breaks before the answer', async () => {
    const store = await answering((_, __, outgoing) => void outgoing.destroy());
    expect(await code(store.get('k'))).toBe('STORE_UNREACHABLE');
    expect(await code(store.put('k', text('x')))).toBe('STORE_UNREACHABLE');
  });

  it('when the caller gives up: the socket is closed and the reason thrown', async () => {
    const arrived = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const store = await answering((incoming) => {
      incoming.socket.on('close', closed.resolve);
      arrived.resolve();
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const reason = new Error('enough');
    const get = store.get('k', undefined, { signal: controller.signal });
    await arrived.promise;
    controller.abort(reason);
    await expect(get).rejects.toBe(reason);
    await closed.promise;
  });

  it('when the caller gives up while waiting for its turn', async () => {
    const arrived = Promise.withResolvers<void>();
    const { endpoint, requests } = await httpPeer(() => {
      arrived.resolve();
      return new Promise(() => {});
    });
    const store = storeAt(endpoint, { concurrency: 1 });
    const first = new AbortController();
    const firstGet = store.get('first', undefined, { signal: first.signal });
    await arrived.promise;
    const second = new AbortController();
    const secondGet = store.get('second', undefined, { signal: second.signal });
    second.abort(new Error('second'));
    await expect(secondGet).rejects.toThrow('second');
    first.abort(new Error('first'));
    await expect(firstGet).rejects.toThrow('first');
    expect(requests).toEqual(['GET /bucket/p/first']);
  });
});

describe('the connection to an S3 store', () => {
  it('carries no more requests at a time than allowed', async () => {
    // Answers only when three requests wait: fewer at a time would never end, more would be seen.
    let waiting: (() => void)[] = [];
    let most = 0;
    const peer = await httpPeer(async (_, __, outgoing) => {
      await new Promise<void>((resolve) => {
        most = Math.max(most, waiting.push(resolve));
        if (waiting.length < 3) return;
        setImmediate(() => {
          for (const go of waiting) go();
          waiting = [];
        });
      });
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
    });
    const store = storeAt(peer.endpoint, { concurrency: 3 });
    await Promise.all(Array.from({ length: 30 }, (_, i) => store.put(`k${i}`, text('x'))));
    expect(peer.requests.length).toBe(30);
    expect(most).toBe(3);
  });

  it('is made anew when the store closed it while it was idle', async () => {
    let closed = 0;
    const peer = await httpPeer((incoming, _, outgoing) => {
      const { socket } = incoming as typeof incoming & { socket: { used?: boolean } };
      if (socket.used) {
        closed++;
        return void socket.destroy();
      }
      socket.used = true;
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 1 }).end('x');
    });
    const store = storeAt(peer.endpoint);
    for (let i = 0; i < 5; i++) expect((await store.get('k')).length).toBe(1);
    expect(closed).toBe(4);
    for (let i = 0; i < 5; i++) expect(await store.put('k', text('x'))).toBe('created');
    expect(closed).toBe(8);
  });

  it('sends the digest of the bytes, signed, and no trailer', async () => {
    const heads: Record<string, string | string[] | undefined>[] = [];
    const { endpoint } = await httpPeer((incoming, _, outgoing) => {
      heads.push(incoming.headers);
      outgoing.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
    });
    await storeAt(endpoint).put('k', text('hello'));
    const [head] = heads;
    expect(head['x-amz-content-sha256']).toBe('2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
    expect(head['x-amz-checksum-sha256']).toBe('LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=');
    expect(head.authorization).toMatch(/SignedHeaders=[^,]*x-amz-checksum-sha256;x-amz-content-sha256/);
    expect(head['if-none-match']).toBe('*');
    expect(head['content-length']).toBe('5');
    expect(head['transfer-encoding']).toBeUndefined();
    expect(head.expect).toBeUndefined();
  });

  it('gives what comes in chunks, after an interim answer, or on a connection that closes', async () => {
    const bytes = seededBytes(300_000, 1);
    const place = { 'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}` };
    const { endpoint, requests } = await httpPeer((incoming, _, outgoing) => {
      const name = incoming.url?.split('?')[0].split('/').at(-1);
      if (name === 'missing') return void outgoing.writeHead(404).end('<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>');
      if (name === 'interim') outgoing.writeEarlyHints({ link: '</x>; rel=preload' });
      const headers = { etag: '"e"', ...(incoming.headers.range && place) };
      const length = { 'content-length': bytes.length };
      const last = { ...length, connection: 'close' };
      outgoing.writeHead(incoming.headers.range ? 206 : 200, {
        ...headers,
        ...(name === 'close' ? last : name === 'interim' ? length : {}),
      });
      outgoing.write(bytes.subarray(0, 1000));
      outgoing.end(bytes.subarray(1000));
    });
    const store = storeAt(endpoint);
    for (const name of ['chunks', 'interim', 'close', 'close']) {
      expect(Buffer.from(await store.get(name)).equals(bytes)).toBe(true);
      expect(Buffer.from(await store.get(name, { offset: 0, length: bytes.length })).equals(bytes)).toBe(true);
    }
    expect(await code(store.get('missing'))).toBe('STORE_NOT_FOUND');
    // Asked twice where the answer was not a plain one.
    expect(requests.length).toBe(2 * (2 + 2 + 1 + 1) + 2);
  });

  const fault = /^STORE_(UNREACHABLE|CORRUPT_ANSWER)$/;
  it.each([
    ['nothing of HTTP', 'hello\r\n\r\n', fault],
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`, fault],
    ['two lengths', 'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx', fault],
    ['a negative length', 'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: -1\r\n\r\n', fault],
    [
      'a length and more bytes than that',
      'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n',
      /^no fault but \{"type":"Buffer","data":\[120\]\}$/,
    ],
  ])('does not take %s for more than it is', async (_, answer, expected) => {
    const peer = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(answer));
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void peer.close());
    await once(peer, 'listening');
    const store = storeAt(`http://127.0.0.1:${(peer.address() as AddressInfo).port}`);
    expect(await code(store.get('k'))).toMatch(expected);
  });

  it('works through TLS, deaf to the settings of other AWS programs, and does not keep the process alive', async () => {
    const bytes = seededBytes(3_000_000, 1);
    const stored = new Map<string, Buffer>();
    const server = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE }, async (incoming, outgoing) => {
      const name = incoming.url?.split('?')[0] ?? '';
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      if (incoming.method === 'PUT') stored.set(name, Buffer.concat(chunks));
      const body = incoming.method === 'PUT' ? Buffer.alloc(0) : (stored.get(name) ?? Buffer.alloc(0));
      outgoing.writeHead(200, { etag: '"e"', 'content-length': body.length }).end(body);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, 'listening');
    const directory = scratchDirectory();
    writeFileSync(join(directory, 'authority'), SELF_SIGNED_CERTIFICATE);
    writeFileSync(join(directory, 'bytes'), bytes);
    const script = `
      const { openS3Store } = await import(${JSON.stringify(new URL('../../src/store/s3-store.ts', import.meta.url).href)});
      const { readFileSync } = await import('node:fs');
      const endpoint = 'https://localhost:${(server.address() as AddressInfo).port}';
      const location = { kind: 's3', endpoint, bucket: 'bucket', prefix: '' };
      const store = openS3Store({ location, credentials: { accessKeyId: 'A', secretAccessKey: 'S' } });
      const bytes = readFileSync(${JSON.stringify(join(directory, 'bytes'))});
      await store.put('a', bytes);
      for (let i = 0; i < 3; i++) if (!bytes.equals(await store.get('a'))) throw new Error('other bytes');
      console.log('equal');`;
    const elsewhere = {
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
      AWS_PROFILE: 'nobody',
      AWS_CONFIG_FILE: join(directory, 'bytes'),
      AWS_REGION: '',
    };
    const env = { ...process.env, ...elsewhere, NODE_EXTRA_CA_CERTS: join(directory, 'authority') };
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env, timeout: 60_000 });
    expect(stdout.trim()).toBe('equal');
    expect(stored.get('/bucket/a')?.equals(bytes)).toBe(true);
  });

  it('that does not speak TLS says so', async () => {
    const { endpoint } = await httpPeer((_, _body, outgoing) => void outgoing.end());
    const fault: unknown = await storeAt(endpoint.replace('http:', 'https:'))
      .get('k')
      .catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'STORE_UNREACHABLE', hint: expect.stringContaining('does not speak TLS') });
  });

  it('with a web page in its place names what is wrong there', async () => {
    const store = await answering((_, _body, outgoing) => void outgoing.end('<html>It works</html>'));
    const fault: unknown = await store.get('k').catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'STORE_STRANGE_ANSWER', hint: expect.stringContaining('Check the address') });
  });

  it('is refused when nobody vouches for the certificate of the store', async () => {
    const server = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE }, (_, outgoing) => outgoing.end()).listen(
      0,
      '127.0.0.1',
    );
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const store = storeAt(`https://localhost:${(server.address() as AddressInfo).port}`);
    expect(await code(store.get('k'))).toBe('STORE_UNTRUSTED');
    expect(await code(store.put('k', text('x')))).toBe('STORE_UNTRUSTED');
  });
});

// HTTP peers for tests of the S3 driver: one that answers as a test says, one that keeps objects in memory like a poor S3, and a
// proxy that loses things on the way to a real server. All on the loopback, all closed when the test ends.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export type Peer = {
  readonly endpoint: string;
  /** "GET /bucket/key" of every request so far. */
  readonly requests: string[];
  readonly server: Server;
};

export type Handler = (incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse) => void | Promise<void>;

export async function httpPeer(handler: Handler): Promise<Peer> {
  const requests: string[] = [];
  const server = createServer(async (incoming, outgoing) => {
    requests.push(`${incoming.method} ${incoming.url?.split('?')[0]}`);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk);
      await handler(incoming, Buffer.concat(chunks), outgoing);
    } catch {
      outgoing.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, server };
}

/** An error answer in the words of S3. */
export function s3Error(outgoing: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>injected</Message></Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', 'content-length': body.length }).end(body);
}

export type PoorS3 = {
  readonly ifNoneMatch: 'kept' | 'ignored' | 'unknown';
  readonly ifMatch: 'kept' | 'ignored' | 'only-unquoted' | 'only-quoted' | 'checked-too-early' | 'always-refused';
  readonly objectLock?: boolean;
};

/** A server with PUT, GET, DELETE and conditions as poor as asked for. */
export function poorS3(options: PoorS3): Promise<Peer> {
  const objects = new Map<string, { readonly bytes: Buffer; readonly etag: string; readonly meta: Record<string, string> }>();
  const allows = (incoming: IncomingMessage, etag: string | undefined): boolean => {
    const match = incoming.headers['if-match'];
    if (incoming.headers['if-none-match'] !== undefined) return options.ifNoneMatch === 'ignored' || etag === undefined;
    if (match === undefined || options.ifMatch === 'ignored') return true;
    if (options.ifMatch === 'always-refused') return false;
    if (options.ifMatch === 'only-unquoted') return match === etag;
    if (options.ifMatch === 'only-quoted') return match === `"${etag}"`;
    return match.replaceAll('"', '') === etag;
  };
  return httpPeer(async (incoming, body, outgoing) => {
    const name = incoming.url?.split('?')[0] ?? '';
    const object = objects.get(name);
    if (incoming.url?.includes('object-lock')) {
      if (options.objectLock !== true) return s3Error(outgoing, 501, 'NotImplemented');
      return void outgoing.end('<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>');
    }
    if (incoming.method === 'DELETE') {
      objects.delete(name);
      return void outgoing.writeHead(204).end();
    }
    if (incoming.method === 'GET') {
      if (object === undefined) return s3Error(outgoing, 404, 'NoSuchKey');
      return void outgoing
        .writeHead(200, { etag: `"${object.etag}"`, 'content-length': object.bytes.length, ...object.meta })
        .end(object.bytes);
    }
    if (options.ifNoneMatch === 'unknown') return s3Error(outgoing, 501, 'NotImplemented');
    // The others of a race arrive while this one waits.
    await new Promise((resolve) => setTimeout(resolve, options.ifMatch === 'checked-too-early' ? 100 : 5));
    const checked = options.ifMatch === 'checked-too-early' ? object : objects.get(name);
    if (allows(incoming, checked?.etag)) {
      const etag = createHash('md5').update(body).digest('hex');
      const meta = Object.fromEntries(
        Object.entries(incoming.headers).filter(([header]) => header.startsWith('x-amz-meta-')),
      ) as Record<string, string>;
      objects.set(name, { bytes: body, etag, meta });
      outgoing.writeHead(200, { etag: `"${etag}"`, 'content-length': 0 }).end();
    } else {
      s3Error(outgoing, 412, 'PreconditionFailed');
    }
  });
}

/** What the proxy does to a request: nothing, drops it, drops its answer, sends it twice, cuts the answer off, flips a bit of the
 *  request's or the answer's body, or answers in the server's place with a page of its own. */
export type Mischief = 'none' | 'page' | 'lose-request' | 'lose-answer' | 'repeat' | 'cut-answer' | 'flip-request' | 'flip-answer';

/** A proxy in front of `target`. `decide` is asked for each request. */
export function lossyProxy(target: string, decide: (incoming: IncomingMessage) => Mischief): Promise<Peer> {
  return httpPeer(async (incoming, body, outgoing) => {
    const mischief = decide(incoming);
    if (mischief === 'lose-request') return void outgoing.destroy();
    if (mischief === 'page') return void outgoing.writeHead(404).end('<html><body>Under maintenance</body></html>');
    const sent = mischief === 'flip-request' ? flip(body) : body;
    let answer = await forward(target, incoming, sent);
    if (mischief === 'repeat') answer = await forward(target, incoming, sent);
    if (mischief === 'lose-answer') return void outgoing.destroy();
    outgoing.writeHead(answer.status, answer.headers);
    if (mischief !== 'cut-answer') return void outgoing.end(mischief === 'flip-answer' ? flip(answer.body) : answer.body);
    outgoing.write(answer.body.subarray(0, answer.body.length >> 1), () => outgoing.destroy());
  });
}

function flip(body: Buffer): Buffer {
  const copy = Buffer.from(body);
  if (copy.length > 0) copy[copy.length >> 1] ^= 4;
  return copy;
}

type Answer = { readonly status: number; readonly headers: Record<string, string | string[] | undefined>; readonly body: Buffer };

function forward(target: string, incoming: IncomingMessage, body: Buffer): Promise<Answer> {
  const { hostname, port } = new URL(target);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      async (message) => {
        const chunks: Buffer[] = [];
        for await (const chunk of message) chunks.push(chunk);
        resolve({ status: message.statusCode ?? 0, headers: message.headers, body: Buffer.concat(chunks) });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

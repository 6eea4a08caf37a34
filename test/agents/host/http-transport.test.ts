import { generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HttpTransport, type HttpTransportOptions } from '../../../agents/host/http-transport.ts';
import { call } from '../../../agents/host/service-calls.ts';
import { EndAnswer } from '../../../src/protocol/agent-messages.ts';
import { textToSign } from '../../../src/protocol/request-signature.ts';
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../../support/self-signed.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const pair = generateKeyPairSync('ed25519');
const BODY = Buffer.from('{}');

async function served(handler: Handler, secure?: { readonly key: string; readonly cert: string }): Promise<string> {
  const server = secure === undefined ? createServer(handler) : createSecureServer(secure, handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `${secure === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function transportTo(url: string, details: Partial<HttpTransportOptions> = {}): HttpTransport {
  const transport = new HttpTransport({
    url,
    key: pair.privateKey,
    agentId: 'agt_1',
    now: () => new Date(),
    random: (bytes) => randomBytes(bytes),
    ...details,
  });
  onTestFinished(() => transport.close());
  return transport;
}

describe("an agent's requests", () => {
  it('are signed over what is sent, each with a nonce of its own', async () => {
    const nonces = new Set<string>();
    const url = await served(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      const { headers, method, url: target } = request;
      const time = headers['holdfast-time'] as string;
      const nonce = headers['holdfast-nonce'] as string;
      nonces.add(nonce);
      const text = textToSign({ method: method!, target: target!, time, nonce, body: Buffer.concat(pieces) });
      const isGood = verify(
        null,
        Buffer.from(text),
        pair.publicKey,
        Buffer.from(headers['holdfast-signature'] as string, 'base64url'),
      );
      response.end(JSON.stringify({ isGood, target, agent: headers['holdfast-agent'], type: headers['content-type'] ?? null }));
    });
    const transport = transportTo(url);
    for (const path of ['/agent/v1/poll', '/agent/v1/a?b=c%20d&e']) {
      const { body } = await transport.request('POST', path, BODY);
      expect(JSON.parse(Buffer.from(body).toString())).toEqual({
        isGood: true,
        target: path,
        agent: 'agt_1',
        type: 'application/json',
      });
    }
    const { body } = await transport.request('GET', '/agent/v1/x', undefined);
    expect(JSON.parse(Buffer.from(body).toString())).toMatchObject({ isGood: true, type: null });
    expect(nonces.size).toBe(3);
  });

  it('follow no redirect, and keep their connection', async () => {
    const sockets = new Set<unknown>();
    const url = await served((request, response) => {
      sockets.add(request.socket);
      response.writeHead(307, { location: 'http://127.0.0.1:1/elsewhere' }).end();
    });
    const transport = transportTo(url);
    for (let i = 0; i < 5; i++) expect((await transport.request('POST', '/', BODY)).status).toBe(307);
    expect(sockets.size).toBe(1);
  });

  it('end when the answer does not come, is too long, or is cut', async () => {
    const url = await served((request, response) => {
      if (request.url === '/never') return;
      if (request.url === '/slowly') return void response.write('x');
      if (request.url === '/long') return void response.end(Buffer.alloc(2000));
      response.writeHead(200, { 'content-length': 100 }).write('x', () => request.socket.destroy());
    });
    const transport = transportTo(url, { timeoutMs: 200 });
    const options = { answerBytesMax: 1000 };
    for (const path of ['/never', '/slowly'])
      await expect(transport.request('POST', path, BODY, options)).rejects.toMatchObject({ code: 'SERVICE_TIMEOUT' });
    for (const path of ['/long', '/cut'])
      await expect(transport.request('POST', path, BODY, { ...options, timeoutMs: 60_000 })).rejects.toMatchObject({
        code: 'SERVICE_CORRUPT_ANSWER',
      });
    const stop = new AbortController();
    const waiting = transport.request('POST', '/never', BODY, { signal: stop.signal, timeoutMs: 60_000 });
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(transportTo('http://127.0.0.1:1').request('POST', '/', BODY)).rejects.toMatchObject({
      code: 'SERVICE_UNREACHABLE',
    });
  });

  it('trust a certificate only by an authority that was named', async () => {
    const secure = { key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE };
    const url = (await served((_, response) => void response.end('ok'), secure)).replace('127.0.0.1', 'localhost');
    await expect(transportTo(url).request('POST', '/', BODY)).rejects.toMatchObject({ code: 'SERVICE_UNTRUSTED' });
    expect((await transportTo(url, { ca: secure.cert }).request('POST', '/', BODY)).status).toBe(200);
  });

  it('say where no TLS is spoken', async () => {
    const url = (await served((_, response) => void response.end('ok'))).replace('http:', 'https:');
    await expect(transportTo(url).request('POST', '/', BODY)).rejects.toMatchObject({
      code: 'SERVICE_UNREACHABLE',
      hint: expect.stringContaining('does not speak TLS'),
    });
  });

  it('take nothing that is not an address', () => {
    for (const url of ['', 'x', 'ftp://a', 'http://user:secret@host', 'http://host/?a'])
      expect(() => transportTo(url), url).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('an answer', () => {
  const answered = async (status: number, text: string, version?: string): Promise<unknown> => {
    const url = await served((_, response) => {
      response.writeHead(status, version === undefined ? {} : { 'holdfast-version': version }).end(text);
    });
    return call(transportTo(url), '/agent/v1/x', {}, EndAnswer);
  };

  it('is taken from a service of a version that is understood, without what is not known', async () => {
    expect(await answered(200, '{"state":"queued","new":1}', '1.1')).toEqual({ state: 'queued' });
    await expect(answered(200, '{"state":"queued"}', '1.2')).rejects.toMatchObject({ code: 'AGENT_VERSION_UNSUPPORTED' });
  });

  it("that is not the service's, or makes no sense, is named", async () => {
    await expect(answered(200, '<html>')).rejects.toMatchObject({ code: 'SERVICE_CORRUPT_ANSWER' });
    await expect(answered(502, '<html>')).rejects.toMatchObject({ code: 'SERVICE_UNREACHABLE' });
    await expect(answered(200, '<html>', '1.0')).rejects.toMatchObject({ code: 'SERVICE_CORRUPT_ANSWER' });
    await expect(answered(200, '{"state":1}', '1.0')).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    await expect(answered(409, '{"code":"RUN_FENCED","detail":"gone"}', '1.0')).rejects.toMatchObject({
      code: 'RUN_FENCED',
      message: 'gone',
    });
    await expect(answered(409, '{"code":"OF_LATER"}', '1.0')).rejects.toMatchObject({ code: 'SERVICE_CORRUPT_ANSWER' });
  });
});

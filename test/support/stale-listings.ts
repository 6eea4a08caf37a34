// A store between a client and an S3 server whose listings stand still: what was stored after a moment is in none of them. Everything else is
// answered as it is: an eventually consistent store, or a cache that nobody thought of.

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export class StaleListings {
  readonly #host: string;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((asked, answer) => this.#pass(asked, answer));
  #fromMs: number | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  /** Undefined: listings are as they are. */
  from(ms: number | undefined): void {
    this.#fromMs = ms;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** False: this connection is led on as it is. */
  takes(socket: Socket): boolean {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#fromMs === undefined) return false;
    this.#server.emit('connection', socket);
    return true;
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, url, headers } = asked;
    const fromMs = this.#fromMs;
    const isListing = method === 'GET' && url!.includes('list-type=2') && fromMs !== undefined;
    const far = request({ host: this.#host, port: this.#port, method, path: url, headers, setHost: false }, (came) => {
      if (!isListing) {
        answer.writeHead(came.statusCode!, came.headers);
        came.pipe(answer);
        return;
      }
      const pieces: Buffer[] = [];
      came.on('data', (piece: Buffer) => pieces.push(piece));
      came.on('end', () => {
        const body = Buffer.from(without(Buffer.concat(pieces).toString('utf8'), fromMs));
        const { 'transfer-encoding': _, ...rest } = came.headers;
        answer.writeHead(came.statusCode!, { ...rest, 'content-length': body.length });
        answer.end(body);
      });
    });
    far.on('error', () => answer.destroy());
    answer.on('close', () => far.destroy());
    asked.pipe(far);
  }
}

function without(listing: string, fromMs: number): string {
  let left = 0;
  const held = listing.replace(/<Contents>.*?<\/Contents>/gs, (object) => {
    const [, at] = /<LastModified>(.*?)<\/LastModified>/.exec(object)!;
    if (Date.parse(at!) > fromMs) return '';
    left++;
    return object;
  });
  return held.replace(/<KeyCount>\d+</, `<KeyCount>${left}<`);
}

// An S3 store at each site, reached over the cables of the three places only: a port in the site's namespace, behind which lies a prefix of the
// test's real server. What leads there is a process of its own. A port is opened by a process in the namespace and handed over: a socket stays
// where it was made. The listings of a store may be those of an earlier moment (stale-listings.ts).

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestS3 } from './ceph.ts';
import { StaleListings } from './stale-listings.ts';
import type { Place, ThreePlaces } from './three-places.ts';

const PORT = 9000;

export class PlaceStores {
  readonly #relay: ChildProcess;
  readonly #places: ThreePlaces;
  readonly #s3: TestS3;
  readonly #prefix = `sites-${process.pid}-${performance.now().toFixed(0)}`;

  static async open(places: ThreePlaces, s3: TestS3): Promise<PlaceStores> {
    const namespaces = (['a', 'b'] as const).map((place) => places.namespaceOf(place));
    const relay = fork(import.meta.filename, [s3.host, String(s3.port), ...namespaces]);
    await new Promise((resolve, reject) => {
      relay.once('message', resolve);
      relay.once('exit', (status) => reject(new Error(`The stores of the sites were not opened (exit status ${status})`)));
    });
    return new PlaceStores(places, s3, relay);
  }

  private constructor(places: ThreePlaces, s3: TestS3, relay: ChildProcess) {
    this.#places = places;
    this.#s3 = s3;
    this.#relay = relay;
  }

  location(of: Place): string {
    return `s3+http://${this.#places.address(of)}:${PORT}/${this.#s3.bucket}/${this.#prefix}-${of}`;
  }

  get variables(): Record<string, string> {
    const { credentials, region } = this.#s3;
    return { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey, AWS_REGION: region };
  }

  /** From now on nothing that is stored later is in that store's listings; undefined: everything is. Connections are broken off for it. */
  holdListings(of: Place, fromMs: number | undefined): void {
    this.#relay.send({ namespace: this.#places.namespaceOf(of), fromMs });
  }

  close(): void {
    this.#relay.disconnect();
  }
}

function lead(near: Socket, port: number, host: string): void {
  const far = connect(port, host);
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    socket.setNoDelay(true);
    socket.on('error', () => other.destroy());
    socket.once('close', () => other.destroy());
  }
  near.pipe(far).pipe(near);
}

function listenIn(namespace: string): Promise<Server> {
  const words = ['netns', 'exec', namespace, process.execPath, import.meta.filename];
  const child = spawn('ip', words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return new Promise((resolve, reject) => {
    child.once('message', (_, server) => {
      resolve(server as Server);
      child.disconnect();
    });
    child.once('exit', (status) => reject(new Error(`no port was opened in ${namespace} (exit status ${status})`)));
  });
}

if (process.argv[1] === import.meta.filename) {
  process.once('disconnect', () => process.exit(0));
  const [host, port, ...namespaces] = process.argv.slice(2);
  if (host === undefined) {
    const server = createServer();
    server.listen(PORT, '0.0.0.0', () => process.send!('listening', server));
  } else {
    const stores = new Map(namespaces.map((namespace) => [namespace, new StaleListings(host, Number(port))]));
    for (const [namespace, stale] of stores) {
      const server = await listenIn(namespace);
      server.on('connection', (socket: Socket) => {
        if (!stale.takes(socket)) lead(socket, Number(port), host);
      });
    }
    process.on('message', ({ namespace, fromMs }: { readonly namespace: string; readonly fromMs?: number }) => {
      stores.get(namespace)!.from(fromMs);
    });
    process.send!('ready');
  }
}

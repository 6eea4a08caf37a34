// `holdfast agent` as a process of its own, and a proxy that stands for the network between it and its service.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const HOLDFAST = join(import.meta.dirname, '../../bin/holdfast');

export type Ended = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
};

/** A process that is killed when the test ends. */
export class AgentProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  #out = '';
  #err = '';

  constructor(args: readonly string[]) {
    this.#child = spawn(HOLDFAST, ['agent', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => void (this.#out += text));
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => void (this.#err += text));
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal, out: this.#out, err: this.#err }));
    });
    onTestFinished(async () => {
      this.kill('SIGKILL');
      await this.ended;
    });
  }

  /** Standard error so far: its log. */
  get log(): string {
    return this.#err;
  }

  /** The processes of its runs. */
  get children(): readonly number[] {
    const { pid } = this.#child;
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** A way to a port of the loopback that can be cut and mended. */
export class Network {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(url: string): Promise<Network> {
    const port = Number(new URL(url).port);
    const server = createServer();
    const network = new Network(server);
    server.on('connection', (near) => {
      if (network.#isCut) return void near.destroy();
      const far = connect(port, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        network.#sockets.add(socket);
        socket
          .on('error', () => {})
          .on('close', () => {
            network.#sockets.delete(socket);
            other.destroy();
          });
      }
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      network.cut();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    });
    return network;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }
}

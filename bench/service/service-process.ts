// `holdfast serve` as a process that can be killed and started again on the same home and address.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';

const PROGRAM = resolve(import.meta.dirname, '../../bin/holdfast');
const START_MS_MAX = 300_000;

export class ServiceProcess {
  readonly home: string;
  readonly logPath: string;
  readonly #options: readonly string[];
  #child: ChildProcess | undefined;
  #port: number | undefined;
  url = '';
  token = '';

  constructor(home: string, options: readonly string[] = []) {
    this.home = home;
    this.#options = options;
    mkdirSync(home, { recursive: true });
    this.logPath = `${home}.log`;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  async start(): Promise<void> {
    this.#port ??= await freePort();
    const args = ['serve', '--home', this.home, '--listen', `127.0.0.1:${this.#port}`, '--json', ...this.#options];
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    child.stderr!.pipe(createWriteStream(this.logPath, { flags: 'a' }));
    let text = '';
    await new Promise<void>((listening, fail) => {
      const timer = setTimeout(() => fail(new Error(`The service did not listen within ${START_MS_MAX} ms`)), START_MS_MAX);
      child.on('exit', (status) => fail(new Error(`The service ended with ${status} before it listened; see ${this.logPath}`)));
      child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (!text.includes('\n')) return;
        clearTimeout(timer);
        const { url, adminToken } = JSON.parse(text.split('\n')[0]!) as { url: string; adminToken?: string };
        this.url = url;
        this.#keepToken(adminToken);
        listening();
      });
    });
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill(signal);
    await gone;
  }

  /** It is shown at the very first start only. */
  #keepToken(token: string | undefined): void {
    const path = join(this.home, '..', 'token');
    if (token !== undefined) writeFileSync(path, token, { mode: 0o600 });
    this.token = token ?? (existsSync(path) ? readFileSync(path, 'utf8') : '');
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((closed) => server.close(() => closed()));
  return port;
}

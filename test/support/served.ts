// A real service, started as a user starts it, and requests to it.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { CHECKOUT } from '../architecture/source-files.ts';

const PROGRAM = join(CHECKOUT, 'bin/holdfast');
const WAIT_MS_MAX = 120_000;
/** Within the service's limit of requests. */
const LOOK_EVERY_MS = 300;

export type Answer = { readonly status: number; readonly headers: Headers; readonly body: unknown };

export class Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly token: string;
  readonly #log: () => string;

  private constructor(child: ChildProcess, url: string, token: string, log: () => string) {
    this.child = child;
    this.url = url;
    this.token = token;
    this.#log = log;
  }

  /** `token`: of an earlier start; the first one prints its own. */
  static async start(
    home: string,
    options: {
      readonly args?: readonly string[];
      readonly token?: string;
      readonly env?: NodeJS.ProcessEnv;
      /** Of an earlier start, when those who know it are to find it again. */
      readonly listen?: string;
    } = {},
  ): Promise<Served> {
    const { args = [], token, env = {}, listen = '127.0.0.1:0' } = options;
    const child = spawn(PROGRAM, ['serve', '--home', home, '--listen', listen, '--json', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let log = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-200_000);
    });
    const first = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`The service ended with ${code}:\n${log}`)));
    });
    const listening = JSON.parse(first) as { kind: string; url: string; adminToken?: string };
    if (listening.kind !== 'listening') throw new Error(`The service did not start: ${first}`);
    return new Served(child, listening.url, listening.adminToken ?? token ?? '', () => log);
  }

  get log(): string {
    return this.#log();
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  /** What it answers when it is well; throws with the problem otherwise. */
  async get<T>(path: string): Promise<T> {
    return this.#good<T>(await this.ask('GET', path), path);
  }

  async post<T>(path: string, body: unknown, headers?: Record<string, string>): Promise<T> {
    return this.#good<T>(await this.ask('POST', path, body, headers), path);
  }

  /** Looks until `done` answers something. */
  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const end = Date.now() + WAIT_MS_MAX;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > end)
        throw new Error(`Waited ${WAIT_MS_MAX / 1000} s for ${what}; the service said:\n${this.log.slice(-5000)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  /** As a power cut does. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** As an administrator does. Answers the exit status. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.child.once('exit', (code) => resolve(code)));
    this.child.kill(signal);
    return ended;
  }

  #good<T>({ status, body }: Answer, path: string): T {
    if (status < 200 || status > 299) throw new Error(`${path} was answered ${status}: ${JSON.stringify(body)}`);
    return body as T;
  }
}

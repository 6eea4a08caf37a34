// The command by which a recovering server asks for each file of log, as sh runs it, with the program that it starts and whoever hands the log
// out. A server takes 1 for the end of the log: everything here is about who may say that.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type LogAnswer, LogServer, type LogSource } from '../../agents/postgres/log-server.ts';
import { restoreCommandOf, shellWord } from '../../agents/postgres/recovery-settings.ts';

const NAME = '000000010000000000000003';
const BYTES = Buffer.from('a segment');

/** With everything in its path that means something to sh or to a server. */
class Scene {
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast it's 100% "));
  readonly sandbox = join(this.directory, 'sandbox');
  readonly data = join(this.directory, 'data');
  readonly spool = join(this.directory, 'ready');
  readonly plan = join(this.sandbox, 'plan.json');
  readonly target = join(this.data, 'pg_wal/RECOVERYXLOG');

  constructor({ waits = false } = {}) {
    for (const path of [this.sandbox, this.spool, join(this.data, 'pg_wal')]) mkdirSync(path, { recursive: true });
    writeFileSync(this.plan, JSON.stringify({ socket: join(this.sandbox, 'log'), dataDirectory: this.data, waits }));
    onTestFinished(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  async handOut(fetch: LogSource['fetch'], onAnswer: (answer: LogAnswer) => void = () => {}): Promise<LogServer> {
    const server = await LogServer.listen(join(this.sandbox, 'log'), { fetch }, undefined, (_, answer) => onAnswer(answer));
    onTestFinished(() => server.close());
    return server;
  }

  /** For this process, or another one, as a server starts it. */
  start(server: 'this' | 'another', helper = 'false'): ChildProcess {
    // %% is a %, %f and %p are replaced.
    const command = restoreCommandOf([helper], this.plan, this.spool).replace(/%(.)/g, (_, c: string) =>
      c === 'f' ? NAME : c === 'p' ? 'pg_wal/RECOVERYXLOG' : '%',
    );
    const words = server === 'this' ? [command] : ['sh -c "$0"; exit', command];
    return spawn('sh', ['-c', ...words], { cwd: this.data });
  }

  /** The whole program is one that says what it was started with, and ends with `status`. */
  async run(status = 0): Promise<{ readonly status: number | null; readonly helper: string[] }> {
    const helper = join(this.directory, 'helper');
    writeFileSync(helper, `#!/bin/sh\nprintf '%s\\n' "$@"\nexit ${status}\n`, { mode: 0o755 });
    const child = this.start('this', helper);
    let text = '';
    child.stdout!.on('data', (piece: Buffer) => {
      text += piece.toString();
    });
    const ended = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status: ended, helper: text.split('\n').filter((line) => line !== '') };
  }
}

test('what lies ready is taken, and nobody is asked', async () => {
  const scene = new Scene();
  writeFileSync(join(scene.spool, NAME), BYTES);
  expect(await scene.run(255)).toEqual({ status: 0, helper: [] });
  expect(readFileSync(scene.target)).toEqual(BYTES);
  expect(readdirSync(scene.spool)).toEqual([]);
});

test('who hands the log out decides: the file, its absence, or that nobody knows', async () => {
  const scene = new Scene();
  let answer: () => ReturnType<LogSource['fetch']> = async () => ({ kind: 'file', bytes: BYTES });
  const server = await scene.handOut(() => answer());
  expect(await scene.run()).toEqual({ status: 0, helper: [] });
  expect(readFileSync(scene.target)).toEqual(BYTES);
  answer = async () => ({ kind: 'absent' });
  expect(await scene.run()).toEqual({ status: 1, helper: [] });
  answer = () => Promise.reject(new Error('the store is silent'));
  expect(await scene.run()).toEqual({ status: 255, helper: [] });
  expect([server.segments, server.failure]).toEqual([1, 'the store is silent']);
});

test('only when nobody hands the log out the whole program is started, and only its 77 is the end of the log', async () => {
  const scene = new Scene();
  const helper = ['pg', 'fetch-wal', '--plan', scene.plan, NAME, 'pg_wal/RECOVERYXLOG'];
  for (const [status, answer] of [
    [0, 0],
    [77, 1],
    [1, 255],
    [76, 255],
    [127, 255],
  ] as const)
    expect(await scene.run(status)).toEqual({ status: answer, helper });
});

test('a plan that cannot be read is no answer', async () => {
  const scene = new Scene();
  writeFileSync(scene.plan, '{');
  expect(await scene.run()).toEqual({ status: 255, helper: [] });
  rmSync(scene.plan);
  expect(await scene.run()).toEqual({ status: 255, helper: [] });
});

test('a standby waits until somebody hands its log out, and does not take trouble for an answer', async () => {
  const scene = new Scene({ waits: true });
  const running = scene.run();
  let asked = 0;
  await scene.handOut(async () => {
    if (++asked < 3) throw new Error('the store is silent');
    return { kind: 'file', bytes: BYTES };
  });
  expect(await running).toEqual({ status: 0, helper: [] });
  expect(asked).toBe(3);
});

test('nothing is written for a server that is gone: another one may be at work in its place', async () => {
  const scene = new Scene({ waits: true });
  const { promise: asked, resolve: onAsk } = Promise.withResolvers<void>();
  const { promise: given, resolve: give } = Promise.withResolvers<void>();
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<LogAnswer>();
  const server = await scene.handOut(async () => {
    onAsk();
    await given;
    return { kind: 'file', bytes: BYTES };
  }, onAnswer);
  const killed = scene.start('another');
  const ended = new Promise((resolve) => killed.once('close', resolve));
  await asked;
  killed.kill('SIGKILL');
  // The command of the server that was killed still ran, and ends by itself.
  await ended;
  give();
  expect(await answered).toMatchObject({ outcome: 'failed' });
  expect([existsSync(scene.target), server.segments, server.failure]).toEqual([false, 0, undefined]);
});

test('a word for the shell', () => expect(shellWord("a'b")).toBe("'a'\\''b'"));

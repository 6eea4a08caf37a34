// Hands log files to the helper that a recovering server starts for each (restore_command): over a socket in a private directory, so that
// the repository is opened once and the next segments are ready when they are asked for.
//
// A question is a line of JSON {name, path}; the answer one {outcome: "done" | "absent" | "failed", message}. The file is written whole
// before the answer.

import { chownSync, closeSync, fchownSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { LogFile } from './log-files.ts';

const LINE_CHARS_MAX = 16 * 1024;

/** Where files come from. A fault: nobody knows. */
export interface LogSource {
  fetch(name: string): Promise<LogFile>;
}

export type LogAnswer = { readonly outcome: 'done' | 'absent' | 'failed'; readonly message: string };
export type FileOwner = { readonly uid: number; readonly gid: number };

export class LogServer {
  readonly #server: Server;
  readonly #files: LogSource;
  readonly #owner: FileOwner | undefined;
  readonly #onAnswer: (name: string, answer: LogAnswer) => void;
  /** What could not be given first: why a recovery failed. */
  failure: string | undefined;
  segments = 0;

  private constructor(files: LogSource, owner: FileOwner | undefined, onAnswer: (name: string, answer: LogAnswer) => void) {
    this.#files = files;
    this.#owner = owner;
    this.#onAnswer = onAnswer;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(
    path: string,
    files: LogSource,
    owner: FileOwner | undefined,
    onAnswer: (name: string, answer: LogAnswer) => void = () => {},
  ): Promise<LogServer> {
    const server = new LogServer(files, owner, onAnswer);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(path, resolve);
    });
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
    return server;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: string) => {
      text += piece;
      if (text.length > LINE_CHARS_MAX) socket.destroy();
      const end = text.indexOf('\n');
      if (end === -1) return;
      const line = text.slice(0, end);
      text = '';
      void this.#answer(line, () => !socket.readableEnded && !socket.destroyed).then((answer) =>
        socket.end(`${JSON.stringify(answer)}\n`),
      );
    });
  }

  async #answer(line: string, isWaiting: () => boolean): Promise<LogAnswer> {
    let answer: LogAnswer;
    let name = '';
    try {
      const question = JSON.parse(line) as { readonly name: string; readonly path: string };
      name = question.name;
      answer = await giveLogFile(this.#files, question.name, question.path, this.#owner, isWaiting);
      if (answer.outcome === 'done') this.segments++;
    } catch (error) {
      answer = { outcome: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
    if (answer.outcome === 'failed' && isWaiting()) this.failure ??= answer.message;
    this.#onAnswer(name, answer);
    return answer;
  }
}

/** Writes the file, whole or not at all; and not when whoever asked does not wait any more: another server may be at work in that place. */
export async function giveLogFile(
  files: LogSource,
  name: string,
  path: string,
  owner: FileOwner | undefined,
  isWaiting: () => boolean = () => true,
): Promise<LogAnswer> {
  const file = await files.fetch(name);
  if (!isWaiting()) return { outcome: 'failed', message: `Nobody waits for ${name} any more` };
  if (file.kind === 'absent')
    return { outcome: 'absent', message: `${name} is not part of the log that leads to the wanted place` };
  const draft = `${path}.holdfast`;
  const fd = openSync(draft, 'w', 0o600);
  try {
    for (let at = 0; at < file.bytes.length; ) at += writeSync(fd, file.bytes, at);
    if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
  return { outcome: 'done', message: '' };
}

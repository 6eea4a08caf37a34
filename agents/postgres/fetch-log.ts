// What a recovering server's restore_command starts first for each file of log that does not lie ready: it asks whoever hands the log out
// (log-server.ts), and ends. A program, and a small one: a server starts it four or five times before it is promoted, and it is all that Node
// has to load (measured: 30 to 40 CPU ms instead of 200 for the whole command line, run as a user who may not write its compile cache).
//
// Its exit status is part of a contract with restoreCommandOf: 0 done, 76 nobody listens, 77 proven absent, anything else unknown.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogAnswer } from './log-server.ts';

/** Its own words of a command. */
export const FETCH_LOG: readonly string[] = [process.execPath, import.meta.filename];
export const NOBODY = 76;
export const ABSENT = 77;
export const UNKNOWN = 255;

const ANSWER_TIMEOUT_MS = 600_000;
const ASK_AGAIN_MS = 300;

/** What it reads of the plan that was written for it. */
export type LogPlan = {
  readonly socket: string;
  readonly dataDirectory: string;
  /** Of a standby, which goes on for ever: whoever hands out its log may be away for a while. */
  readonly waits?: boolean;
};

/** `path`: as the server gives it, relative to its data directory. `server`: its process. Undefined when nobody listens. */
export async function askForLog(plan: LogPlan, name: string, path: string, server?: number): Promise<LogAnswer | undefined> {
  const question = { name, path: resolve(plan.dataDirectory, path) };
  if (plan.waits !== true) return ask(plan.socket, question, server);
  // For as long as the server lives that asks: it would take any other answer for the end, or give up for good.
  for (;;) {
    const answer = await ask(plan.socket, question, server).catch(() => undefined);
    if (answer !== undefined && answer.outcome !== 'failed') return answer;
    if (isGone(server)) throw new Error('The server that asked is gone');
    await sleep(ASK_AGAIN_MS);
  }
}

function ask(socketPath: string, question: object, server: number | undefined): Promise<LogAnswer | undefined> {
  return new Promise((answered, reject) => {
    const socket = connect(socketPath);
    let text = '';
    const watch = setInterval(() => {
      // With its question: nothing is written for a server that does not wait for it any more.
      if (isGone(server)) socket.destroy(new Error('The server that asked is gone'));
    }, ASK_AGAIN_MS);
    socket.once('close', () => clearInterval(watch));
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('The restore that runs does not answer')));
    socket.once('connect', () => socket.write(`${JSON.stringify(question)}\n`));
    socket.on('data', (piece: string) => {
      text += piece;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') answered(undefined);
      else reject(error);
    });
    socket.on('end', () => {
      try {
        answered(JSON.parse(text) as LogAnswer);
      } catch {
        reject(new Error('The restore that runs has given no answer'));
      }
    });
  });
}

function isGone(server: number | undefined): boolean {
  try {
    if (server !== undefined) process.kill(server, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function main([plan = '', server = '', name = '', path = '']: readonly string[]): Promise<number> {
  try {
    const answer = await askForLog(JSON.parse(readFileSync(plan, 'utf8')) as LogPlan, name, path, Number(server));
    if (answer === undefined) return NOBODY;
    if (answer.outcome === 'done') return 0;
    process.stderr.write(`${answer.message}\n`);
    return answer.outcome === 'absent' ? ABSENT : UNKNOWN;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return UNKNOWN;
  }
}

if (process.argv[1] === import.meta.filename) process.exit(await main(process.argv.slice(2)));

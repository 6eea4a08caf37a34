// What a recovering server's restore_command starts for each file of log. A server takes the exit status 1 for the end of the log and comes up
// without the rest; so the answer "not there" is 77 here, which the command turns into 1, and everything else that is not 0 becomes 255.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogAnswer } from '../../agents/postgres/log-server.ts';
import type { Leg } from '../engine/recovery-plan.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';

const ABSENT = 77;
const UNKNOWN = 255;
const ANSWER_TIMEOUT_MS = 600_000;
const ASK_AGAIN_MS = 300;

type PlanFile = {
  readonly socket: string;
  readonly dataDirectory: string;
  readonly segmentBytes: number;
  readonly legs: readonly Leg[];
  /** Absent: of a restore through a service. */
  readonly location?: string;
  readonly asset: string;
  readonly cacheDirectory: string;
  readonly passphraseFile?: string;
  /** Of a standby, which goes on for ever: whoever hands out its log may be away for a while. */
  readonly waits?: boolean;
};

export async function pgFetchWal(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  try {
    const file = options.text('plan');
    if (file === undefined) throw usage('Name the plan with --plan');
    const plan = JSON.parse(readFileSync(file, 'utf8')) as PlanFile;
    // The server gives a path that is relative to its data directory, which is where it runs.
    const path = resolve(plan.dataDirectory, args[1]!);
    const answer =
      plan.waits === true ? await askUntilAnswered(plan.socket, args[0]!, path) : await ask(invocation, file, plan, path);
    if (answer.outcome === 'done') return 0;
    output.notice(answer.message);
    return answer.outcome === 'absent' ? ABSENT : UNKNOWN;
  } catch (error) {
    output.notice(error instanceof Error ? error.message : String(error));
    return UNKNOWN;
  }
}

async function ask(invocation: Invocation, file: string, plan: PlanFile, path: string): Promise<LogAnswer> {
  const name = invocation.args[0]!;
  const answer = await askRunning(plan.socket, name, path);
  if (answer !== undefined) return answer;
  if (plan.location !== undefined) return answerAlone(invocation, { ...plan, location: plan.location }, name, path);
  return (await import('../../agents/postgres/held-log.ts')).answerHeld(dirname(file), name, path);
}

/** For as long as the server lives that asks: it would take any other answer for the end, or give up for good. */
async function askUntilAnswered(socket: string, name: string, path: string): Promise<LogAnswer> {
  const { ppid } = process;
  for (;;) {
    const answer = await askRunning(socket, name, path).catch(() => undefined);
    if (answer !== undefined && answer.outcome !== 'failed') return answer;
    if (process.ppid !== ppid) throw new Error('The server that asked is gone');
    await sleep(ASK_AGAIN_MS);
  }
}

/** Undefined when nobody listens. */
function askRunning(socketPath: string, name: string, path: string): Promise<LogAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('The restore that runs does not answer')));
    socket.once('connect', () => socket.write(`${JSON.stringify({ name, path })}\n`));
    socket.on('data', (piece: string) => {
      text += piece;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
    socket.on('end', () => {
      try {
        resolve(JSON.parse(text) as LogAnswer);
      } catch {
        reject(new Error('The restore that runs has given no answer'));
      }
    });
  });
}

/** The restore is over, and the server (paused, or started again) asks for more. */
async function answerAlone(
  { environment, output, signal }: Invocation,
  plan: PlanFile & { readonly location: string },
  name: string,
  path: string,
): Promise<LogAnswer> {
  const [
    { Repository },
    { openStore },
    { processFacts },
    { LogView },
    { LogFiles },
    { giveLogFile },
    { readPassphrase, REPOSITORY_PASSPHRASE },
  ] = await Promise.all([
    import('../repository/repository.ts'),
    import('../store/open.ts'),
    import('./open.ts'),
    import('../engine/log-view.ts'),
    import('../../agents/postgres/log-files.ts'),
    import('../../agents/postgres/log-server.ts'),
    import('./passphrase.ts'),
  ]);
  const passphrase = await readPassphrase(
    { ...REPOSITORY_PASSPHRASE, file: plan.passphraseFile, isNew: false },
    environment,
    output,
  );
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment.variables;
  const credentials = accessKeyId && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {};
  const store = await openStore(plan.location, { create: false, ...credentials });
  const repository = await Repository.open({ store, passphrase, cacheDirectory: plan.cacheDirectory, process: processFacts() });
  try {
    const view = await LogView.open(repository, repository.keyring.assetId(plan.asset), undefined, { signal });
    if (view === undefined) throw new Error(`The repository holds no log of "${plan.asset}"`);
    const files = new LogFiles({ view, segmentBytes: plan.segmentBytes, legs: plan.legs });
    return await giveLogFile(files, name, path, undefined);
  } finally {
    await repository.close();
  }
}

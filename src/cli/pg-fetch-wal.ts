// What a recovering server's restore_command starts for a file of log when nobody hands it out any more (until then fetch-log.ts asks). A server takes
// the exit status 1 for the end of the log and comes up without the rest; so the answer "not there" is 77 here, which the command turns into 1, and
// everything else that is not 0 becomes 255.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ABSENT, askForLog, type LogPlan, UNKNOWN } from '../../agents/postgres/fetch-log.ts';
import type { LogAnswer } from '../../agents/postgres/log-server.ts';
import type { Leg } from '../engine/recovery-plan.ts';
import { usage } from './option.ts';
import type { Invocation } from './verb.ts';

type PlanFile = LogPlan & {
  readonly segmentBytes: number;
  readonly legs: readonly Leg[];
  /** Absent: of a restore through a service. */
  readonly location?: string;
  readonly asset: string;
  readonly cacheDirectory: string;
  readonly passphraseFile?: string;
};

export async function pgFetchWal(invocation: Invocation): Promise<number> {
  const { args, options, output } = invocation;
  try {
    const file = options.text('plan');
    if (file === undefined) throw usage('Name the plan with --plan');
    const plan = JSON.parse(readFileSync(file, 'utf8')) as PlanFile;
    const answer = (await askForLog(plan, args[0]!, args[1]!)) ?? (await answerWithoutServer(invocation, file, plan));
    if (answer.outcome === 'done') return 0;
    output.notice(answer.message);
    return answer.outcome === 'absent' ? ABSENT : UNKNOWN;
  } catch (error) {
    output.notice(error instanceof Error ? error.message : String(error));
    return UNKNOWN;
  }
}

async function answerWithoutServer(invocation: Invocation, file: string, plan: PlanFile): Promise<LogAnswer> {
  const [name, given] = invocation.args as readonly [string, string];
  const path = resolve(plan.dataDirectory, given);
  if (plan.location !== undefined) return answerAlone(invocation, { ...plan, location: plan.location }, name, path);
  return (await import('../../agents/postgres/held-log.ts')).answerHeld(dirname(file), name, path);
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

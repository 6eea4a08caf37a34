// The command line from its arguments to the exit status: parse, load the verb, run it, print the fault if there is one.

import { EXIT, Fault, isFault } from '../base/faults.ts';
import { decodeArguments } from './arguments.ts';
import { openSink } from './descriptor.ts';
import type { Environment } from './environment.ts';
import { Output } from './output.ts';
import type { Parsed } from './parse.ts';
import { parseArguments } from './parse.ts';
import type { HeadStart } from './verb.ts';
import { VERBS } from './verbs.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Answers the exit status. */
export async function run(environment: Environment): Promise<number> {
  const argv = decodeArguments(environment.argv);
  const [out, err] = [openSink(1), openSink(2)];
  // Known before anything is parsed, so that a wrong option is reported in the right form.
  const early = new Output({ json: argv.includes('--json'), quiet: false, verbose: false, progress: false }, out, err);
  let parsed: Parsed;
  try {
    const answered = await answerWithoutVerb(argv, early);
    if (answered !== undefined) return answered;
    parsed = parseArguments(argv, VERBS);
  } catch (error) {
    return fail(error, early);
  }
  const { options, verb, args } = parsed;
  const output = new Output(
    {
      json: options.flag('json'),
      quiet: options.flag('quiet'),
      verbose: options.flag('verbose'),
      progress: !options.flag('no-progress'),
    },
    out,
    err,
  );
  const interruption = listenForSignals();
  let ahead: HeadStart = {};
  // The service's children: see src/base/program-child.ts.
  const isChild = environment.variables.HOLDFAST_LIFELINE === '1';
  const letGo = isChild
    ? (await import('./lifeline.ts')).holdLifeline(() => interruption.interrupt('the end of its parent'))
    : () => {};
  try {
    if (options.flag('help')) {
      const { verbHelp } = await import('./help.ts');
      output.line(verbHelp(verb));
      output.end();
      return 0;
    }
    ahead = await earlyStart(parsed, environment);
    const execute = await verb.load();
    const { signal } = interruption;
    const status = await execute({ verb, verbs: VERBS, args, options, environment, output, signal, early: ahead });
    output.end();
    return status;
  } catch (error) {
    return fail(interruption.signal.aborted && !isFault(error) ? interruption.signal.reason : error, output);
  } finally {
    output.status('');
    interruption.stop();
    await ahead.readThreads?.close();
    letGo();
  }
}

async function earlyStart({ verb, options }: Parsed, environment: Environment): Promise<HeadStart> {
  const opensRepository = verb.name !== 'init' && verb.options.some(({ name }) => name === 'passphrase-file');
  if (!opensRepository) return {};
  const { headStart } = await import('./head-start.ts');
  return headStart(verb, options, environment);
}

async function answerWithoutVerb(argv: readonly string[], output: Output): Promise<number | undefined> {
  const only = argv.length === 1 ? argv[0] : undefined;
  if (only === '--version' || only === 'version') {
    const { versionText } = await import('./version.ts');
    output.line(versionText());
  } else if (argv.length === 0 || only === '--help' || only === '-h') {
    const { overview } = await import('./help.ts');
    output.line(overview(VERBS));
  } else return undefined;
  output.end();
  return argv.length === 0 ? EXIT.usage : 0;
}

function fail(error: unknown, output: Output): number {
  const fault = asFault(error);
  output.fault(fault);
  output.flush();
  if (fault.code === 'INTERNAL' && error instanceof Error) output.notice(String(error.stack));
  return fault.exit;
}

function asFault(error: unknown): Fault {
  if (isFault(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Fault('INTERNAL', message, { cause: error });
}

type Interruption = { readonly signal: AbortSignal; readonly interrupt: (by: string) => void; readonly stop: () => void };

/** The first signal ends the work in an orderly way, the second at once. */
function listenForSignals(): Interruption {
  const controller = new AbortController();
  const interrupt = (by: string): void => controller.abort(new Fault('INTERRUPTED', `Interrupted by ${by}`));
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    interrupt(name);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal: controller.signal,
    interrupt,
    stop: () => {
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}

// The command line from its arguments to the exit status: parse, load the verb, run it, print the fault if there is one.
//
// What a verb waits for longest is the key from the passphrase, a tenth of a second on another thread. So as little as possible is loaded
// before that has begun, and everything else while it runs.

import { EXIT, Fault, isFault } from '../base/faults.ts';
import { decodeArguments } from './arguments.ts';
import type { Environment } from './environment.ts';
import type { Output, OutputOptions } from './output.ts';
import { type Parsed, parseArguments } from './parse.ts';
import type { HeadStart, Verb } from './verb.ts';
import { REPOSITORY_VERBS } from './verbs-repository.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Answers the exit status. */
export async function run(environment: Environment): Promise<number> {
  const argv = decodeArguments(environment.argv);
  const interruption = listenForSignals();
  // Until something is parsed: a wrong option is reported in the right form.
  let outputOptions = { json: argv.includes('--json'), quiet: false, verbose: false, progress: false };
  let ahead: HeadStart = {};
  let letGo = (): void => {};
  let output: Output | undefined;
  try {
    const verbs = await verbsFor(argv);
    const parsed = isVersionOrOverview(argv) ? undefined : parseArguments(argv, verbs);
    if (parsed !== undefined) {
      outputOptions = outputOptionsOf(parsed);
      ahead = await earlyStart(parsed, environment);
    }
    output = await openOutput(outputOptions);
    if (parsed === undefined) return await answerWithoutVerb(argv, verbs, output);
    const { options, verb, args } = parsed;
    // The service's children: see src/base/program-child.ts.
    if (environment.variables.HOLDFAST_LIFELINE === '1')
      letGo = (await import('./lifeline.ts')).holdLifeline(() => interruption.interrupt('the end of its parent'));
    if (options.flag('help')) {
      const { verbHelp } = await import('./help.ts');
      output.line(verbHelp(verb));
      output.end();
      return 0;
    }
    const execute = await verb.load();
    const { signal } = interruption;
    const status = await execute({ verb, verbs, args, options, environment, output, signal, early: ahead });
    output.end();
    return status;
  } catch (error) {
    output ??= await openOutput(outputOptions);
    return fail(interruption.signal.aborted && !isFault(error) ? interruption.signal.reason : error, output);
  } finally {
    output?.status('');
    interruption.stop();
    await ahead.readThreads?.close();
    letGo();
  }
}

/** All verbs, but for one of the repository only those: the tables of the others take longer to load. */
async function verbsFor(argv: readonly string[]): Promise<readonly Verb[]> {
  return REPOSITORY_VERBS.some(({ name }) => name === argv[0]) ? REPOSITORY_VERBS : (await import('./verbs.ts')).VERBS;
}

function outputOptionsOf({ options }: Parsed): OutputOptions {
  return {
    json: options.flag('json'),
    quiet: options.flag('quiet'),
    verbose: options.flag('verbose'),
    progress: !options.flag('no-progress'),
  };
}

async function openOutput(options: OutputOptions): Promise<Output> {
  const [{ openSink }, { Output }] = await Promise.all([import('./descriptor.ts'), import('./output.ts')]);
  return new Output(options, openSink(1), openSink(2));
}

async function earlyStart({ verb, options }: Parsed, environment: Environment): Promise<HeadStart> {
  const opensRepository = verb.name !== 'init' && verb.options.some(({ name }) => name === 'passphrase-file');
  if (!opensRepository || options.flag('help')) return {};
  const { headStart } = await import('./head-start.ts');
  return headStart(verb, options, environment);
}

function withoutForm(argv: readonly string[]): readonly string[] {
  return argv.filter((token) => token !== '--json');
}

function isVersionOrOverview(argv: readonly string[]): boolean {
  const [word, ...more] = withoutForm(argv);
  return argv.length === 0 || (more.length === 0 && ['--version', 'version', '--help', '-h'].includes(word ?? ''));
}

async function answerWithoutVerb(argv: readonly string[], verbs: readonly Verb[], output: Output): Promise<number> {
  const [word] = withoutForm(argv);
  if (word === '--version' || word === 'version') {
    const { versionText } = await import('./version.ts');
    output.line(versionText());
    output.record('version', { text: versionText() });
  } else {
    const { overview } = await import('./help.ts');
    output.line(overview(verbs));
    output.record('help', { text: overview(verbs) });
  }
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
  if ((error as NodeJS.ErrnoException | null)?.syscall === 'uv_cwd')
    // Needed for a path that begins in it, and by every thread that Node starts.
    return new Fault('USAGE', 'The current directory is not there any more', {
      hint: 'Change to a directory that is there ("cd /"), then run the command again.',
    });
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

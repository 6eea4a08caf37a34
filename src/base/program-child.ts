// Our own command line as a child process: its lines of JSON as they come, its end as a value.
//
// Its standard input is a lifeline: a pipe that nobody writes to. When this process dies, however it dies, the pipe ends and the child interrupts
// itself (src/cli/lifeline.ts). So no orphan works on while its run is given to somebody else.
// What is kept of its output is bounded: lines go to `onLine` one by one, and of what it says for people the end stays.

import { type ChildProcess, spawn } from 'node:child_process';

/** A longer line is no message of ours. */
const LINE_CHARS_MAX = 1024 * 1024;
const STDERR_CHARS_MAX = 8 * 1024;
/** After SIGINT, before SIGKILL. */
const GRACE_MS = 30_000;

export type Program = {
  /** bin/holdfast. */
  readonly command: string;
  /** The whole environment of a child, beside what the tenant's store needs. */
  readonly environment: Readonly<Record<string, string>>;
};

export type ChildLine = Readonly<Record<string, unknown>> & { readonly kind: string };

export type ChildEnd = {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of its standard error. */
  readonly stderr: string;
};

export type ChildOptions = {
  readonly program: Program;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly onLine: (line: ChildLine) => void;
  /** Aborted: it is asked to stop, and killed when it does not. With the reason KILL it is killed at once. */
  readonly signal: AbortSignal;
  readonly graceMs?: number;
};

/** As the reason of an abort: its work belongs to somebody else by now. */
export const KILL = Symbol('kill');

export function runProgram(options: ChildOptions): Promise<ChildEnd> {
  const { program, args, environment, onLine, signal, graceMs = GRACE_MS } = options;
  const { promise, resolve, reject } = Promise.withResolvers<ChildEnd>();
  const child = spawn(program.command, [...args, '--json', '--verbose'], {
    env: { ...program.environment, ...environment, HOLDFAST_LIFELINE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A Ctrl-C at a terminal is for the service, which stops its children in its own order.
    detached: true,
  });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARS_MAX);
  });
  readLines(child, onLine);
  const stop = stopper(child, graceMs);
  const onAbort = (): void => stop(signal.reason === KILL);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  child.stdin!.on('error', () => {});
  child.on('error', reject);
  child.on('close', (status, name) => {
    signal.removeEventListener('abort', onAbort);
    resolve({ status, signal: name, stderr });
  });
  return promise;
}

function stopper(child: ChildProcess, graceMs: number): (atOnce: boolean) => void {
  return (atOnce) => {
    child.kill(atOnce ? 'SIGKILL' : 'SIGINT');
    if (atOnce) return;
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    child.once('close', () => clearTimeout(timer));
  };
}

function readLines(child: ChildProcess, onLine: (line: ChildLine) => void): void {
  let rest = '';
  let isSkipping = false;
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (!isSkipping) take(line, onLine);
      isSkipping = false;
    }
    if (rest.length > LINE_CHARS_MAX) {
      rest = '';
      isSkipping = true;
    }
  });
  child.stdout!.on('end', () => {
    if (!isSkipping) take(rest, onLine);
  });
}

function take(text: string, onLine: (line: ChildLine) => void): void {
  if (!text.startsWith('{')) return;
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    // Cut off when it died.
    return;
  }
  if (typeof (line as ChildLine).kind === 'string') onLine(line as ChildLine);
}

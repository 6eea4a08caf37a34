// A program with a limit of time, in a process group of its own: what it starts ends with it. No shell looks at its words.

import { spawn } from 'node:child_process';
import { killGroup } from './process-group.ts';

const OUTPUT_CHARS_MAX = 1_000;
/** Between being asked to end and being made to. */
const KILL_AFTER_MS = 5_000;
/** For the last output of one that has ended. */
const OUTPUT_MS = 1_000;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type Program = {
  /** Absolute. */
  readonly program: string;
  readonly args: readonly string[];
  /** All that it gets beside a search path. */
  readonly variables: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The process group that runs now, and that none does any more: whoever ends this process by force ends that, too. */
  readonly onGroup?: (group: number | undefined) => void;
};

export type ProgramEnd = {
  /** Null: it could not be started, or was ended. */
  readonly status: number | null;
  /** How it failed: "ended with status 3". Undefined: it did not. */
  readonly failure: string | undefined;
  /** The end of what it said. */
  readonly output: string;
};

/** Never rejects: a signal that ends it is one of the ways to fail. */
export function runProgram({ program, args, variables, timeoutMs, signal, onGroup }: Program): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      detached: true,
      shell: false,
      env: { PATH: SEARCH_PATH, LC_ALL: 'C.UTF-8', ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onGroup?.(child.pid);
    const signalAll = (name: NodeJS.Signals): void => void (child.pid !== undefined && killGroup(child.pid, name));
    let output = '';
    const take = (text: string): void => void (output = (output + text).slice(-OUTPUT_CHARS_MAX));
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    let ending: NodeJS.Timeout | undefined;
    let isLate = false;
    const end = (): void => {
      signalAll('SIGTERM');
      ending ??= setTimeout(() => signalAll('SIGKILL'), KILL_AFTER_MS);
    };
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, timeoutMs);
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted === true) end();
    const finish = (status: number | null, failure: string | undefined): void => {
      clearTimeout(timer);
      clearTimeout(ending);
      onGroup?.(undefined);
      signal?.removeEventListener('abort', end);
      resolve({ status, failure, output: output.trim() });
    };
    child.once('error', (error) => finish(null, `cannot be started: ${error.message}`));
    child.once('exit', (code, by) => {
      // What it left behind in its group would go on unseen.
      signalAll('SIGKILL');
      const failure = code === 0 ? undefined : by === null ? `ended with status ${code}` : `was ended by ${by}`;
      const over = (): void => (isLate ? finish(null, `took longer than ${timeoutMs} ms and was ended`) : finish(code, failure));
      // All that it said; but not for ever, when something that left the group holds its output open.
      const waiting = setTimeout(over, OUTPUT_MS);
      child.once('close', () => {
        clearTimeout(waiting);
        over();
      });
    });
  });
}

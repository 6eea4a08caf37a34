// Commands of a policy, before and after a run. The policy comes from the service, the host's consent from whoever started the agent: only
// programs in directories that were allowed run, and none that others may write to. Arguments are a list; no shell looks at them.

import { type ChildProcess, spawn } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import type { HookCommand } from '../../src/protocol/agent-messages.ts';
import { killGroup } from './process-group.ts';

const OUTPUT_CHARS_MAX = 1_000;
/** Between being asked to end and being made to. */
const KILL_AFTER_MS = 5_000;
/** For the last output of one that has ended. */
const OUTPUT_MS = 1_000;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type Hooks = {
  readonly commands: readonly HookCommand[];
  /** Absolute. */
  readonly allowed: readonly string[];
  /** What the commands are told, beside the path. */
  readonly variables: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** The process group that runs now, and that none does any more: whoever ends this process by force ends that, too. */
  readonly onGroup: (group: number | undefined) => void;
};

/** One after the other. Answers the failures that are only warnings. AGENT_HOOK_DENIED, AGENT_HOOK_FAILED, the signal's reason. */
export async function runHooks({ commands, allowed, variables, signal, onGroup }: Hooks): Promise<readonly string[]> {
  // Before the first of them runs.
  const programs = commands.map(({ command }) => allowedProgram(command[0]!, allowed));
  const warnings: string[] = [];
  for (const [i, { command, timeoutMs, onFailure }] of commands.entries()) {
    signal?.throwIfAborted();
    const failure = await execute({ program: programs[i]!, args: command.slice(1), variables, timeoutMs, signal, onGroup });
    signal?.throwIfAborted();
    if (failure === undefined) continue;
    const message = `The hook "${command[0]}" ${failure}`;
    if (onFailure === 'fail') throw new Fault('AGENT_HOOK_FAILED', message);
    warnings.push(message);
  }
  return warnings;
}

function allowedProgram(program: string, allowed: readonly string[]): string {
  const deny = (why: string): Fault => new Fault('AGENT_HOOK_DENIED', `The hook "${program}" ${why}`);
  if (!isAbsolute(program)) throw deny('is not an absolute path');
  let real: string;
  let mode: number;
  try {
    real = realpathSync(program);
    mode = statSync(real).mode;
  } catch (error) {
    throw deny(`cannot be looked at: ${(error as NodeJS.ErrnoException).code}`);
  }
  const directories = allowed.flatMap((directory) => {
    try {
      return [realpathSync(directory)];
    } catch {
      return [];
    }
  });
  if (!directories.includes(dirname(real))) throw deny('is in none of the directories that this agent allows');
  if ((mode & 0o022) !== 0) throw deny('may be changed by others than its owner');
  return real;
}

type Execution = {
  readonly program: string;
  readonly args: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onGroup: Hooks['onGroup'];
};

/** Undefined, or how it failed. */
function execute({ program, args, variables, timeoutMs, signal, onGroup }: Execution): Promise<string | undefined> {
  return new Promise((resolve) => {
    // A group of its own, so that what it starts ends with it.
    const child = spawn(program, args, {
      cwd: '/',
      detached: true,
      shell: false,
      env: { PATH: SEARCH_PATH, LC_ALL: 'C.UTF-8', ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onGroup(child.pid);
    let output = '';
    const take = (text: string): void => void (output = (output + text).slice(-OUTPUT_CHARS_MAX));
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    let ending: NodeJS.Timeout | undefined;
    let isLate = false;
    const end = (): void => {
      signalGroup(child, 'SIGTERM');
      ending ??= setTimeout(() => signalGroup(child, 'SIGKILL'), KILL_AFTER_MS);
    };
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, timeoutMs);
    signal?.addEventListener('abort', end, { once: true });
    const finish = (failure: string | undefined): void => {
      clearTimeout(timer);
      clearTimeout(ending);
      onGroup(undefined);
      signal?.removeEventListener('abort', end);
      const said = output.trim();
      resolve(failure === undefined || said === '' ? failure : `${failure}: ${said}`);
    };
    child.once('error', (error) => finish(`cannot be started: ${error.message}`));
    child.once('exit', (code, by) => {
      // What it left behind in its group would go on unseen.
      signalGroup(child, 'SIGKILL');
      const failure = code === 0 ? undefined : by === null ? `ended with status ${code}` : `was ended by ${by}`;
      const end = (): void => finish(isLate ? `took longer than ${timeoutMs} ms and was ended` : failure);
      // All that it said; but not for ever, when something that left the group holds its output open.
      const waiting = setTimeout(end, OUTPUT_MS);
      child.once('close', () => {
        clearTimeout(waiting);
        end();
      });
    });
  });
}

function signalGroup({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined) killGroup(pid, name);
}

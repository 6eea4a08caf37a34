// Commands of a policy, before and after a run. The policy comes from the service, the host's consent from whoever started the agent: only
// programs in directories that were allowed run, and none that others may write to. Arguments are a list; no shell looks at them.

import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { Fault } from '../../src/base/faults.ts';
import { runProgram } from '../../src/base/run-program.ts';
import type { HookCommand } from '../../src/protocol/agent-messages.ts';

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
    const ended = await runProgram({ program: programs[i]!, args: command.slice(1), variables, timeoutMs, signal, onGroup });
    signal?.throwIfAborted();
    if (ended.failure === undefined) continue;
    const message = `The hook "${command[0]}" ${ended.failure}${ended.output === '' ? '' : `: ${ended.output}`}`;
    if (onFailure === 'fail') throw new Fault('AGENT_HOOK_FAILED', message);
    warnings.push(message);
  }
  return warnings;
}

/** AGENT_HOOK_DENIED; answers its real path. */
export function allowedProgram(program: string, allowed: readonly string[]): string {
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

// The main process of a server: usually a child of this one; in a drill one of a room that nothing gets out of.

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { FileOwner } from './log-server.ts';

export type ServerProcess = {
  /** Undefined when it could not be started, and where it has no number that means something here. */
  readonly pid: number | undefined;
  /** Settles when it has ended, or could not be started. */
  readonly ended: Promise<void>;
  hasEnded(): boolean;
  kill(name: NodeJS.Signals): void;
  /** It may outlive this process. */
  unref(): void;
};

/** `log`: a file that what it prints is added to. */
export type StartServer = (
  program: string,
  args: readonly string[],
  place: { readonly owner: FileOwner | undefined; readonly log: string },
) => ServerProcess;

export const startAsChild: StartServer = (program, args, { owner, log }) => {
  const file = openSync(log, 'a', 0o600);
  const child = spawn(program, args, { ...owner, cwd: '/', stdio: ['ignore', file, file], detached: true });
  closeSync(file);
  return {
    pid: child.pid,
    ended: new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    }),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined,
    kill: (name) => void child.kill(name),
    unref: () => child.unref(),
  };
};

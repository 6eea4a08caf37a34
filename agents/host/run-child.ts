// The process of one run: is told what to do, says how far it is, and how it ended. Without the agent it does not go on.

// Before the flags, see setLateFlags.
import 'node:child_process';
import 'node:crypto';
import 'node:fs';
import 'node:https';
import 'node:perf_hooks';
import 'node:timers/promises';
import 'node:util';
import 'node:zlib';
import { setLateFlags } from '../../src/base/late-flags.ts';
import { resolveNeighboursFast } from '../../src/base/module-paths.ts';
import { killGroup } from '../../src/base/process-group.ts';
import { startThreadsAhead } from '../../src/engine/backup-threads.ts';
import { isDuty } from '../../src/model/run-kind.ts';
import type { FromRun, RunProgress, ToRun } from './run-messages.ts';
import { stopFault } from './run-outcome.ts';

const [, , kind] = process.argv;
// What goes on for days has flags of its own, see run-process.ts.
if (kind === undefined || !isDuty(kind)) setLateFlags();
resolveNeighboursFast();
// The kind comes with the start, so that a thread loads beside everything that is loaded here and while the session begins. One: what has changed
// since the backup before is mostly little.
const threads = kind === 'backup' ? startThreadsAhead(1) : undefined;
const executing = import('./execute-run.ts');
const stop = new AbortController();
let group: number | undefined;

/** Resolves when it was handed over: what is sent last is not lost. */
function say(message: FromRun): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

// Signals of the terminal or of systemd reach the whole group; the agent decides what becomes of its runs.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});
process.once('disconnect', () => {
  if (group !== undefined) killGroup(group, 'SIGKILL');
  process.exit(1);
});
process.on('message', (message: ToRun) => {
  if (message.kind === 'stop') {
    stop.abort(stopFault(message.code));
    return;
  }
  const onProgress = (progress: RunProgress): void => void say({ kind: 'progress', progress });
  const onGroup = (running: number | undefined): void => {
    group = running;
    void say({ kind: 'group', group: running });
  };
  void executing
    .then(({ execute }) => execute(message.claimed, message.settings, stop.signal, onProgress, onGroup, threads))
    .finally(() => threads?.close())
    .then((outcome) => say({ kind: 'end', outcome }))
    .then(() => process.exit(0));
});

// Restores a snapshot, or a part of it, to a directory, a file, a device or standard output.

import { EXIT, Fault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { type RestoreProblem, RestoreProgress } from '../engine/restore-progress.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { parseLocation } from '../store/location.ts';
import { pathOfArgument } from './arguments.ts';
import { locationOf, withRepository } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { pathFields } from './paths.ts';
import { pinned } from './pinned.ts';
import { watch } from './progress-line.ts';
import { execute, type Restore, type Restored, withPool } from './restore-run.ts';
import { mustBeOutside } from './restore-target.ts';
import { selectSnapshot } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import type { Invocation } from './verb.ts';

/** Paths of problems that are remembered, so that a check does not report them again. */
const REPORTED_MAX = 100_000;

export function restore(invocation: Invocation): Promise<number> {
  const { options, args, output, signal } = invocation;
  const toStdout = options.flag('stdout') || options.text('target') === '-';
  checkOptions(invocation, toStdout);
  if (!toStdout) mustBeOutside(pathOfArgument(options.text('target')!), parseLocation(locationOf(options, invocation.environment)));
  if (toStdout) output.keepStandardOutputForData();
  // Loaded while the key is derived from the passphrase, which takes longer.
  void import('../engine/restore-tree.ts');
  void import('../engine/restore-single.ts');
  return withRepository(invocation, async (repository) => {
    if (repository.keyring.role !== 'owner')
      throw new Fault('KEY_CANNOT_READ', `This key of the repository at ${repository.store.location} is for writing only`);
    const snapshot = await selectSnapshot(repository, args[0]!, invocation);
    await repository.openIndex({ signal });
    const progress = new RestoreProgress();
    const reported = new Set<string>();
    let damaged = 0;
    const onProblem = (problem: RestoreProblem): void => {
      if (reported.size < REPORTED_MAX) reported.add(problem.path);
      if (problem.attribute === 'owner' && isAbovePaths(snapshot, problem.path)) return;
      progress.problems++;
      if (problem.code === 'FORMAT_DAMAGED' || problem.code === 'STORE_NOT_FOUND') damaged++;
      reportProblem(output, problem);
    };
    const run: Restore = { invocation, repository, snapshot, progress, onProblem, reported };
    const restored = await pinned(invocation, repository, snapshot, () => execute(run, toStdout));
    const differing = options.flag('verify') ? await check(run, restored) : undefined;
    return report(run, restored, damaged, differing);
  });
}

/** Of a snapshot of several paths, what only leads to them: most of the time it is root's, and nobody else can give it to root. */
function isAbovePaths({ paths }: Snapshot, path: string): boolean {
  return paths.length > 1 && paths.some((one) => one.startsWith(`/${path}/`)) && !paths.includes(`/${path}`);
}

function checkOptions({ options }: Invocation, toStdout: boolean): void {
  if (!toStdout && options.text('target') === undefined) throw usage('"holdfast restore" needs --target PATH (or --stdout)');
  if (!toStdout) return;
  if (options.flag('stdout') && options.text('target') !== undefined && options.text('target') !== '-')
    throw usage('--stdout and --target are two targets');
  if (options.flag('delta') || options.flag('verify'))
    throw usage('--delta and --verify do not go with standard output, which cannot be read again');
}

/** Reads what was restored again. Answers how many entries differ. */
async function check(run: Restore, { check: compare }: Restored): Promise<number> {
  const { invocation, repository } = run;
  const { output } = invocation;
  let differing = 0;
  const progress = new RestoreProgress();
  const onDifference = (difference: RestoreProblem): void => {
    differing++;
    reportProblem(output, difference);
  };
  const stop = watch(output, () => ({
    bytesDone: progress.bytesDone,
    bytesTotal: run.progress.bytesDone,
    notes: ['reading again', `${progress.entriesDone} files`],
    fields: { phase: 'verify', entriesDone: progress.entriesDone },
  }));
  try {
    const { readNode, parameters } = repository;
    await withPool(run, undefined, async (pool) =>
      compare?.({ unitBytes: parameters.paged.unitBytes, readNode, pool, progress, onDifference }),
    );
    return differing;
  } finally {
    stop();
  }
}

function reportProblem(output: Output, { path, code, message }: RestoreProblem): void {
  output.warning(`${displayPath(path === '' ? '.' : path)}: ${message}`, { ...pathFields(path), code });
}

function report(
  { invocation, snapshot, progress }: Restore,
  { target }: Restored,
  damaged: number,
  differing: number | undefined,
): number {
  const { output } = invocation;
  const { entriesDone, bytesDone, bytesFetched, bytesKept, problems } = progress;
  const entries = `${entriesDone} ${entriesDone === 1 ? 'entry' : 'entries'}`;
  const text = `Restored ${entries}, ${formatBytes(bytesDone)}, of snapshot ${shortId(snapshot.id)} to ${target === '-' ? 'standard output' : displayPath(target)}`;
  if (target === '-') output.notice(text);
  else output.line(text);
  output.line(
    `  ${formatBytes(bytesFetched)} fetched${bytesKept > 0 ? `, ${formatBytes(bytesKept)} were there already` : ''}; ${problems > 0 ? `${problems} problems; ` : ''}took ${formatDuration(performance.now())}`,
  );
  if (differing !== undefined)
    output.line(differing === 0 ? '  read again: everything is as in the snapshot' : `  READ AGAIN: ${differing} entries differ`);
  output.summary('restore', {
    snapshot: snapshot.id,
    target: target === '-' ? '-' : pathFields(target).path,
    entries: entriesDone,
    bytes: bytesDone,
    bytesFetched,
    bytesKept,
    problems,
    damaged,
    ...(differing === undefined ? {} : { verified: true, differing }),
    durationMs: Math.round(performance.now()),
  });
  return damaged > 0 || (differing ?? 0) > 0 ? EXIT.damage : problems > 0 ? EXIT.warnings : 0;
}

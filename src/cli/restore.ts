// Restores a snapshot, or a part of it, to a directory, a file, a device or standard output.

import { EXIT, Fault, isFault } from '../base/faults.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { ReadingPool } from '../engine/reading-pool.ts';
import { type RestoreProblem, RestoreProgress } from '../engine/restore-progress.ts';
import { displayPath, nameOfPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { Repository } from '../repository/repository.ts';
import { pathOfArgument } from './arguments.ts';
import { withRepository } from './open.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { pathFields } from './paths.ts';
import { pinned } from './pinned.ts';
import { watch } from './progress-line.ts';
import { prepareDirectory, prepareEntry, prepareFile } from './restore-target.ts';
import { selectSnapshot } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import { entryOfArgument, sourceName } from './snapshot-path.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

type Restore = {
  readonly invocation: Invocation;
  readonly repository: Repository;
  readonly snapshot: Snapshot;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
};

/** What was restored and where to; what `--verify` needs. */
type Restored = { readonly target: string; readonly check: (() => Promise<number>) | undefined };

export function restore(invocation: Invocation): Promise<number> {
  const { options, args, output, signal } = invocation;
  const toStdout = options.flag('stdout') || options.text('target') === '-';
  checkOptions(invocation, toStdout);
  if (toStdout) output.keepStandardOutputForData();
  return withRepository(invocation, async (repository) => {
    if (repository.keyring.role !== 'owner')
      throw new Fault('KEY_CANNOT_READ', `This key of the repository at ${repository.store.location} is for writing only`);
    const snapshot = await selectSnapshot(repository, args[0]!, options, signal);
    await repository.openIndex({ signal });
    const progress = new RestoreProgress();
    const onProblem = (problem: RestoreProblem): void => {
      progress.problems++;
      reportProblem(output, problem);
    };
    let damaged = 0;
    const run: Restore = {
      invocation,
      repository,
      snapshot,
      progress,
      onProblem: (problem) => {
        if (problem.code === 'FORMAT_DAMAGED' || problem.code === 'STORE_NOT_FOUND') damaged++;
        onProblem(problem);
      },
    };
    const restored = await pinned(invocation, repository, snapshot, () => execute(run, toStdout));
    return report(run, restored, damaged);
  });
}

function checkOptions({ options }: Invocation, toStdout: boolean): void {
  if (!toStdout && options.text('target') === undefined) throw usage('"holdfast restore" needs --target PATH (or --stdout)');
  if (!toStdout) return;
  if (options.flag('stdout') && options.text('target') !== undefined && options.text('target') !== '-')
    throw usage('--stdout and --target are two targets');
  if (options.flag('delta') || options.flag('verify'))
    throw usage('--delta and --verify do not go with standard output, which cannot be read again');
}

async function execute(run: Restore, toStdout: boolean): Promise<Restored> {
  const { invocation, repository, snapshot } = run;
  const sub = invocation.options.text('path');
  if (snapshot.type !== 'files') {
    if (sub !== undefined) throw usage(`The snapshot ${shortId(snapshot.id)} is of a ${snapshot.type} and holds no paths`);
    const { reference, kind, contentBytes } = snapshot.root;
    const content: Content = { kind: kind === 'units' ? 'units-map' : 'chunks-map', root: reference };
    if (toStdout) return writeToStdout(run, content, contentBytes);
    return restoreContent(run, content, contentBytes);
  }
  const entry = await entryOfArgument(snapshot, sub, repository.readNode);
  if (toStdout) {
    if (entry?.kind !== 'file')
      throw usage(
        `Only a single file, volume or stream can be written to standard output${entry === undefined ? '' : `; this is a ${entry.kind}`}`,
        'Name a file with --path.',
      );
    const original = await originalOf(run, entry);
    return writeToStdout(run, original.content, original.sizeBytes);
  }
  if (entry === undefined || entry.kind === 'directory') return restoreDirectory(run, entry?.path ?? '');
  return restoreEntry(run, entry);
}

async function restoreDirectory(run: Restore, below: string): Promise<Restored> {
  const { options } = run.invocation;
  const delta = options.flag('delta');
  const { directory } = prepareDirectory(pathOfArgument(options.text('target')!), delta);
  await treeTo(run, below, directory, delta);
  return { target: directory, check: undefined };
}

/** A file, link or special file: it gets its own name in the target. */
async function restoreEntry(run: Restore, entry: StoredEntry): Promise<Restored> {
  const { options } = run.invocation;
  const delta = options.flag('delta');
  const name = entry.path === '' ? sourceName(run.snapshot) : nameOfPath(entry.path);
  const target = prepareEntry(pathOfArgument(options.text('target')!), name, delta);
  await treeTo(run, entry.path, target.directory, delta, name);
  return { target: target.path, check: undefined };
}

async function treeTo(run: Restore, below: string, target: string, delta: boolean, rootName?: string): Promise<void> {
  const { restoreTree } = await import('../engine/restore-tree.ts');
  const { repository, snapshot, progress, onProblem } = run;
  progress.bytesTotal = 0;
  await withPool(run, target, (pool) =>
    restoreTree({
      root: snapshot.root.reference,
      below,
      target,
      delta,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      find: (block) => repository.place(block),
      keys: repository.keys,
      pool,
      progress,
      onProblem,
      ...(rootName === undefined ? {} : { rootName }),
    }),
  );
}

async function restoreContent(run: Restore, content: Content, sizeBytes: number): Promise<Restored> {
  const { restoreSingle } = await import('../engine/restore-single.ts');
  const { invocation, repository, snapshot, progress, onProblem } = run;
  const { options } = invocation;
  const { path, exists } = prepareFile(pathOfArgument(options.text('target')!), sourceName(snapshot), options.flag('delta'));
  await withPool(run, undefined, (pool) =>
    restoreSingle({
      content,
      sizeBytes,
      path,
      delta: exists,
      unitBytes: repository.parameters.paged.unitBytes,
      readNode: repository.readNode,
      find: (block) => repository.place(block),
      keys: repository.keys,
      pool,
      progress,
      onProblem,
    }),
  );
  return { target: path, check: undefined };
}

async function writeToStdout(run: Restore, content: Content, sizeBytes: number): Promise<Restored> {
  const { readContent } = await import('../engine/restore-single.ts');
  const { writeAll } = await import('./write-stdout.ts');
  const { repository, progress, invocation } = run;
  progress.bytesTotal = sizeBytes;
  progress.entriesTotal = 1;
  const pieces = readContent(content, sizeBytes, repository.parameters.paged.unitBytes, repository.readNode, repository.reader);
  const stop = drawProgress(run);
  try {
    await writeAll(pieces, (bytes) => void (progress.bytesDone += bytes), invocation.signal);
  } finally {
    stop();
  }
  progress.entriesDone = 1;
  return { target: '-', check: undefined };
}

/** Of another name of an inode: the entry that holds the content. */
async function originalOf({ snapshot, repository }: Restore, entry: StoredEntry): Promise<StoredEntry> {
  if (entry.hardLinkTo === '') return entry;
  const { findEntry } = await import('../engine/entries-reader.ts');
  const original = await findEntry(snapshot.root.reference, repository.readNode, entry.hardLinkTo);
  if (original === undefined)
    throw new Fault(
      'FORMAT_DAMAGED',
      `"${displayPath(entry.path)}" is another name of "${displayPath(entry.hardLinkTo)}", which the snapshot does not hold`,
    );
  return original;
}

async function withPool(run: Restore, target: string | undefined, work: (pool: ReadingPool) => Promise<void>): Promise<void> {
  const { invocation, repository } = run;
  const { store, keyring } = repository;
  const pool = new ReadingPool(store, threadsOf(invocation.options), { idKey: keyring.payload.idKey, target }, invocation.signal);
  const stop = drawProgress(run);
  try {
    await work(pool);
  } catch (error) {
    throw isFault(error, 'INTERRUPTED')
      ? new Fault('INTERRUPTED', error.message, { hint: 'What was restored stays; run the same command with --delta to go on.' })
      : error;
  } finally {
    stop();
    await pool.close();
  }
}

function drawProgress({ invocation, progress, snapshot }: Restore): () => void {
  return watch(invocation.output, () => {
    const { bytesDone, bytesFetched, bytesKept, entriesDone, problems } = progress;
    const whole = invocation.options.text('path') === undefined ? snapshot.root.contentBytes : undefined;
    const notes = [
      `${entriesDone} files`,
      `fetched ${formatBytes(bytesFetched)}`,
      ...(bytesKept > 0 ? [`kept ${formatBytes(bytesKept)}`] : []),
      ...(problems > 0 ? [`${problems} problems`] : []),
    ];
    return { bytesDone, bytesTotal: whole, notes, fields: { bytesFetched, bytesKept, entriesDone, problems } };
  });
}

function reportProblem(output: Output, { path, code, message }: RestoreProblem): void {
  output.warning(`${displayPath(path)}: ${displayPath(message)}`, { ...pathFields(path), code });
}

async function report({ invocation, snapshot, progress }: Restore, { target, check }: Restored, damaged: number): Promise<number> {
  const { output } = invocation;
  const differing = check === undefined ? undefined : await check();
  const { entriesDone, bytesDone, bytesFetched, bytesKept, problems } = progress;
  const entries = `${entriesDone} ${entriesDone === 1 ? 'entry' : 'entries'}`;
  const text = `Restored ${entries}, ${formatBytes(bytesDone)}, of snapshot ${shortId(snapshot.id)} to ${target === '-' ? 'standard output' : displayPath(target)}`;
  if (target === '-') output.notice(text);
  else output.line(text);
  output.line(
    `  ${formatBytes(bytesFetched)} fetched${bytesKept > 0 ? `, ${formatBytes(bytesKept)} were there already` : ''}; ${problems > 0 ? `${problems} problems; ` : ''}took ${formatDuration(performance.now())}`,
  );
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

// Carrying out a restore: which part of a snapshot goes where, and by which of the three ways (a tree, one content, standard output).

import { Fault, isFault } from '../base/faults.ts';
import { formatBytes } from '../base/units.ts';
import type { RestoredCheck } from '../engine/check-restored.ts';
import { ReadingPool } from '../engine/reading-pool.ts';
import type { RestoreProblem, RestoreProgress } from '../engine/restore-progress.ts';
import { displayPath, nameOfPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import type { Repository } from '../repository/repository.ts';
import { pathOfArgument } from './arguments.ts';
import { usage } from './option.ts';
import { watch } from './progress-line.ts';
import { prepareDirectory, prepareEntry, prepareFile } from './restore-target.ts';
import { shortId } from './snapshot-fields.ts';
import { entryOfArgument, sourceName } from './snapshot-path.ts';
import { threadsOf } from './threads.ts';
import type { Invocation } from './verb.ts';

export type Restore = {
  readonly invocation: Invocation;
  readonly repository: Repository;
  readonly snapshot: Snapshot;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
  /** Paths of problems so far. */
  readonly reported: ReadonlySet<string>;
};

/** What was restored and where to; `check` reads it again. */
export type Restored = { readonly target: string; readonly check?: (check: RestoredCheck) => Promise<void> };

export async function execute(run: Restore, toStdout: boolean): Promise<Restored> {
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
  const { directory } = await prepareDirectory(pathOfArgument(options.text('target')!), delta);
  await treeTo(run, below, directory, delta);
  return { target: directory, check: treeCheck(run, below, directory) };
}

/** A file, link or special file: it gets its own name in the target. */
async function restoreEntry(run: Restore, entry: StoredEntry): Promise<Restored> {
  const { options } = run.invocation;
  const delta = options.flag('delta');
  const name = entry.path === '' ? sourceName(run.snapshot) : nameOfPath(entry.path);
  const target = await prepareEntry(pathOfArgument(options.text('target')!), name, delta);
  await treeTo(run, entry.path, target.directory, delta, name);
  return { target: target.path, check: treeCheck(run, entry.path, target.directory, name) };
}

async function treeTo(run: Restore, below: string, target: string, delta: boolean, rootName?: string): Promise<void> {
  const { restoreTree } = await import('../engine/restore-tree.ts');
  const { repository, snapshot, progress, onProblem } = run;
  progress.bytesTotal = 0;
  await drawn(run, () =>
    withPool(run, target, (pool) =>
      restoreTree({
        root: snapshot.root.reference,
        below,
        target,
        delta,
        unitBytes: repository.parameters.paged.unitBytes,
        readNode: repository.readNode,
        blocks: repository.blocks,
        keys: repository.keys,
        pool,
        progress,
        onProblem,
        ...(rootName === undefined ? {} : { rootName }),
      }),
    ),
  );
}

async function restoreContent(run: Restore, content: Content, sizeBytes: number): Promise<Restored> {
  const { restoreSingle } = await import('../engine/restore-single.ts');
  const { invocation, repository, snapshot, progress, onProblem } = run;
  const { options } = invocation;
  const { path, exists } = await prepareFile(pathOfArgument(options.text('target')!), sourceName(snapshot), options.flag('delta'));
  await drawn(run, () =>
    withPool(run, undefined, (pool) =>
      restoreSingle({
        content,
        sizeBytes,
        path,
        delta: exists,
        unitBytes: repository.parameters.paged.unitBytes,
        readNode: repository.readNode,
        blocks: repository.blocks,
        keys: repository.keys,
        pool,
        progress,
        onProblem,
      }),
    ),
  );
  return { target: path, check: contentCheck(content, sizeBytes, path) };
}

async function writeToStdout(run: Restore, content: Content, sizeBytes: number): Promise<Restored> {
  const { readContent } = await import('../engine/restore-single.ts');
  const { writeAll } = await import('./write-stdout.ts');
  const { repository, progress, invocation } = run;
  const { parameters, readNode, reader } = repository;
  progress.bytesTotal = sizeBytes;
  progress.entriesTotal = 1;
  const before = reader.bytesFetched;
  const written = (bytes: number): void => {
    progress.bytesDone += bytes;
    progress.bytesFetched = reader.bytesFetched - before;
  };
  const stop = drawProgress(run);
  try {
    await writeAll(readContent(content, sizeBytes, parameters.paged.unitBytes, readNode, reader), written, invocation.signal);
  } finally {
    stop();
  }
  progress.entriesDone = 1;
  return { target: '-' };
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

/** Workers that read for `work`. */
export async function withPool(
  run: Restore,
  target: string | undefined,
  work: (pool: ReadingPool) => Promise<void>,
): Promise<void> {
  const { invocation, repository } = run;
  const { options, signal, early } = invocation;
  const { store, keyring } = repository;
  const pool = new ReadingPool(store, threadsOf(options), { idKey: keyring.payload.idKey, target }, signal, early.readThreads);
  try {
    await work(pool);
  } catch (error) {
    throw isFault(error, 'INTERRUPTED')
      ? new Fault('INTERRUPTED', error.message, { hint: 'What was restored stays; run the same command with --delta to go on.' })
      : error;
  } finally {
    await pool.close();
  }
}

async function drawn(run: Restore, work: () => Promise<void>): Promise<void> {
  const stop = drawProgress(run);
  try {
    await work();
  } finally {
    stop();
  }
}

function treeCheck(
  { snapshot, reported }: Restore,
  below: string,
  target: string,
  rootName?: string,
): NonNullable<Restored['check']> {
  return async (check) => {
    const { checkTree } = await import('../engine/check-restored.ts');
    await checkTree({
      ...check,
      root: snapshot.root.reference,
      below,
      target,
      reported,
      ...(rootName === undefined ? {} : { rootName }),
    });
  };
}

function contentCheck(content: Content, sizeBytes: number, path: string): NonNullable<Restored['check']> {
  return async (check) => {
    const { checkContent } = await import('../engine/check-restored.ts');
    await checkContent(check, content, sizeBytes, path, path);
    check.progress.entriesDone = 1;
    await check.pool.drain();
  };
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

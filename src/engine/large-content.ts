// Contents that are too large for one task: they are read in extents by several workers at once, a bounded number of them in flight,
// and their maps are built in order as the answers come.

import { Fault } from '../base/faults.ts';
import { UNITS_PER_LEAF } from '../format/units-node.ts';
import { displayPath } from '../model/entry-path.ts';
import { NO_REFERENCES, REFERENCE_BYTES, type References } from '../model/reference.ts';
import { type Content, NO_CONTENT } from '../model/stored-entry.ts';
import type { BrokenPage, ExpectedStat, FileTask, FileTaskResult, PageCheck, PagedLeaf } from '../worker/file-task.ts';
import type { BackupPipeline } from './backup-pipeline.ts';
import { type ChangedRange, unitsOfLeaves } from './changed-ranges.ts';
import { ChunksMapBuilder, type PutNode, type ReadNode, UnitsMapBuilder, unitsLeaves } from './content-map.ts';

export const EXTENT_BYTES = 64 * 1024 * 1024;
/** Few chunks are listed in their entry; more get a map of their own. */
const INLINE_REFERENCES_MAX = 16;

export type LargeSource = {
  readonly file: number;
  readonly root: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly expected: ExpectedStat | undefined;
  readonly isWritten?: boolean;
  readonly pages?: PageCheck | undefined;
  /** Where it may differ from its parent, in order and joined; undefined: anywhere. */
  readonly changed?: readonly ChangedRange[] | undefined;
};

export type LargeResult = {
  readonly content: Content;
  readonly bytesRead: number;
  /** Undefined when all went well. */
  readonly problem: { readonly code: string; readonly message: string; readonly missing: boolean } | undefined;
  /** Of pages with checksums. */
  readonly brokenPages?: readonly BrokenPage[];
};

/** `done`: with what need not be read. */
export type OnRead = (bytes: number, done: number) => void;

/** Paged content of a parent snapshot: unchanged units are found by position. */
export type PagedParent = { readonly root: References; readonly sizeBytes: number };

const NOT_GIVEN: readonly null[] = [];

/** Runs the extents of one content; `extentsOf` yields tasks in order, `onResult` sees their results in order. */
async function runInOrder(
  session: BackupPipeline,
  tasks: AsyncIterable<FileTask> | Iterable<FileTask>,
  onResult: (result: FileTaskResult, task: FileTask) => void,
  onRead: OnRead,
): Promise<void> {
  let last: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  for await (const task of tasks) {
    await session.room();
    if (failure !== undefined) break;
    const before = last;
    const answer = session.runFiles([task]);
    last = answer.then(async (results) => {
      await before;
      const result = results[0]!;
      onRead(result.bytesRead, task.length);
      onResult(result, task);
    });
    last.catch((error: unknown) => {
      failure ??= { error };
    });
  }
  await last;
  if (failure !== undefined) throw failure.error;
}

class Outcome {
  bytesRead = 0;
  problem: LargeResult['problem'];
  readonly brokenPages: BrokenPage[] = [];

  note({ outcome, bytesRead, brokenPages }: FileTaskResult, path: string): void {
    this.bytesRead += bytesRead;
    if (brokenPages !== undefined) this.brokenPages.push(...brokenPages);
    if (outcome === 'read' || this.problem?.missing === true) return;
    this.problem =
      outcome === 'changed'
        ? { code: 'CHANGED', message: `"${displayPath(path)}" changed while it was read`, missing: false }
        : { code: outcome.problem, message: outcome.message, missing: true };
  }
}

/** Few stand in the entry, more have a map. */
export function contentOfChunks(references: References, putNode: PutNode): Content {
  if (references.length === 0) return NO_CONTENT;
  if (references.length <= INLINE_REFERENCES_MAX * REFERENCE_BYTES) return { kind: 'chunks', references };
  const builder = new ChunksMapBuilder(putNode);
  builder.add(references);
  return { kind: 'chunks-map', root: builder.finish() };
}

/** A large file that is cut by content. */
export async function backUpLargeContent(session: BackupPipeline, source: LargeSource, onRead: OnRead): Promise<LargeResult> {
  const builder = new ChunksMapBuilder((node) => session.putNode(node));
  const outcome = new Outcome();
  const tasks = extents(source, 'content');
  await runInOrder(
    session,
    tasks,
    (result) => {
      builder.add(result.references);
      outcome.note(result, source.path);
    },
    onRead,
  );
  const root = builder.finish();
  // None: it was cut to nothing before it could be read.
  const content: Content = root.length === 0 ? NO_CONTENT : { kind: 'chunks-map', root };
  return { content, ...outcome };
}

/** A volume, or a large paged file. */
export async function backUpPaged(
  session: BackupPipeline,
  source: LargeSource,
  cut: 'paged' | 'volume',
  unitBytes: number,
  parent: PagedParent | undefined,
  readNode: ReadNode,
  onRead: OnRead,
): Promise<LargeResult> {
  const builder = new UnitsMapBuilder((node) => session.putNode(node));
  const outcome = new Outcome();
  const parents: References[][] = [];
  await runInOrder(
    session,
    pagedExtents(source, cut, unitBytes, parent, readNode, parents),
    (result) => {
      const leaves = parents.shift() ?? [];
      for (const [i, leaf] of result.leaves.entries()) builder.add(leafReference(session, leaf, leaves[i]));
      outcome.note(result, source.path);
    },
    onRead,
  );
  const root = outcome.problem?.missing === true ? NO_REFERENCES : builder.finish(Math.ceil(source.sizeBytes / unitBytes));
  return { content: { kind: 'units-map', root }, ...outcome };
}

/** The reference of a leaf that a worker answered. */
export function leafReference(session: BackupPipeline, leaf: PagedLeaf, parent: References | undefined): References {
  if (leaf.kind === 'zero') return NO_REFERENCES;
  if (leaf.kind === 'node') return session.putNode(leaf.bytes);
  if (parent === undefined || parent.length === 0)
    throw new Fault('FORMAT_DAMAGED', 'A worker kept a leaf that the parent snapshot does not have');
  return parent;
}

/** How many of the first leaves of a parent's map can be compared with those of a content of `sizeBytes`: whole ones, or all when the
 *  size is the same. */
export function comparableLeaves(parent: PagedParent | undefined, sizeBytes: number, unitBytes: number): number {
  if (parent === undefined) return 0;
  const leafBytes = unitBytes * UNITS_PER_LEAF;
  const shorter = Math.min(parent.sizeBytes, sizeBytes);
  return parent.sizeBytes === sizeBytes ? Math.ceil(sizeBytes / leafBytes) : Math.floor(shorter / leafBytes);
}

async function* pagedExtents(
  source: LargeSource,
  cut: 'paged' | 'volume',
  unitBytes: number,
  parent: PagedParent | undefined,
  readNode: ReadNode,
  parents: References[][],
): AsyncGenerator<FileTask> {
  const leafBytes = unitBytes * UNITS_PER_LEAF;
  const comparable = comparableLeaves(parent, source.sizeBytes, unitBytes);
  const leaves = parent === undefined ? undefined : unitsLeaves(parent.root, Math.ceil(parent.sizeBytes / unitBytes), readNode);
  let leaf = 0;
  for (const task of extents(source, cut)) {
    const references: References[] = [];
    const nodes: (Uint8Array | null)[] = [];
    for (let at = 0; at < task.length; at += leafBytes, leaf++) {
      const reference = leaf < comparable ? ((await leaves?.next())?.value as References | undefined) : undefined;
      references.push(reference ?? NO_REFERENCES);
      nodes.push(reference === undefined || reference.length === 0 ? null : await readNode(reference));
    }
    parents.push(references);
    yield {
      ...task,
      parentLeaves: nodes,
      ...changedUnitsOf(source, unitBytes, { first: leaf - references.length, count: references.length }, comparable),
    };
  }
}

/** Of some leaves, the units that must be read: all of those that cannot be compared. */
export function changedUnitsOf(
  { changed, sizeBytes }: Pick<LargeSource, 'changed' | 'sizeBytes'>,
  unitBytes: number,
  leaves: { readonly first: number; readonly count: number },
  comparable: number,
): Pick<FileTask, 'changedUnits'> {
  if (changed === undefined) return {};
  const units = unitsOfLeaves(changed, sizeBytes, unitBytes, UNITS_PER_LEAF, leaves);
  return { changedUnits: units.map((leaf, n) => (leaves.first + n < comparable ? leaf : null)) };
}

function* extents(source: LargeSource, cut: FileTask['cut']): Generator<FileTask> {
  const { sizeBytes, changed: _, ...rest } = source;
  for (let offset = 0; offset < sizeBytes; offset += EXTENT_BYTES) {
    yield { ...rest, cut, offset, length: Math.min(EXTENT_BYTES, sizeBytes - offset), parentLeaves: NOT_GIVEN };
  }
}

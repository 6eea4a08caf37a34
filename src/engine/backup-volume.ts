// Backing up a volume (disk image, block device): by position. With changed ranges only these are read and only the map nodes above them
// are written: the cost is that of the change, whatever the volume's size.

import { decodeUnitsBranch, encodeUnitsBranch, UNITS_FANOUT, UNITS_PER_LEAF, unitsMapHeight } from '../format/units-node.ts';
import { NO_REFERENCES, type References } from '../model/reference.ts';
import type { SnapshotRoot } from '../model/snapshot.ts';
import type { FileTask } from '../worker/file-task.ts';
import type { BackupPipeline } from './backup-pipeline.ts';
import type { BackupListener, BackupProgress } from './backup-progress.ts';
import { type ChangedRange, type TouchedLeaf, touchedLeaves } from './changed-ranges.ts';
import type { ReadNode } from './content-map.ts';
import { backUpPaged, leafReference, type PagedParent } from './large-content.ts';

/** Touched leaves in flight. */
const LEAVES_AHEAD = 16;

export type VolumeBackup = {
  readonly session: BackupPipeline;
  /** Absolute, latin1. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly unitBytes: number;
  readonly parent: PagedParent | undefined;
  /** Only with a parent of the same size. */
  readonly changedRanges: readonly ChangedRange[] | undefined;
  readonly readNode: ReadNode;
  readonly progress: BackupProgress;
  readonly listener: BackupListener;
};

export async function backUpVolume(backup: VolumeBackup): Promise<SnapshotRoot> {
  const { session, path, sizeBytes, unitBytes, parent, changedRanges, readNode, progress, listener } = backup;
  progress.bytesScanned = sizeBytes;
  progress.scanned = true;
  progress.current = path;
  if (parent !== undefined && changedRanges !== undefined && parent.sizeBytes === sizeBytes) {
    return {
      kind: 'units',
      reference: await new RangesRun(backup, parent.root).run(changedRanges),
      contentBytes: sizeBytes,
      entries: 1,
    };
  }
  const { content, problem } = await backUpPaged(
    session,
    { file: 0, root: path, path: '', sizeBytes, expected: undefined },
    'volume',
    unitBytes,
    parent,
    readNode,
    (bytes) => {
      progress.bytesRead += bytes;
      progress.bytesDone += bytes;
    },
  );
  if (problem !== undefined) reportAsProblem(listener, progress, path, problem);
  return {
    kind: 'units',
    reference: content.kind === 'units-map' ? content.root : NO_REFERENCES,
    contentBytes: sizeBytes,
    entries: 1,
  };
}

function reportAsProblem(
  listener: BackupListener,
  progress: BackupProgress,
  path: string,
  problem: { code: string; message: string; missing: boolean },
): never | void {
  progress.problems++;
  listener.onProblem({ path, ...problem });
}

/** Replaces the touched leaves of the parent's map. */
class RangesRun {
  readonly #backup: VolumeBackup;
  readonly #root: References;
  readonly #height: number;
  readonly #leafBytes: number;
  readonly #replaced = new Map<number, References>();

  constructor(backup: VolumeBackup, root: References) {
    this.#backup = backup;
    this.#root = root;
    this.#leafBytes = backup.unitBytes * UNITS_PER_LEAF;
    this.#height = unitsMapHeight(Math.ceil(backup.sizeBytes / backup.unitBytes));
  }

  async run(ranges: readonly ChangedRange[]): Promise<References> {
    const { sizeBytes, unitBytes, session } = this.#backup;
    const running = new Set<Promise<void>>();
    for (const touched of touchedLeaves(ranges, sizeBytes, unitBytes, UNITS_PER_LEAF)) {
      await session.room();
      const work: Promise<void> = this.#readLeaf(touched).finally(() => running.delete(work));
      running.add(work);
      if (running.size >= LEAVES_AHEAD) await Promise.race(running);
    }
    await Promise.all(running);
    session.throwIfFailed();
    if (this.#replaced.size === 0) return this.#root;
    const touched = [...this.#replaced.keys()].sort((a, b) => a - b);
    return this.#rebuild(this.#root, this.#height, 0, touched);
  }

  async #readLeaf({ leaf, units }: TouchedLeaf): Promise<void> {
    const { path, sizeBytes, session, readNode, progress, listener } = this.#backup;
    const parent = await this.#leafAt(leaf);
    const offset = leaf * this.#leafBytes;
    const task: FileTask = {
      file: 0,
      root: path,
      path: '',
      cut: 'volume',
      offset,
      length: Math.min(this.#leafBytes, sizeBytes - offset),
      expected: undefined,
      parentLeaves: [parent.length === 0 ? null : await readNode(parent)],
      changedUnits: [units],
    };
    const result = (await session.runFiles([task]))[0]!;
    if (typeof result.outcome === 'object') {
      reportAsProblem(listener, progress, path, { code: result.outcome.problem, message: result.outcome.message, missing: true });
      return;
    }
    progress.bytesRead += result.bytesRead;
    progress.bytesDone += result.bytesRead;
    const reference = leafReference(session, result.leaves[0]!, parent);
    if (reference !== parent) this.#replaced.set(leaf, reference);
  }

  async #leafAt(leaf: number): Promise<References> {
    let node = this.#root;
    for (let height = this.#height; height > 0 && node.length > 0; height--) {
      const span = UNITS_FANOUT ** (height - 1);
      node = decodeUnitsBranch(await this.#backup.readNode(node))[Math.floor(leaf / span) % UNITS_FANOUT] ?? NO_REFERENCES;
    }
    return node;
  }

  /** The node that covers leaves [first, first + fan-out^height) with the touched ones exchanged. */
  async #rebuild(node: References, height: number, first: number, touched: readonly number[]): Promise<References> {
    if (touched.length === 0) return node;
    if (height === 0) return this.#replaced.get(first)!;
    const span = UNITS_FANOUT ** (height - 1);
    const leaves = Math.ceil(this.#backup.sizeBytes / this.#leafBytes);
    const count = Math.min(UNITS_FANOUT, Math.ceil((leaves - first) / span));
    const children =
      node.length === 0 ? new Array<References>(count).fill(NO_REFERENCES) : decodeUnitsBranch(await this.#backup.readNode(node));
    let from = 0;
    for (let i = 0; i < children.length && from < touched.length; i++) {
      const begin = first + i * span;
      let to = from;
      while (to < touched.length && touched[to]! < begin + span) to++;
      children[i] = await this.#rebuild(children[i]!, height - 1, begin, touched.slice(from, to));
      from = to;
    }
    return children.every((child) => child.length === 0)
      ? NO_REFERENCES
      : this.#backup.session.putNode(encodeUnitsBranch(children));
  }
}

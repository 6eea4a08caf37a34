// Reading one task's file: open, cut, look whether it changed meanwhile. What goes wrong with a file is a result, not a fault: the backup
// goes on and reports it.

import type { Scanner } from '../codec/scanner.ts';
import { readXattrs } from '../files/attributes.ts';
import { FileStat } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError, PosixError } from '../files/posix-error.ts';
import { SourceTree } from '../files/source-tree.ts';
import { holesOf } from '../files/sparse.ts';
import { NO_REFERENCES } from '../model/reference.ts';
import type { ContentCutter, SentStage } from './content-cutter.ts';
import {
  type BrokenPage,
  type ExpectedStat,
  type FileBatch,
  type FileBatchResult,
  type FileTask,
  type FileTaskResult,
  STAT_FIELDS,
} from './file-task.ts';
import { checkedRead } from './page-check.ts';
import type { PagedCutter } from './paged-cutter.ts';

const stat = new FileStat();
const probe = new Uint8Array(1);
/** Not to be backed up as an empty file without a word. */
const SIZE_UNKNOWN = {
  problem: 'SIZE_UNKNOWN',
  message:
    'it says that it is empty, and holds bytes: a file of /proc, or of a file system that knows no sizes; back it up as a stream',
};
let tree: SourceTree | undefined;

/** The tree below `root`; the last one stays open, because tasks come root by root. */
function treeOf(root: string): SourceTree {
  if (tree?.location === root) return tree;
  tree?.close();
  tree = new SourceTree(root);
  return tree;
}

/** A task that brings its bytes along. */
function cutGivenBytes(task: FileTask, bytes: Uint8Array, content: ContentCutter, paged: PagedCutter): FileTaskResult {
  const { file, offset, length } = task;
  const read = (target: Uint8Array, want: number, position: number): number => {
    const piece = bytes.subarray(position - offset, position - offset + want);
    target.set(piece);
    return piece.length;
  };
  if (task.cut === 'content') {
    const { references, bytesRead } = content.cut(read, offset, length);
    return { file, offset, bytesRead, outcome: 'read', references, leaves: [] };
  }
  const { leaves, bytesRead } = paged.cut(read, task);
  return { file, offset, bytesRead, outcome: 'read', references: NO_REFERENCES, leaves };
}

export function readFileTask(task: FileTask, content: ContentCutter, paged: PagedCutter, scanner: Scanner): FileTaskResult {
  if (task.bytes !== undefined) return cutGivenBytes(task, task.bytes, content, paged);
  const posix = posixCalls();
  let fd: number;
  try {
    fd = treeOf(task.root).openFile(task.path);
  } catch (error) {
    return problem(task, error);
  }
  try {
    const holes = task.isWritten === true ? undefined : holesOf(posix, fd);
    const plain = (target: Uint8Array, length: number, position: number): number => {
      if (holes?.cover(position, position + length) !== true) return posix.pread(fd, target, 0, length, position);
      target.fill(0, 0, length);
      return length;
    };
    const brokenPages: BrokenPage[] = [];
    const read = task.pages === undefined ? plain : checkedRead(plain, task.pages, brokenPages, scanner);
    let result: FileTaskResult;
    if (task.cut === 'content') {
      const { references, bytesRead } = content.cut(read, task.offset, task.length);
      result = {
        file: task.file,
        offset: task.offset,
        bytesRead,
        outcome: bytesRead < task.length ? 'changed' : 'read',
        references,
        leaves: [],
      };
    } else {
      const { leaves, bytesRead } = paged.cut(read, task, holes);
      result = { file: task.file, offset: task.offset, bytesRead, outcome: 'read', references: NO_REFERENCES, leaves };
    }
    if (brokenPages.length > 0) result = { ...result, brokenPages };
    if (task.expected === undefined) return result;
    posix.lstat(fd, '', stat);
    return isAsExpected(task.expected) ? result : { ...result, outcome: 'changed' };
  } catch (error) {
    content.takeReferences();
    return problem(task, error);
  } finally {
    posix.close(fd);
  }
}

/** A batch that was read; with `sent`, its references are there when the answer is (`ContentCutter.takeSent`). */
export type ReadBatch = FileBatchResult & { readonly sent?: readonly SentStage[] };

/** Reads a batch of small files. Their extended attributes are read on the way: an open file gives them at a third of the cost. */
export function readFileBatch(batch: FileBatch, content: ContentCutter): ReadBatch {
  const posix = posixCalls();
  const tree = treeOf(batch.root);
  const { paths, stats } = batch;
  const referenceCounts = new Uint32Array(paths.length);
  const outcomes: FileBatchResult['outcomes'][number][] = [];
  const xattrs: FileBatchResult['xattrs'][number][] = [];
  let bytesRead = 0;
  let fd = -1;
  const read = (target: Uint8Array, length: number, position: number): number => posix.pread(fd, target, 0, length, position);
  for (let file = 0; file < paths.length; file++) {
    const before = content.referenceCount;
    fd = -1;
    try {
      fd = tree.openFile(paths[file]!);
      const size = stats[file * STAT_FIELDS]!;
      if (size === 0 && read(probe, 1, 0) > 0) {
        outcomes.push({ file, outcome: SIZE_UNKNOWN });
        continue;
      }
      const got = size === 0 ? 0 : content.cutInto(read, 0, size);
      bytesRead += got;
      posix.lstat(fd, '', stat);
      if (got < size || !isAsFound(stats, file)) outcomes.push({ file, outcome: 'changed' });
      const found = readXattrs(posix, fd, '');
      if (found.length > 0) xattrs.push({ file, xattrs: found });
    } catch (error) {
      if (!isPosixError(error)) throw error;
      if (error.call.includes('xattr')) xattrs.push({ file, xattrs: [], problem: { code: error.code, message: error.message } });
      else {
        content.dropReferences(before);
        outcomes.push({ file, outcome: { problem: error.code, message: error.message } });
      }
    } finally {
      if (fd !== -1) posix.close(fd);
    }
    referenceCounts[file] = content.referenceCount - before;
  }
  const sent = content.sendAll();
  const result = { referenceCounts, bytesRead, outcomes, xattrs };
  return sent === undefined ? { ...result, references: content.takeReferences() } : { ...result, references: NO_REFERENCES, sent };
}

function isAsFound(stats: Float64Array, file: number): boolean {
  const at = file * STAT_FIELDS;
  return (
    stat.sizeBytes === stats[at] &&
    stat.mtimeSec === stats[at + 1] &&
    stat.mtimeNsec === stats[at + 2] &&
    stat.ctimeSec === stats[at + 3] &&
    stat.ctimeNsec === stats[at + 4]
  );
}

function isAsExpected(expected: ExpectedStat): boolean {
  return (
    stat.sizeBytes === expected.sizeBytes &&
    stat.mtimeSec === expected.mtimeSec &&
    stat.mtimeNsec === expected.mtimeNsec &&
    stat.ctimeSec === expected.ctimeSec &&
    stat.ctimeNsec === expected.ctimeNsec
  );
}

function problem(task: FileTask, error: unknown): FileTaskResult {
  if (!(error instanceof PosixError)) throw error;
  const outcome = { problem: error.code, message: error.message };
  return { file: task.file, offset: task.offset, bytesRead: 0, outcome, references: NO_REFERENCES, leaves: [] };
}

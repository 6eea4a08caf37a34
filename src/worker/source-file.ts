// Reading one task's file: open, cut, look whether it changed meanwhile. What goes wrong with a file is a result, not a fault: the backup
// goes on and reports it.

import { FileStat, posixCalls } from '../files/posix.ts';
import { SourceTree } from '../files/source-tree.ts';
import { PosixError } from '../files/posix-error.ts';
import { NO_REFERENCES } from '../model/reference.ts';
import type { ContentCutter } from './content-cutter.ts';
import type { ExpectedStat, FileTask, FileTaskResult } from './file-task.ts';
import type { PagedCutter } from './paged-cutter.ts';

const stat = new FileStat();
let tree: SourceTree | undefined;

/** The tree below `root`; the last one stays open, because tasks come root by root. */
function treeOf(root: string): SourceTree {
  if (tree?.location === root) return tree;
  tree?.close();
  tree = new SourceTree(root);
  return tree;
}

export function readFileTask(task: FileTask, content: ContentCutter, paged: PagedCutter): FileTaskResult {
  const posix = posixCalls();
  let fd: number;
  try {
    fd = treeOf(task.root).openFile(task.path);
  } catch (error) {
    return problem(task, error);
  }
  try {
    const read = (target: Uint8Array, length: number, position: number): number => posix.pread(fd, target, 0, length, position);
    let result: FileTaskResult;
    if (task.cut === 'content') {
      const { references, bytesRead } = content.cut(read, task.offset, task.length);
      result = { file: task.file, offset: task.offset, bytesRead, outcome: bytesRead < task.length ? 'changed' : 'read', references, leaves: [] };
    } else {
      const { leaves, bytesRead } = paged.cut(read, task);
      result = { file: task.file, offset: task.offset, bytesRead, outcome: 'read', references: NO_REFERENCES, leaves };
    }
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

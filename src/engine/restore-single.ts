// Restoring one content (a volume, a stream, a file of a tree) to a file, a block device or standard output.

import { Fault } from '../base/faults.ts';
import { FileStat, HERE, OPEN, TYPE, TYPE_MASK } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { displayPath } from '../model/entry-path.ts';
import { blockOf, packReference } from '../model/reference.ts';
import type { Content } from '../model/stored-entry.ts';
import type { BlockFinder, BlockReader } from '../repository/block-reader.ts';
import type { SessionKeyFinder } from '../repository/session-keys.ts';
import type { CompareAnswer } from '../worker/read-task.ts';
import type { ReadNode } from './content-map.ts';
import type { ReadingPool } from './reading-pool.ts';
import { type Piece, piecesOf, placesOf, zeroBytes } from './restore-content.ts';
import { RestoreWindow } from './restore-plan.ts';
import type { RestoreProblem, RestoreProgress } from './restore-progress.ts';
import { RestoreReader } from './restore-reader.ts';

/** The first window is small, so that the workers begin at once; each next one is twice as large. */
const WINDOW_BYTES_FIRST = 16 * 1024 * 1024;
const WINDOW_BYTES_MAX = 16 * 1024 * 1024 * 1024;
const WINDOW_PIECES_MAX = 100_000;
const NO_ATTRIBUTES = { paths: [], kinds: new Uint8Array(0), numbers: new Float64Array(0), xattrs: [] };
const COMPARES_AHEAD = 8;
const NO_BLOCK = new Uint8Array(16);
const ZEROS = new Uint8Array(1024 * 1024);

export type SingleRestore = {
  readonly content: Content;
  readonly sizeBytes: number;
  /** Absolute, latin1: a file that does not exist yet, or (delta) one that does, or a block device. */
  readonly path: string;
  /** Compares what is there and writes only what differs. Devices are always treated so. */
  readonly delta: boolean;
  readonly unitBytes: number;
  readonly readNode: ReadNode;
  readonly blocks: BlockFinder;
  readonly keys: SessionKeyFinder;
  readonly pool: ReadingPool;
  readonly progress: RestoreProgress;
  readonly onProblem: (problem: RestoreProblem) => void;
};

export async function restoreSingle(restore: SingleRestore): Promise<void> {
  const posix = posixCalls();
  const { fd, isOld } = openTarget(restore);
  try {
    await writeContent(restore, fd, isOld);
    posix.syncFileSystem(fd);
  } finally {
    posix.close(fd);
  }
}

function openTarget({ path, delta, sizeBytes }: SingleRestore): { readonly fd: number; readonly isOld: boolean } {
  const posix = posixCalls();
  const name = displayPath(path);
  try {
    const fd = posix.open(HERE, path, OPEN.readWrite | OPEN.create | OPEN.exclusive, 0o600);
    posix.truncate(fd, sizeBytes);
    return { fd, isOld: false };
  } catch (error) {
    if (!isPosixError(error, 'EEXIST')) throw targetFault(error, name);
  }
  let fd: number | undefined;
  try {
    fd = posix.open(HERE, path, OPEN.readWrite | OPEN.nonBlocking, 0);
    const stat = new FileStat();
    posix.lstat(fd, '', stat);
    const type = stat.mode & TYPE_MASK;
    if (type === TYPE.blockDevice) {
      const deviceBytes = posix.sizeOf(fd);
      if (deviceBytes < sizeBytes)
        throw new Fault('TARGET_FULL', `The device "${name}" has ${deviceBytes} bytes; the volume has ${sizeBytes}`);
      return { fd: claimDevice(path, fd), isOld: true };
    }
    if (type !== TYPE.file || !delta) throw new Fault('TARGET_OCCUPIED', `There is something at "${name}" already`);
    posix.truncate(fd, sizeBytes);
    return { fd, isOld: true };
  } catch (error) {
    if (fd !== undefined) posix.close(fd);
    throw targetFault(error, name);
  }
}

/** The device to oneself, as long as the descriptor is open: the kernel refuses what is mounted, and refuses to mount it meanwhile. What is
 *  written under a mounted file system destroys both. */
function claimDevice(path: string, fd: number): number {
  const posix = posixCalls();
  const claimed = posix.open(HERE, path, OPEN.readWrite | OPEN.exclusive | OPEN.nonBlocking, 0);
  posix.close(fd);
  return claimed;
}

function targetFault(error: unknown, name: string): unknown {
  if (!isPosixError(error)) return error;
  if (error.code === 'EBUSY')
    return new Fault('TARGET_OCCUPIED', `The device "${name}" is in use`, {
      cause: error,
      hint: 'It is mounted, or a part of what is (LVM, RAID, swap). Unmount it, or choose another target.',
    });
  const code =
    error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG'
      ? 'TARGET_FULL'
      : error.code === 'ENOENT'
        ? 'TARGET_NOT_FOUND'
        : 'TARGET_DENIED';
  return new Fault(code, `Cannot write "${name}": ${error.message}`, { cause: error });
}

async function writeContent(restore: SingleRestore, fd: number, isOld: boolean): Promise<void> {
  const { content, sizeBytes, path, unitBytes, readNode, blocks, keys, pool, progress, onProblem } = restore;
  progress.bytesTotal = sizeBytes;
  progress.entriesTotal = 1;
  progress.current = displayPath(path);
  const reader = new RestoreReader({ pool, keys, blocks, progress, onProblem, single: path, overZeros: isOld, existing: 'refuse' });
  let isLost = false;
  const lose = (): boolean => {
    const wasLost = isLost;
    isLost = true;
    return !wasLost;
  };
  const files = { path: () => displayPath(path), isWhole: () => false, pack: () => NO_ATTRIBUTES, lose };
  let window = new RestoreWindow(blocks);
  let bytesMax = WINDOW_BYTES_FIRST;
  let running: Promise<unknown> = Promise.resolve();
  let started: Promise<void> = Promise.resolve();
  /** Hands the window over; the next one is planned while it runs, and follows when the last range of this one is on its way. */
  const send = async (): Promise<void> => {
    await started;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    started = promise;
    started.catch(() => {});
    const run = reader.run(window, files, resolve);
    run.catch(reject);
    running = Promise.all([running, run]);
    running.catch(() => {});
    window = new RestoreWindow(blocks);
    bytesMax = Math.min(WINDOW_BYTES_MAX, bytesMax * 2);
  };
  const sendIfFull = async (): Promise<void> => {
    if (window.pieces >= WINDOW_PIECES_MAX || window.bytes >= bytesMax) await send();
  };
  if (isOld) {
    for await (const pieces of differingPieces(restore)) {
      for (const piece of pieces) {
        if (piece.kind === 'data') window.add(piece.reference, 0, 0, piece.offset, piece.length);
        else {
          writeZeros(fd, piece);
          progress.bytesDone += piece.length;
        }
      }
      await sendIfFull();
    }
  } else {
    for await (const places of placesOf(content, sizeBytes, unitBytes, readNode)) {
      window.addAll(places, 0);
      progress.bytesDone += zeroBytes(places);
      await sendIfFull();
    }
  }
  await send();
  await running;
  progress.entriesDone = 1;
}

/** The pieces that the target does not hold already, compared by several workers at once. */
async function* differingPieces({
  content,
  sizeBytes,
  path,
  unitBytes,
  readNode,
  pool,
  progress,
}: SingleRestore): AsyncGenerator<readonly Piece[]> {
  const ahead: Promise<readonly Piece[]>[] = [];
  const compare = async (pieces: readonly Piece[]): Promise<readonly Piece[]> => {
    const references = Buffer.concat(
      pieces.map((piece) => (piece.kind === 'data' ? piece.reference : packReference(NO_BLOCK, NO_BLOCK, 0, piece.length))),
    );
    const offsets = Float64Array.from(pieces, (piece) => piece.offset);
    const answer = (await pool.run({ kind: 'compare', path: '', single: path, references, offsets })) as CompareAnswer;
    return pieces.filter((piece, i) => {
      if (answer.differs[i] === 1) return true;
      progress.bytesKept += piece.length;
      progress.bytesDone += piece.length;
      return false;
    });
  };
  for await (const pieces of piecesOf(content, sizeBytes, unitBytes, readNode)) {
    const work = compare(pieces);
    work.catch(() => {});
    ahead.push(work);
    if (ahead.length >= COMPARES_AHEAD) yield await ahead.shift()!;
  }
  for (const work of ahead) yield await work;
}

function writeZeros(fd: number, { offset, length }: Piece): void {
  const posix = posixCalls();
  if (posix.punchHole(fd, offset, length)) return;
  for (let at = 0; at < length; at += ZEROS.length) posix.pwrite(fd, ZEROS, 0, Math.min(ZEROS.length, length - at), offset + at);
}

/** A content as a stream of bytes, in order, with a little read ahead: for standard output. */
export async function* readContent(
  content: Content,
  sizeBytes: number,
  unitBytes: number,
  readNode: ReadNode,
  reader: BlockReader,
): AsyncGenerator<Uint8Array> {
  for await (const pieces of piecesOf(content, sizeBytes, unitBytes, readNode)) {
    const blocks = new Map<string, Promise<Uint8Array>>();
    for (let i = 0; i < pieces.length; i++) {
      // Neighbouring pieces mostly lie in one block: the next few are on their way while this one is written.
      for (let k = i; k < Math.min(i + 64, pieces.length) && blocks.size < 4; k++) {
        const next = pieces[k]!;
        if (next.kind !== 'data') continue;
        const name = Buffer.from(blockOf(next.reference)).toString('latin1');
        if (blocks.has(name)) continue;
        const block = reader.block(blockOf(next.reference));
        block.catch(() => {});
        blocks.set(name, block);
      }
      const piece = pieces[i]!;
      if (piece.kind === 'zeros') {
        for (let at = 0; at < piece.length; at += ZEROS.length) yield ZEROS.subarray(0, Math.min(ZEROS.length, piece.length - at));
        continue;
      }
      yield await reader.read(piece.reference);
      const name = Buffer.from(blockOf(piece.reference)).toString('latin1');
      const following = pieces[i + 1];
      if (following?.kind !== 'data' || Buffer.from(blockOf(following.reference)).toString('latin1') !== name) blocks.delete(name);
    }
  }
}

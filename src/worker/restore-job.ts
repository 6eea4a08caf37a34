// Restoring blocks in a worker: a range of a pack is read once, its blocks are opened, their pieces written wherever they belong.

import { closeSync, openSync, readSync } from 'node:fs';
import { Fault, isFault } from '../base/faults.ts';
import { READ_AT_ONCE } from '../base/read-at-once.ts';
import type { Attributes } from '../files/attributes.ts';
import { attributesAt } from '../files/packed-attributes.ts';
import { HERE, OPEN } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { type NewFileState, TargetTree } from '../files/target-tree.ts';
import { displayPath } from '../model/entry-path.ts';
import type { BlockOpener } from './block-opener.ts';
import type { BlockToRead, RestoreAnswer, RestoreJob } from './read-task.ts';

/** In a fresh file, what is all zero between two multiples of this is left as a hole: as fine as the units of files that are cut by position. */
const HOLE_GRID_BYTES = 16 * 1024;
const BUFFER_BYTES_MIN = 1024 * 1024;
/** Blocks that follow each other are read together up to this size, which the processor's cache still holds when they are opened. */
const PIECE_BYTES = 512 * 1024;
/** Faults that end the restore: every further file would meet them too. */
const FATAL = ['TARGET_FULL', 'TARGET_NOT_FOUND'] as const;

export class PackRange {
  #buffer = new Uint8Array(0);
  #path = '';
  #fd = -1;

  /** `length` bytes at `offset` of a pack in the local file system; a view that is valid until the next call, and may be written to. Fewer
   *  when the file is shorter. Small pieces are best: they are still in the processor's cache when they are opened. The pack stays open until
   *  another one is read, or `close`. */
  read(path: string, offset: number, length: number): Uint8Array {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(Math.max(length, BUFFER_BYTES_MIN));
    const fd = this.#open(path);
    try {
      let got = 0;
      while (got < length) {
        const n = readSync(fd, this.#buffer, got, length - got, offset + got);
        if (n === 0) break;
        got += n;
      }
      return this.#buffer.subarray(0, got);
    } catch (error) {
      throw new Fault('STORE_CORRUPT_ANSWER', `Cannot read the pack "${path}": ${(error as NodeJS.ErrnoException).code}`, {
        cause: error,
      });
    }
  }

  close(): void {
    if (this.#fd !== -1) closeSync(this.#fd);
    this.#fd = -1;
    this.#path = '';
  }

  #open(path: string): number {
    if (path === this.#path) return this.#fd;
    this.close();
    try {
      this.#fd = openSync(path, READ_AT_ONCE);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const fault = code === 'ENOENT' || code === 'ELOOP' ? 'STORE_NOT_FOUND' : 'STORE_DENIED';
      const isRefused = code === 'EACCES' || code === 'EPERM';
      throw new Fault(fault, `Cannot read the pack "${path}": ${code}`, {
        cause: error,
        ...(isRefused ? { hint: 'Give this user the right to read it.' } : {}),
      });
    }
    this.#path = path;
    return this.#fd;
  }
}

export class Restorer {
  readonly #tree: TargetTree | undefined;
  readonly #opener: BlockOpener;
  readonly #range: PackRange;
  readonly #posix = posixCalls();
  #block = new Uint8Array(1024 * 1024);

  /** `target`: the directory that is restored to. */
  constructor(target: string | undefined, opener: BlockOpener, range: PackRange) {
    this.#tree = target === undefined ? undefined : new TargetTree(target);
    this.#opener = opener;
    this.#range = range;
  }

  run(job: RestoreJob): RestoreAnswer {
    const sealedBlocks = new SealedBlocks(job, this.#range);
    const answer = {
      kind: 'restore' as const,
      bytesWritten: 0,
      damaged: [] as { block: Uint8Array; message: string }[],
      problems: [] as RestoreAnswer['problems'][number][],
    };
    const open = new OpenFiles(job, this.#tree, answer.problems);
    let w = 0;
    try {
      job.blocks.forEach((block, i) => {
        const sealed = sealedBlocks.at(i);
        if (this.#block.length < block.rawLength) this.#block = new Uint8Array(block.rawLength);
        const isGood = sealed.length === block.storedLength && this.#opener.open(this.#block, sealed, block, true);
        if (!isGood)
          answer.damaged.push({ block: block.id, message: `Block in pack ${job.packName} at ${block.offset} is damaged` });
        for (let end = w + job.writesPerBlock[i]! * 4; w < end; w += 4) {
          // A map that leads out of its block: behind it lies what another block has left in the buffer.
          const isInside = job.writes[w + 2]! + job.writes[w + 3]! <= block.rawLength;
          if (isGood && !isInside) answer.damaged.push({ block: block.id, message: 'A map leads out of its block' });
          if (isGood && isInside) answer.bytesWritten += this.#write(job, open, w);
          else open.spoil(job.writes[w]!);
        }
      });
      open.finish();
    } finally {
      open.close();
      this.#range.close();
    }
    return answer;
  }

  #write(job: RestoreJob, open: OpenFiles, w: number): number {
    const file = job.writes[w]!;
    const offset = job.writes[w + 1]!;
    const from = job.writes[w + 2]!;
    const length = job.writes[w + 3]!;
    const fd = open.fd(file);
    if (fd === undefined) return 0;
    try {
      // A whole file has no size yet, which a hole at its end would not give it.
      if (job.overZeros || open.isWhole(file)) this.#posix.pwrite(fd, this.#block, from, length, offset);
      else this.#writeData(fd, from, length, offset);
      return length;
    } catch (error) {
      open.failed(file, error);
      return 0;
    }
  }

  /** Writes what is not zero. */
  #writeData(fd: number, from: number, length: number, offset: number): void {
    let begin = 0;
    for (let at = 0; at < length; ) {
      const end = Math.min(length, at + HOLE_GRID_BYTES - ((offset + at) % HOLE_GRID_BYTES));
      if (isZero(this.#block, from + at, from + end)) {
        if (at > begin) this.#posix.pwrite(fd, this.#block, from + begin, at - begin, offset + begin);
        begin = end;
      }
      at = end;
    }
    if (length > begin) this.#posix.pwrite(fd, this.#block, from + begin, length - begin, offset + begin);
  }
}

/** The sealed bytes of a job's blocks, which lie in the order of the pack. */
class SealedBlocks {
  readonly #job: RestoreJob;
  readonly #range: PackRange;
  #piece: Uint8Array = new Uint8Array(0);
  #begin = 0;
  #end = 0;

  constructor(job: RestoreJob, range: PackRange) {
    this.#job = job;
    this.#range = range;
  }

  /** A view, shorter than the block where the pack is or cannot be read; it may be written to and is valid until the next call. Ask once
   *  for each, in order. */
  at(n: number): Uint8Array {
    const { pack, blocks, bytesOffset } = this.#job;
    const { offset, storedLength } = blocks[n]!;
    if ('bytes' in pack) return pack.bytes.subarray(offset - bytesOffset, offset - bytesOffset + storedLength);
    if (offset < this.#begin || offset + storedLength > this.#end) {
      const end = pieceEnd(blocks, n);
      // Where a disk does not give a piece any more, most of its blocks may still be had one by one.
      if (!this.#read(pack.path, offset, end)) this.#read(pack.path, offset, offset + storedLength);
    }
    return this.#piece.subarray(offset - this.#begin, offset - this.#begin + storedLength);
  }

  /** False, and nothing is there, when it cannot be read. */
  #read(path: string, begin: number, end: number): boolean {
    this.#begin = begin;
    this.#end = end;
    try {
      this.#piece = this.#range.read(path, begin, end - begin);
      return true;
    } catch (error) {
      if (!isFault(error, 'STORE_CORRUPT_ANSWER')) throw error;
      this.#piece = this.#piece.subarray(0, 0);
      return false;
    }
  }
}

/** Where the piece ends that begins with block `first`: no byte is in two blocks of it. */
function pieceEnd(blocks: readonly BlockToRead[], first: number): number {
  const begin = blocks[first]!.offset;
  let end = begin + blocks[first]!.storedLength;
  for (let n = first + 1; n < blocks.length; n++) {
    const { offset, storedLength } = blocks[n]!;
    if (offset < end || offset + storedLength - begin > PIECE_BYTES) break;
    end = offset + storedLength;
  }
  return end;
}

/** The files of one job: opened when first written, given their attributes when whole. */
class OpenFiles {
  readonly #job: RestoreJob;
  readonly #tree: TargetTree | undefined;
  readonly #problems: RestoreAnswer['problems'][number][];
  readonly #fds: (number | undefined)[] = [];
  readonly #spoiled = new Set<number>();
  readonly #posix = posixCalls();
  readonly #wholes: number;
  #latest = -1;
  /** Of the latest one. */
  #wanted: Attributes | undefined;
  #state: NewFileState = 'new';

  constructor(job: RestoreJob, tree: TargetTree | undefined, problems: RestoreAnswer['problems'][number][]) {
    this.#job = job;
    this.#tree = tree;
    this.#problems = problems;
    this.#wholes = job.files.whole.paths.length;
  }

  isWhole(file: number): boolean {
    return file < this.#wholes;
  }

  fd(file: number): number | undefined {
    if (this.#spoiled.has(file)) return undefined;
    const open = this.#fds[file];
    if (open !== undefined) return open;
    // Whole files come one after the other: the one before is finished.
    if (this.#latest !== -1) this.#finishFile(this.#latest);
    try {
      const fd = this.#open(file);
      this.#fds[file] = fd;
      if (this.isWhole(file)) this.#latest = file;
      return fd;
    } catch (error) {
      this.failed(file, error);
      return undefined;
    }
  }

  /** A file of which a piece is missing: it is not given its attributes and is reported by the main thread. */
  spoil(file: number): void {
    this.#spoiled.add(file);
  }

  failed(file: number, error: unknown): void {
    if (isFault(error, ...FATAL)) throw error;
    const code = isFault(error) ? error.code : isPosixError(error) ? error.code : undefined;
    if (code === undefined) throw error;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new Fault('TARGET_FULL', `Cannot write "${displayPath(this.#pathOf(file))}": the target is full (${code})`, {
        cause: error,
      });
    this.#spoiled.add(file);
    this.#problems.push({
      kind: 'problem',
      path: this.#pathOf(file),
      what: 'file',
      code,
      message: (error as Error).message,
    });
  }

  finish(): void {
    if (this.#latest !== -1) this.#finishFile(this.#latest);
  }

  close(): void {
    for (const fd of this.#fds) if (fd !== undefined) this.#posix.close(fd);
    this.#fds.length = 0;
  }

  #pathOf(file: number): string {
    const { whole, parts } = this.#job.files;
    return this.isWhole(file) ? whole.paths[file]! : parts[file - this.#wholes]!;
  }

  #open(file: number): number {
    const { single, existing, files } = this.#job;
    if (single !== undefined) return this.#posix.open(HERE, single, OPEN.readWrite, 0);
    const tree = this.#tree!;
    if (this.isWhole(file)) {
      this.#wanted = attributesAt(files.whole, file);
      const fd = tree.createFileFor(this.#wanted, existing);
      this.#state = tree.newFileState;
      return fd;
    }
    const path = this.#pathOf(file);
    const fd = tree.openFile(path);
    if (fd === undefined) throw new Fault('TARGET_OCCUPIED', `"${path}" was exchanged while it was restored`);
    return fd;
  }

  #finishFile(file: number): void {
    const fd = this.#fds[file];
    this.#latest = -1;
    if (fd === undefined) return;
    if (!this.#spoiled.has(file)) {
      const problems = this.#tree!.finishFile(fd, this.#wanted!, this.#state);
      if (problems.length > 0) this.#problems.push(...problems);
    }
    this.#posix.close(fd);
    this.#fds[file] = undefined;
  }
}

const ZEROS = Buffer.alloc(HOLE_GRID_BYTES);

/** Of a range that is not longer than the grid is wide. */
function isZero(bytes: Uint8Array, begin: number, end: number): boolean {
  return bytes[begin] === 0 && ZEROS.compare(bytes, begin, end, 0, end - begin) === 0;
}

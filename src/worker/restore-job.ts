// Restoring blocks in a worker: a range of a pack is read once, its blocks are opened, their pieces written wherever they belong.

import { closeSync, openSync, readSync } from 'node:fs';
import { Fault, isFault } from '../base/faults.ts';
import { applyAttributes } from '../files/attributes.ts';
import { HERE, OPEN } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { TargetTree } from '../files/target-tree.ts';
import type { BlockOpener } from './block-opener.ts';
import type { RestoreAnswer, RestoreFile, RestoreJob } from './read-task.ts';

/** Pieces that are all zero and at least this long are left as holes in a fresh file. */
const HOLE_BYTES_MIN = 4096;
/** Faults that end the restore: every further file would meet them too. */
const FATAL = ['TARGET_FULL', 'TARGET_NOT_FOUND'] as const;

export class PackRange {
  #buffer = new Uint8Array(0);

  /** `length` bytes at `offset` of a pack in the local file system; a view that is valid until the next call. Fewer when the file is shorter. */
  read(path: string, offset: number, length: number): Uint8Array {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(Math.max(length, 4 * 1024 * 1024));
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new Fault(code === 'ENOENT' ? 'STORE_NOT_FOUND' : 'STORE_DENIED', `Cannot read the pack "${path}": ${code}`, {
        cause: error,
      });
    }
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
    } finally {
      closeSync(fd);
    }
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
    const first = job.blocks[0]!;
    const last = job.blocks.at(-1)!;
    const begin = first.offset;
    const bytes =
      'bytes' in job.pack ? job.pack.bytes : this.#range.read(job.pack.path, begin, last.offset + last.storedLength - begin);
    const base = 'bytes' in job.pack ? job.bytesOffset : begin;
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
        const sealed = bytes.subarray(block.offset - base, block.offset - base + block.storedLength);
        if (this.#block.length < block.rawLength) this.#block = new Uint8Array(block.rawLength);
        const isGood = sealed.length === block.storedLength && this.#opener.open(this.#block, sealed, block);
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
    const piece = this.#block.subarray(from, from + length);
    if (!job.overZeros && job.files[file]!.mode === 'part' && length >= HOLE_BYTES_MIN && isZero(piece)) return length;
    try {
      this.#posix.pwrite(fd, this.#block, from, length, offset);
      return length;
    } catch (error) {
      open.failed(file, error);
      return 0;
    }
  }
}

/** The files of one job: opened when first written, given their attributes when whole. */
class OpenFiles {
  readonly #job: RestoreJob;
  readonly #tree: TargetTree | undefined;
  readonly #problems: RestoreAnswer['problems'][number][];
  readonly #fds: (number | undefined)[] = [];
  readonly #spoiled = new Set<number>();
  readonly #posix = posixCalls();
  #latest = -1;

  constructor(job: RestoreJob, tree: TargetTree | undefined, problems: RestoreAnswer['problems'][number][]) {
    this.#job = job;
    this.#tree = tree;
    this.#problems = problems;
  }

  fd(file: number): number | undefined {
    if (this.#spoiled.has(file)) return undefined;
    const open = this.#fds[file];
    if (open !== undefined) return open;
    // Whole files come one after the other: the one before is finished.
    if (this.#latest !== -1) this.#finishFile(this.#latest);
    try {
      const fd = this.#open(this.#job.files[file]!);
      this.#fds[file] = fd;
      if (this.#job.files[file]!.mode === 'whole') this.#latest = file;
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
      throw new Fault('TARGET_FULL', `The target is full: ${(error as Error).message}`, { cause: error });
    this.#spoiled.add(file);
    this.#problems.push({
      kind: 'problem',
      path: this.#job.files[file]!.path,
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

  #open(file: RestoreFile): number {
    if (this.#job.single !== undefined) return this.#posix.open(HERE, this.#job.single, OPEN.readWrite, 0);
    const tree = this.#tree!;
    if (file.mode === 'whole') return tree.createFile(file.path, this.#job.existing);
    const fd = tree.openFile(file.path);
    if (fd === undefined) throw new Fault('TARGET_OCCUPIED', `"${file.path}" was exchanged while it was restored`);
    return fd;
  }

  #finishFile(file: number): void {
    const fd = this.#fds[file];
    this.#latest = -1;
    if (fd === undefined) return;
    const { attributes } = this.#job.files[file]!;
    if (attributes !== undefined && !this.#spoiled.has(file))
      this.#problems.push(...applyAttributes(this.#posix, fd, '', attributes));
    this.#posix.close(fd);
    this.#fds[file] = undefined;
  }
}

const ZEROS = new Uint8Array(64 * 1024);

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}

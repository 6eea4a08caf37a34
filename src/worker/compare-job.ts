// Comparing what lies at a target with a map, and giving entries their attributes, in a worker.

import { IdHasher } from '../codec/chunk-id.ts';
import { applyAttributes } from '../files/attributes.ts';
import { DirectoryCache } from '../files/directory-cache.ts';
import { attributesAt } from '../files/packed-attributes.ts';
import { HERE, OPEN } from '../files/posix.ts';
import { posixCalls } from '../files/posix-calls.ts';
import { isPosixError } from '../files/posix-error.ts';
import { holesOf } from '../files/sparse.ts';
import { TargetTree } from '../files/target-tree.ts';
import { nameOfPath, parentOfPath } from '../model/entry-path.ts';
import { bytesEqual, digestOf, lengthOf, referenceCount } from '../model/reference.ts';
import type { CompareAnswer, CompareJob, FinishAnswer, FinishJob } from './read-task.ts';

const ZERO_DIGEST = new Uint8Array(16);
const ZEROS = new Uint8Array(4 * 1024 * 1024);

export class Comparer {
  readonly #ids: IdHasher;
  readonly #posix = posixCalls();
  readonly #target: string | undefined;
  #tree: TargetTree | undefined;
  #directories: DirectoryCache | undefined;
  #buffer = new Uint8Array(1024 * 1024);

  constructor(idKey: Uint8Array, target: string | undefined) {
    this.#ids = new IdHasher(idKey);
    this.#target = target;
  }

  /** Which references differ from the file's bytes at their offsets; all of them when it cannot be read. */
  compare(job: CompareJob): CompareAnswer {
    const n = referenceCount(job.references);
    const differs = new Uint8Array(n).fill(1);
    const fd = this.#open(job);
    if (fd === undefined) return { kind: 'compare', differs, missing: true };
    try {
      const holes = holesOf(this.#posix, fd);
      for (let i = 0; i < n; i++) {
        const length = lengthOf(job.references, i);
        const isZero = bytesEqual(digestOf(job.references, i), ZERO_DIGEST);
        if (isZero && holes?.cover(job.offsets[i]!, job.offsets[i]! + length) === true) {
          differs[i] = 0;
          continue;
        }
        if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
        const got = this.#posix.pread(fd, this.#buffer, 0, length, job.offsets[i]!);
        if (got !== length) continue;
        const bytes = this.#buffer.subarray(0, length);
        const same = isZero
          ? bytesEqual(bytes, ZEROS.subarray(0, length))
          : bytesEqual(this.#ids.id(bytes).subarray(0, 16), digestOf(job.references, i));
        differs[i] = same ? 0 : 1;
      }
      return { kind: 'compare', differs, missing: false };
    } finally {
      this.#posix.close(fd);
    }
  }

  finish(job: FinishJob): FinishAnswer {
    this.#directories ??= new DirectoryCache(this.#posix, this.#target!);
    const problems: FinishAnswer['problems'][number][] = [];
    for (let i = 0; i < job.entries.paths.length; i++) {
      const entry = attributesAt(job.entries, i);
      try {
        const at = entry.path === '' ? this.#directories.at('') : this.#directories.at(parentOfPath(entry.path));
        problems.push(...applyAttributes(this.#posix, at, entry.path === '' ? '' : nameOfPath(entry.path), entry));
      } catch (error) {
        if (!isPosixError(error)) throw error;
        problems.push({ kind: 'problem', path: entry.path, what: 'mode', code: error.code, message: error.message });
      }
    }
    return { kind: 'attributes', problems };
  }

  #open(job: CompareJob): number | undefined {
    if (job.single === undefined) return (this.#tree ??= new TargetTree(this.#target!)).openFile(job.path);
    try {
      return this.#posix.open(HERE, job.single, OPEN.read, 0);
    } catch (error) {
      if (isPosixError(error)) return undefined;
      throw error;
    }
  }
}

import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileStat, HERE, OPEN, type Posix } from '../../src/files/posix.ts';
import { PosixError } from '../../src/files/posix-error.ts';
import { Holes, holesOf } from '../../src/files/sparse.ts';
import { DRIVERS, native, plain, scratch } from './scratch.ts';

const MIB = 1024 * 1024;

/** A file with `content` at each of the offsets and holes elsewhere. */
function sparseFile(sizeBytes: number, offsets: readonly number[], content = Buffer.alloc(64 * 1024, 7)): string {
  const path = join(scratch(), 'sparse');
  const fd = fs.openSync(path, 'w');
  fs.ftruncateSync(fd, sizeBytes);
  for (const offset of offsets) fs.writeSync(fd, content, 0, content.length, offset);
  fs.closeSync(fd);
  return path;
}

function opened(path: string): number {
  const fd = native.open(HERE, path, OPEN.read, 0);
  onTestFinished(() => native.close(fd));
  return fd;
}

describe('holes', () => {
  it('are what lies between the data of a file, up to its end and not behind it', () => {
    const holes = holesOf(native, opened(sparseFile(5000 * MIB, [0, 10 * MIB])))!;
    const all: [number, number, boolean][] = [
      [0, 1, false],
      [64 * 1024, MIB, true],
      [MIB, 10 * MIB, true],
      [9 * MIB, 10 * MIB + 1, false],
      [10 * MIB, 11 * MIB, false],
      [11 * MIB, 5000 * MIB, true],
      [4999 * MIB, 5000 * MIB + 1, false],
      [5000 * MIB, 5001 * MIB, false],
      // Back again: what was found last is not all that is known.
      [MIB, 2 * MIB, true],
    ];
    for (const [from, to, is] of all) expect([from, to, holes.cover(from, to)]).toEqual([from, to, is]);
  });

  it('cover nothing but zeros, wherever data begins', () => {
    const path = sparseFile(3 * MIB + 17, [100, 1 * MIB - 5, 2 * MIB], Buffer.from('content'));
    const whole = fs.readFileSync(path);
    const holes = holesOf(native, opened(path))!;
    let covered = 0;
    for (let at = 0; at + 1000 <= whole.length; at += 1000) {
      if (!holes.cover(at, at + 1000)) continue;
      covered++;
      expect(whole.subarray(at, at + 1000).every((byte) => byte === 0)).toBe(true);
    }
    expect(covered).toBeGreaterThan(2000);
  });

  it('are not looked for in what has none, is empty, is no file, or where they cannot be seen', () => {
    for (const path of [sparseFile(64 * 1024, [0]), sparseFile(0, []), scratch()])
      expect(holesOf(native, opened(path))).toBeUndefined();
    expect(holesOf(plain, opened(sparseFile(8 * MIB, [])))).toBeUndefined();
  });

  it('end where a file ends that shrinks meanwhile', () => {
    const path = sparseFile(40 * MIB, [0, 10 * MIB]);
    const holes = holesOf(native, opened(path))!;
    fs.truncateSync(path, 5 * MIB);
    expect([holes.cover(MIB, 4 * MIB), holes.cover(4 * MIB, 6 * MIB), holes.cover(20 * MIB, 21 * MIB)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('of a disk that answers with an error are none: reading tells', () => {
    const ill = {
      nextData: () => {
        throw new PosixError('EIO', 'lseek', '');
      },
    } as unknown as Posix;
    expect(new Holes(ill, 0).cover(0, 1)).toBe(false);
  });
});

describe('punchHole', () => {
  it.each(DRIVERS)('frees a range or answers that it cannot, $driver', ({ posix }) => {
    const path = sparseFile(MIB, [0], Buffer.alloc(MIB, 9));
    const fd = posix.open(HERE, path, OPEN.readWrite, 0);
    const done = posix.punchHole(fd, 256 * 1024, 512 * 1024);
    const stat = new FileStat();
    posix.lstat(fd, '', stat);
    posix.close(fd);
    const content = fs.readFileSync(path);
    expect(done).toBe(posix.can.holes);
    expect(stat.sizeBytes).toBe(MIB);
    expect(content.subarray(256 * 1024, 768 * 1024).every((byte) => byte === (done ? 0 : 9))).toBe(true);
    expect(content[256 * 1024 - 1]).toBe(9);
    expect(content[768 * 1024]).toBe(9);
    if (done) expect(stat.blocks * 512).toBeLessThan(MIB);
  });
});

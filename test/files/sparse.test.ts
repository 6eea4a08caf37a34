import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileStat, HERE, OPEN, type Posix } from '../../src/files/posix.ts';
import { dataExtents, type Extent } from '../../src/files/sparse.ts';
import { DRIVERS, isRoot, native, need, scratch } from './scratch.ts';

const MIB = 1024 * 1024;

function extents(posix: Posix, path: string): { readonly sizeBytes: number; readonly extents: readonly Extent[] } {
  const fd = posix.open(HERE, path, OPEN.read, 0);
  const sizeBytes = posix.sizeOf(fd);
  const found = [...dataExtents(posix, fd, sizeBytes)];
  posix.close(fd);
  return { sizeBytes, extents: found };
}

/** A file with `content` at each of the offsets and holes elsewhere. */
function sparseFile(sizeBytes: number, offsets: readonly number[], content = Buffer.alloc(64 * 1024, 7)): string {
  const path = join(scratch(), 'sparse');
  const fd = fs.openSync(path, 'w');
  fs.ftruncateSync(fd, sizeBytes);
  for (const offset of offsets) fs.writeSync(fd, content, 0, content.length, offset);
  fs.closeSync(fd);
  return path;
}

describe('dataExtents', () => {
  it('finds the data of a file with holes and nothing else', () => {
    const path = sparseFile(5000 * MIB, [0, 10 * MIB, 4999 * MIB]);
    expect(extents(native, path)).toEqual({
      sizeBytes: 5000 * MIB,
      extents: [0, 10 * MIB, 4999 * MIB].map((offset) => ({ offset, length: 64 * 1024 })),
    });
  });

  it('leaves out only what reads as zeros', () => {
    const path = sparseFile(3 * MIB + 17, [100, 1 * MIB - 5, 2 * MIB], Buffer.from('content'));
    const whole = fs.readFileSync(path);
    const rebuilt = Buffer.alloc(whole.length);
    const found = extents(native, path).extents;
    for (const { offset, length } of found) whole.copy(rebuilt, offset, offset, offset + length);
    expect(rebuilt.equals(whole)).toBe(true);
    expect(found.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(MIB);
    for (let i = 1; i < found.length; i++)
      expect(found[i]!.offset).toBeGreaterThan(found[i - 1]!.offset + found[i - 1]!.length - 1);
  });

  it.each(DRIVERS)('handles files that are empty, all hole and all data, $driver', ({ posix }) => {
    expect(extents(posix, sparseFile(0, []))).toEqual({ sizeBytes: 0, extents: [] });
    const hole = extents(posix, sparseFile(8 * MIB, []));
    expect(hole.extents).toEqual(posix.can.holes ? [] : [{ offset: 0, length: 8 * MIB }]);
    const full = extents(posix, sparseFile(64 * 1024, [0]));
    expect(full.extents).toEqual([{ offset: 0, length: 64 * 1024 }]);
  });

  it('is not led astray by a file that shrinks meanwhile', () => {
    const path = sparseFile(40 * MIB, [0, 10 * MIB, 20 * MIB]);
    const fd = native.open(HERE, path, OPEN.read, 0);
    const found: Extent[] = [];
    for (const extent of dataExtents(native, fd, 40 * MIB)) {
      found.push(extent);
      fs.truncateSync(path, 5 * MIB);
    }
    native.close(fd);
    expect(found).toEqual([{ offset: 0, length: 64 * 1024 }]);
  });

  it('counts as data what a file system answers nonsense about', () => {
    const confused = {
      nextData: (_fd: number, from: number) => from,
      nextHole: (_fd: number, from: number) => (from === 0 ? 100 : from),
    } as Posix;
    expect([...dataExtents(confused, 0, 1000)]).toEqual([
      { offset: 0, length: 100 },
      { offset: 100, length: 900 },
    ]);
  });

  it.runIf(isRoot)('takes a block device as it is', (context) => {
    const path = sparseFile(4 * MIB, [0, 2 * MIB]);
    let device: string;
    try {
      device = execFileSync('losetup', ['--find', '--show', path], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    } catch {
      need(context, false, 'loop devices');
    }
    try {
      for (const { posix } of DRIVERS) {
        const { sizeBytes, extents: found } = extents(posix, device!);
        expect(sizeBytes).toBe(4 * MIB);
        const covered = (offset: number) =>
          found.some((extent) => extent.offset <= offset && offset < extent.offset + extent.length);
        expect([covered(0), covered(64 * 1024 - 1), covered(2 * MIB)]).toEqual([true, true, true]);
      }
    } finally {
      execFileSync('losetup', ['-d', device!]);
    }
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

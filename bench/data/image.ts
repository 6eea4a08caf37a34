// The image: an ext4 disk of 4 GiB, sparse, 42 % of it holding real files (mke2fs fills it; neither root nor a loop device is
// needed). Second state: 2 % of its data blocks (4 KiB) differ, in short runs (4 blocks on average) that keep to an eighth of
// the disk, as the writes of a day do: some files are worked on, most are not.

import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GIB, MIB } from '../../src/base/units.ts';
import { noise, Random } from './random.ts';
import { copyRealFiles, selectRealFiles } from './real-files.ts';
import { Writer } from './text.ts';

export const IMAGE_NAME = 'disk.img';
const DISK_BYTES = 4 * GIB;
const BLOCK_BYTES = 4096;
const DATA_SHARE = 0.405; // the file system's own structures bring it to 0.42
const CHANGED_SHARE = 0.02;
const HOT_SHARE = 0.125;
const RUN_BLOCKS_MEAN = 4;
const UUID = '6b1d0f4e-0000-4000-8000-686f6c646661';

/** Writes the disk into `root`, with the help of a directory beside it that is removed again. */
export function writeImage(root: string, scale: number): void {
  mkdirSync(root, { recursive: true });
  const staging = `${root}.files`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const wanted = Math.floor((DISK_BYTES / scale) * DATA_SHARE);
  const real = selectRealFiles({
    roots: ['/usr/lib', '/usr/share', '/usr/bin'],
    seed: 'image',
    filesMax: Math.floor(30_000 / scale),
    bytesMax: Math.floor(wanted * 0.93),
    fileBytesMax: Math.floor((128 * MIB) / scale),
  });
  const stored = copyRealFiles(real, staging);
  const padding = real.length * (BLOCK_BYTES / 2);
  const writer = new Writer(new Random('image'));
  for (let left = wanted - stored - padding, at = 0; left > 0; left -= 8 * MIB, at++) {
    writeFileSync(join(staging, `log-${at}`), writer.bytes('prose', Math.min(left, 8 * MIB)));
  }
  const path = join(root, IMAGE_NAME);
  const fd = openSync(path, 'w');
  ftruncateSync(fd, DISK_BYTES / scale);
  closeSync(fd);
  const options = [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-b',
    String(BLOCK_BYTES),
    '-m',
    '0',
    '-U',
    UUID,
    '-E',
    `hash_seed=${UUID}`,
    '-d',
    staging,
  ];
  execFileSync('mke2fs', [...options, path], {
    env: { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  rmSync(staging, { recursive: true });
}

/** Which blocks of the file hold anything but zeros. */
function dataBlocks(fd: number): number[] {
  const zeros = Buffer.alloc(BLOCK_BYTES);
  const piece = Buffer.alloc(MIB);
  const blocks: number[] = [];
  for (let offset = 0; ; ) {
    const length = readSync(fd, piece, 0, piece.length, offset);
    if (length === 0) return blocks;
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      if (piece.compare(zeros, 0, BLOCK_BYTES, at, at + BLOCK_BYTES) !== 0) blocks.push((offset + at) / BLOCK_BYTES);
    }
    offset += length;
  }
}

/** New content for a block: text, binaries or noise, about as compressible as the disk. */
function freshContent(): () => Buffer {
  const random = new Random('image content');
  const writer = new Writer(random);
  const next = noise('image content');
  return () => {
    const form = random.next();
    if (form < 0.2) return next(BLOCK_BYTES);
    return writer.bytes(form < 0.6 ? 'binary' : 'code', BLOCK_BYTES);
  };
}

export function changeImage(root: string): void {
  const fd = openSync(join(root, IMAGE_NAME), 'r+');
  const random = new Random('change image');
  const content = freshContent();
  const regionBlocks = MIB / BLOCK_BYTES;
  const data = dataBlocks(fd);
  const regions = Math.ceil(fstatSync(fd).size / MIB);
  const isHot = Array.from({ length: regions }, () => random.next() < HOT_SHARE);
  const hot = data.filter((block) => isHot[Math.floor(block / regionBlocks)]);
  const changed = new Set<number>();
  const wanted = Math.round(data.length * CHANGED_SHARE);
  while (changed.size < wanted && hot.length > 0) {
    const start = random.below(hot.length);
    for (let run = random.geometric(RUN_BLOCKS_MEAN), at = start; run > 0 && at < hot.length && changed.size < wanted; run--, at++)
      changed.add(hot[at]!);
  }
  for (const block of changed) writeSync(fd, content(), 0, BLOCK_BYTES, block * BLOCK_BYTES);
  closeSync(fd);
}

// What kind of source the paths are, when nobody says it. The rules are few and told in "holdfast help backup":
//   "-"                                                                    stream
//   one path, a block device                                               volume
//   one path, a regular file of at least 1 MiB in whole sectors (512 B)
//   that is named like a disk image, or begins like one                    volume
//   all else                                                               files

import { closeSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { MIB } from '../base/units.ts';
import type { SourceType } from '../model/snapshot.ts';

const SECTOR_BYTES = 512;
const IMAGE_BYTES_MIN = MIB;
const IMAGE_NAME = /\.(?:img|raw|iso|qcow2?|vmdk|vdi|vhdx?|dd|dsk)$/i;

/** What stands where at the beginning of a disk. */
const MAGICS: readonly (readonly [offset: number, bytes: string])[] = [
  [512, 'EFI PART'],
  [1080, '\x53\xef'], // ext2, 3, 4
  [0, 'XFSB'],
  [65_600, '_BHRfS_M'], // btrfs
  [0, 'LUKS\xba\xbe'],
  [512, 'LABELONE'], // LVM
  [536, 'LVM2 001'],
  [3, 'NTFS    '],
  [0, 'QFI\xfb'], // qcow
  [0, 'KDMV'], // vmdk
  [0, 'vhdxfile'],
  [32_769, 'CD001'],
];
const BEGIN_BYTES = 128 * 1024;

/** `paths`: latin1. A path that cannot be looked at counts as files, where that is reported. */
export function guessType(paths: readonly string[]): SourceType {
  const path = paths[0];
  if (path === undefined || paths.length !== 1) return 'files';
  if (path === '-') return 'stream';
  let stat: Stats;
  try {
    stat = statSync(Buffer.from(path, 'latin1'));
  } catch {
    return 'files';
  }
  if (stat.isBlockDevice()) return 'volume';
  if (!stat.isFile() || stat.size < IMAGE_BYTES_MIN || stat.size % SECTOR_BYTES !== 0) return 'files';
  return IMAGE_NAME.test(path) || beginsLikeDisk(path) ? 'volume' : 'files';
}

function beginsLikeDisk(path: string): boolean {
  const begin = Buffer.alloc(BEGIN_BYTES);
  let fd: number;
  try {
    fd = openSync(Buffer.from(path, 'latin1'), 'r');
  } catch {
    return false;
  }
  try {
    readSync(fd, begin, 0, BEGIN_BYTES, 0);
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
  return (
    MAGICS.some(([offset, bytes]) => begin.subarray(offset, offset + bytes.length).equals(Buffer.from(bytes, 'latin1'))) ||
    hasPartitionTable(begin)
  );
}

/** A master boot record: its signature, and four entries that can be partitions. */
function hasPartitionTable(begin: Buffer): boolean {
  if (begin[510] !== 0x55 || begin[511] !== 0xaa) return false;
  let partitions = 0;
  for (let at = 446; at < 510; at += 16) {
    const isActive = begin[at]!;
    if (isActive !== 0 && isActive !== 0x80) return false;
    if (begin[at + 4] !== 0 && begin.readUInt32LE(at + 12) > 0) partitions++;
  }
  return partitions > 0;
}

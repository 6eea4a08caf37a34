// A restore to a real block device: a loop device, which only root can make.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { seededBytes } from '../support/seeded-random.ts';
import { initialised } from './holdfast.ts';

const MIB = 1024 * 1024;
const BYTES = 16 * MIB;
const mayAttach = process.getuid?.() === 0 && spawnSync('losetup', ['--find'], { stdio: 'ignore' }).status === 0;
if (!mayAttach) console.log('SKIPPED, restores to block devices: losetup finds no free loop device, or this is not root');

it.skipIf(!mayAttach)('a device that is mounted is refused, also with --delta, and written when it is free', () => {
  const holdfast = initialised();
  const volume = holdfast.file('volume.img', seededBytes(BYTES, 1));
  holdfast.ok(['backup', volume, '--type', 'volume']);
  const backing = holdfast.file('backing', '');
  truncateSync(backing, BYTES);
  const device = execFileSync('losetup', ['--find', '--show', backing]).toString().trim();
  onTestFinished(() => void execFileSync('losetup', ['--detach', device]));
  execFileSync('mkfs.ext4', ['-q', device]);
  const mounted = holdfast.path('mounted');
  mkdirSync(mounted);
  execFileSync('mount', [device, mounted]);
  onTestFinished(() => void spawnSync('umount', [mounted]));
  expect(holdfast.fault(['restore', 'latest', '--target', device, '--delta'])).toMatchObject({
    code: 'TARGET_OCCUPIED',
    line: { hint: expect.stringContaining('Unmount') },
  });
  execFileSync('umount', [mounted]);
  execFileSync('fsck.ext4', ['-fn', device], { stdio: 'ignore' });
  holdfast.ok(['restore', 'latest', '--target', device, '--delta', '--verify']);
  execFileSync('sync', ['-f', backing]);
  expect(readFileSync(device).equals(Buffer.from(seededBytes(BYTES, 1)))).toBe(true);
});

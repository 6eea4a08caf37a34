// Incompressible data: one file of 1 GiB, as media or ciphertext. Second state: 2 % of it overwritten, in pieces of 1 MiB.

import { closeSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GIB, MIB } from '../../src/base/units.ts';
import { noise, Random } from './random.ts';

const NAME = 'random.bin';

export function writeIncompressible(root: string, scale: number): void {
  mkdirSync(root, { recursive: true });
  const next = noise('incompressible');
  const fd = openSync(join(root, NAME), 'w');
  for (let left = GIB / scale; left > 0; left -= MIB) writeSync(fd, next(MIB));
  closeSync(fd);
}

export function changeIncompressible(root: string): void {
  const random = new Random('change incompressible');
  const next = noise('change incompressible');
  const path = join(root, NAME);
  const size = statSync(path).size;
  const fd = openSync(path, 'r+');
  for (let at = 0; at < Math.max(1, Math.round((size / MIB) * 0.02)); at++)
    writeSync(fd, next(MIB), 0, MIB, random.below(size - MIB));
  closeSync(fd);
}

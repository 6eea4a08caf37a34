// What the machine can do with the same bytes and no backup program: a plain copy, and tar through zstd on two threads.

import { basename, dirname, join } from 'node:path';
import type { DataSet } from '../data/sets.ts';
import type { Area, Contender } from './contender.ts';

const shell = (script: string, ...args: string[]) => ({ argv: ['sh', '-c', script, 'sh', ...args] });
const nothing = () => [];
const copyOf = (area: Area, set: DataSet) => join(area.repository, basename(set.path));

export const copy: Contender = {
  name: 'cp -a',
  isLimit: true,
  version: () => 'cp -a',
  init: (area) => [{ argv: ['mkdir', '-p', area.repository] }],
  backup: (area, set) => [{ argv: ['cp', '-a', '--sparse=auto', set.path, area.repository] }],
  restore: (area, set, _name, target) => [{ argv: ['cp', '-a', '--sparse=auto', copyOf(area, set), target] }],
  restored: (set, target) => [join(target, basename(set.path))],
  verify: nothing,
  prune: nothing,
};

export const tarZstd: Contender = {
  name: 'tar, zstd -1',
  isLimit: true,
  version: () => 'tar | zstd -1 -T2',
  init: (area) => [{ argv: ['mkdir', '-p', area.repository] }],
  backup: (area, set) => [
    shell(
      'tar -C "$1" --format=posix -cSf - "$2" | zstd -q -1 -T2 -f -o "$3"',
      dirname(set.path),
      basename(set.path),
      join(area.repository, 'all.tar.zst'),
    ),
  ],
  restore: (area, _set, _name, target) => [
    shell('zstd -q -dc "$1" | tar -C "$2" -xpSf -', join(area.repository, 'all.tar.zst'), target),
  ],
  restored: (set, target) => [join(target, basename(set.path))],
  verify: nothing,
  prune: nothing,
};

// borg with authenticated encryption (repokey-blake2) and zstd level 1, its cache on the same disk as the repository.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Program } from '../peers.ts';
import type { Area, Contender } from './contender.ts';

export function borg(program: Program): Contender {
  const run = (area: Area, args: readonly string[], cwd?: string) => ({
    argv: [...program.argv, ...args],
    env: {
      ...program.env,
      HOME: area.home,
      BORG_BASE_DIR: area.home,
      BORG_REPO: area.repository,
      BORG_PASSPHRASE: area.passphrase,
    },
    ...(cwd === undefined ? {} : { cwd }),
  });
  return {
    name: 'borg',
    isLimit: false,
    version: () =>
      execFileSync(program.argv[0]!, [...program.argv.slice(1), '--version'], { encoding: 'utf8', env: { ...program.env } }).trim(),
    init: (area) => [run(area, ['init', '--encryption', 'repokey-blake2'])],
    backup: (area, set, name) => [run(area, ['create', '--compression', 'zstd,1', `::${name}`, set.path])],
    restore: (area, set, name, target) => [
      run(area, ['extract', ...(set.kind === 'file' ? ['--sparse'] : []), `::${name}`], target),
    ],
    restored: (set, target) => [join(target, set.path)],
    verify: (area) => [run(area, ['check', '--verify-data'])],
    prune: (area) => [run(area, ['prune', '--keep-last', '1']), run(area, ['compact'])],
  };
}

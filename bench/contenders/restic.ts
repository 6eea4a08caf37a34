// restic with its default compression ("auto"), its cache on the same disk as the repository.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Area, Contender } from './contender.ts';

export function restic(program: string): Contender {
  const run = (area: Area, ...args: string[]) => ({
    argv: [program, '--quiet', ...args],
    env: {
      HOME: area.home,
      RESTIC_REPOSITORY: area.repository,
      RESTIC_PASSWORD_FILE: area.passphraseFile,
      RESTIC_CACHE_DIR: join(area.home, 'cache'),
    },
  });
  return {
    name: 'restic',
    isLimit: false,
    version: () => execFileSync(program, ['version'], { encoding: 'utf8' }).split(' ').slice(0, 2).join(' '),
    init: (area) => [run(area, 'init', '--repository-version', '2')],
    backup: (area, set) => [run(area, 'backup', set.path)],
    restore: (area, set, _name, target) => [
      run(area, 'restore', 'latest', '--target', target, ...(set.kind === 'file' ? ['--sparse'] : [])),
    ],
    restored: (set, target) => [join(target, set.path)],
    verify: (area) => [run(area, 'check', '--read-data')],
    prune: (area) => [run(area, 'forget', '--keep-last', '1', '--prune')],
  };
}

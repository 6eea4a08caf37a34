// Ours, from this checkout, by the command line that a user has.

import { execFileSync } from 'node:child_process';
import { basename, join } from 'node:path';
import type { Area, Contender } from './contender.ts';

export function holdfast(program: string): Contender {
  const run = (area: Area, ...args: string[]) => ({
    argv: [program, ...args],
    env: {
      HOME: area.home,
      XDG_CACHE_HOME: join(area.home, 'cache'),
      HOLDFAST_REPO: area.repository,
      HOLDFAST_PASSPHRASE_FILE: area.passphraseFile,
    },
  });
  return {
    name: 'holdfast',
    isLimit: false,
    version: () =>
      `holdfast ${execFileSync(program, ['--version'], { encoding: 'utf8' })
        .trim()
        .replace(/^holdfast /, '')}`,
    init: (area) => [run(area, 'init')],
    backup: (area, set) => [run(area, 'backup', '--json', set.path)],
    restore: (area, _set, _name, target) => [run(area, 'restore', 'latest', '--target', target, '--json')],
    restored: (set, target) => [join(target, set.path), join(target, basename(set.path)), target],
    verify: (area) => [run(area, 'verify', '--full', '--json')],
    prune: (area) => [run(area, 'forget', '--keep-last', '1', '--prune', '--json')],
  };
}

/** The last line that `--json` printed, when it is the summary. */
export function summaryOf(log: string): Record<string, unknown> | undefined {
  const line = log.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) return undefined;
  const value = JSON.parse(line) as Record<string, unknown>;
  return value.kind === 'summary' ? value : undefined;
}

// A tree that is large enough for a thread of its own to walk it, when it is backed up again.

import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WALKED_HERE_MIN } from '../../src/engine/walk-ahead.ts';
import { type Holdfast, initialised } from './holdfast.ts';

const DIRECTORIES = 70;
const FILES = 100;

function write(root: string): void {
  for (let d = 0; d < DIRECTORIES; d++) {
    const directory = join(root, `d${String(d % 10)}`, `part ${d}`);
    mkdirSync(directory, { recursive: true });
    for (let f = 0; f < FILES; f++) writeFileSync(join(directory, `file-${f}`), `${d} ${f}`);
  }
}

const listed = (holdfast: Holdfast): string[] =>
  holdfast
    .lines(['ls', 'latest'])
    .filter(({ path }) => typeof path === 'string')
    .map(({ path }) => String(path))
    .sort();

const present = (root: string): string[] => readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();

describe('a large tree', () => {
  it('is backed up again as it is then, with what came, went, changed and is left out far behind its beginning', () => {
    const holdfast = initialised();
    const root = holdfast.path('tree');
    write(root);
    expect(present(root).length).toBeGreaterThan(WALKED_HERE_MIN + 800);
    holdfast.ok(['backup', root]);
    for (const d of [8, 69]) {
      const directory = join(root, `d${d % 10}`, `part ${d}`);
      writeFileSync(join(directory, 'file-7'), 'changed');
      writeFileSync(join(directory, 'new'), 'new');
      symlinkSync('file-7', join(directory, 'link'));
      rmSync(join(directory, 'file-9'));
    }
    renameSync(join(root, 'd9', 'part 59'), join(root, 'd9', 'renamed'));
    rmSync(join(root, 'd9', 'part 49'), { recursive: true });
    const summary = holdfast.summary(['backup', root]);
    expect(summary).toMatchObject({ problems: 0, files: 100 * (DIRECTORIES - 1), others: 2 });
    expect(listed(holdfast).filter((path) => path !== '')).toEqual(present(root));
    expect(holdfast.ok(['restore', 'latest', '--path', 'd9/part 69/file-7', '--stdout'])).toBe('changed');
    expect(holdfast.ok(['restore', 'latest', '--path', 'd9/renamed/file-3', '--stdout'])).toBe('59 3');

    holdfast.ok(['backup', root, '--exclude', 'renamed', '--exclude', 'file-1*']);
    const kept = present(root).filter((path) => !/\/(renamed|file-1[^/]*)(\/|$)/.test(path));
    expect(listed(holdfast).filter((path) => path !== '')).toEqual(kept);
    expect(holdfast.ok(['verify'])).toMatch(/^Clean/m);
  });
});

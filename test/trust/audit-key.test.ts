// The keys of programs: drawn once, and opened from then on without writing anything.

import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { writeOnce } from '../../src/base/write-once.ts';
import { openSigningKey } from '../../src/trust/audit-key.ts';
import { mayMount, mountTmpfs, remountReadOnly, scratchDirectory, unmount } from '../support/scratch.ts';

it('the same key is opened again, and its public half is put back when it is gone', () => {
  const directory = scratchDirectory();
  const pair = openSigningKey(directory, 'key');
  rmSync(join(directory, 'key.pub'));
  expect(openSigningKey(directory, 'key')).toEqual(pair);
  expect(existsSync(join(directory, 'key.pub'))).toBe(true);
});

describe.runIf(mayMount())('On a disk of its own', () => {
  const disk = (): string => {
    const directory = scratchDirectory();
    mountTmpfs(directory, '64k');
    onTestFinished(() => unmount(directory));
    return directory;
  };
  const fill = (directory: string): void => {
    expect(() => writeFileSync(join(directory, 'everything'), Buffer.alloc(1 << 20))).toThrow('ENOSPC');
  };

  it('that is full, or may not be written any more, a key that is there is opened: a failover needs it then', () => {
    const directory = disk();
    const pair = openSigningKey(directory, 'key');
    fill(directory);
    expect(openSigningKey(directory, 'key')).toEqual(pair);
    remountReadOnly(directory);
    expect(openSigningKey(directory, 'key')).toEqual(pair);
  });

  it('that is full, what cannot be written whole leaves nothing behind', () => {
    const directory = disk();
    fill(directory);
    expect(() => writeOnce(join(directory, 'secret'), 'text', 0o600, 'draft')).toThrow('ENOSPC');
    expect(readdirSync(directory)).toEqual(['everything']);
  });
});

import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSmallFile } from '../../src/base/read-small-file.ts';
import { replaceFile } from '../../src/base/replace-file.ts';
import { scratchDirectory } from '../support/scratch.ts';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe('A file that is exchanged', () => {
  it('has the mode that was given, or that of the one before, whatever the umask', () => {
    const path = join(scratchDirectory(), 'file');
    const umask = process.umask(0o077);
    try {
      replaceFile(path, 'one');
      expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['one', 0o644]);
      chmodSync(path, 0o640);
      replaceFile(path, 'two');
      expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['two', 0o640]);
      replaceFile(path, 'three', 0o666);
      expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['three', 0o666]);
    } finally {
      process.umask(umask);
    }
  });

  it('is the old one, alone, when the new one cannot be put in its place', () => {
    const scratch = scratchDirectory();
    expect(() => replaceFile(scratch, 'text', 0o600)).toThrow('EISDIR');
    expect(readdirSync(join(scratch, '..')).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('is not written through a link that lies where its draft goes', () => {
    const scratch = scratchDirectory();
    const [path, other] = [join(scratch, 'file'), join(scratch, 'other')];
    writeFileSync(other, 'of somebody else');
    symlinkSync(other, `${path}.${process.pid}.new`);
    replaceFile(path, 'text', 0o600);
    expect([readFileSync(path, 'utf8'), readFileSync(other, 'utf8')]).toEqual(['text', 'of somebody else']);
    expect(existsSync(`${path}.${process.pid}.new`)).toBe(false);
  });
});

describe('A small file', () => {
  it('is read whole, and not at all when it is larger or never ends', () => {
    const path = join(scratchDirectory(), 'file');
    writeFileSync(path, 'four');
    expect(readSmallFile(path, 4)?.toString()).toBe('four');
    expect(readSmallFile(path, 3)).toBe(undefined);
    expect(readSmallFile('/dev/zero', 1000)).toBe(undefined);
  });
});

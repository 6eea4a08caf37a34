import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makeDirectory } from '../../src/base/make-directory.ts';

describe('making a directory and those above it', () => {
  let scratch = '';
  beforeAll(() => void (scratch = mkdtempSync(join(tmpdir(), 'holdfast-make-'))));
  afterAll(() => rmSync(scratch, { recursive: true }));

  it('answers the uppermost one that it has made', () => {
    expect(makeDirectory(join(scratch, 'a/b/c'))).toBe(join(scratch, 'a'));
    expect(makeDirectory(join(scratch, 'a/b/d'))).toBe(join(scratch, 'a/b/d'));
    expect(makeDirectory(join(scratch, 'a/b/d'))).toBeUndefined();
  });

  it('gives them the mode that is asked for, whatever the umask', () => {
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    makeDirectory(join(scratch, 'open/to/all'), { mode: 0o755 });
    for (const path of ['open', 'open/to', 'open/to/all']) expect(statSync(join(scratch, path)).mode & 0o777).toBe(0o755);
  });

  it('makes names that are not UTF-8', () => {
    makeDirectory(`${scratch}/\xff/\xfe`, { encoding: 'latin1' });
    expect(existsSync(Buffer.from(`${scratch}/\xff/\xfe`, 'latin1'))).toBe(true);
  });

  it('ends where nothing can be made though the directory above is there', () => {
    expect(() => makeDirectory('/proc/holdfast/none')).toThrow('ENOENT');
  });

  it('says that something else is in the way', () => {
    writeFileSync(join(scratch, 'file'), '');
    symlinkSync('nowhere', join(scratch, 'link'));
    expect(() => makeDirectory(join(scratch, 'file'))).toThrow('EEXIST');
    expect(() => makeDirectory(join(scratch, 'file/below'))).toThrow('ENOTDIR');
    expect(() => makeDirectory(join(scratch, 'link'))).toThrow('EEXIST');
  });
});

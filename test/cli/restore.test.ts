import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised, sharedByFile } from './holdfast.ts';

const MIB = 1024 * 1024;
const holdfast: Holdfast = sharedByFile();
const at = (name: string): string => holdfast.path(name);
const big = seededBytes(3 * MIB, 1);
let one: string;
let several: string;
let file: string;
let volume: string;
let image: Buffer;

beforeAll(() => {
  holdfast.file('tree/a.txt', 'first\n');
  holdfast.file('tree/sub/big.bin', big);
  holdfast.file('tree/sub/deep/er/c.txt', 'deep\n');
  linkSync(at('tree/a.txt'), at('tree/sub/other name'));
  symlinkSync('../a.txt', at('tree/sub/link'));
  chmodSync(at('tree/sub'), 0o750);
  utimesSync(at('tree/a.txt'), 1, 1_000_000_000);
  holdfast.file('more/d.txt', 'more\n');
  one = holdfast.summary(['backup', at('tree'), '--asset', 'one']).snapshot as string;
  several = holdfast.summary(['backup', at('tree'), at('more'), '--asset', 'several']).snapshot as string;
  file = holdfast.summary(['backup', at('tree/a.txt'), '--asset', 'file']).snapshot as string;
  image = Buffer.alloc(8 * MIB);
  image.set(seededBytes(MIB, 2), 2 * MIB);
  volume = holdfast.summary(['backup', holdfast.file('disk.img', image)]).snapshot as string;
  holdfast.ok(['backup', '-', '--name', 'dump'], { input: 'streamed\n' });
});

/** A target below a scratch directory of the test; not made. */
function target(name = 'target'): string {
  return join(scratchDirectory(), name);
}

function listing(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).sort();
}

const TREE = ['a.txt', 'sub', 'sub/big.bin', 'sub/deep', 'sub/deep/er', 'sub/deep/er/c.txt', 'sub/link', 'sub/other name'];

describe('a restore of files', () => {
  it('makes the target that directory, when one was backed up', () => {
    const to = target('not/there/yet');
    expect(holdfast.summary(['restore', one, '--target', to, '--verify'])).toMatchObject({
      kind: 'summary',
      verb: 'restore',
      snapshot: one,
      target: to,
      problems: 0,
      damaged: 0,
      verified: true,
      differing: 0,
      entries: 9,
    });
    expect(listing(to)).toEqual(TREE);
    expect(readFileSync(join(to, 'sub/big.bin')).equals(big)).toBe(true);
    expect(readlinkSync(join(to, 'sub/link'))).toBe('../a.txt');
    expect(statSync(join(to, 'a.txt'))).toMatchObject({
      nlink: 2,
      ino: statSync(join(to, 'sub/other name')).ino,
      mtimeMs: 1_000_000_000_000,
    });
    expect(statSync(join(to, 'sub')).mode & 0o7777).toBe(0o750);
  });

  it('keeps absolute paths below the target, when several were', () => {
    const to = target();
    holdfast.ok(['restore', several, '--target', to, '--verify']);
    expect(listing(join(to, at('tree')))).toEqual(TREE);
    expect(readFileSync(join(to, at('more/d.txt')), 'utf8')).toBe('more\n');
  });

  it.runIf(process.getuid!() === 0)('tells of owners that cannot be given, but of what only leads to several paths', () => {
    const own = initialised();
    const [tree, more] = [own.file('others/tree/a.txt', 'a'), own.file('others/more/b.txt', 'b')];
    chownSync(own.path('others'), 1234, 1234);
    const backup = ['backup', dirname(tree), dirname(more)];
    own.ok(backup);
    own.ok(['restore', 'latest', '--target', target(), '--verify'], { isHeldToModes: true });
    chownSync(tree, 1234, 1234);
    own.ok(backup);
    const lines = own.lines(['restore', 'latest', '--target', target()], { isHeldToModes: true, status: 3 });
    const warnings = lines.filter(({ kind }) => kind === 'warning');
    expect(warnings.map(({ message }) => String(message).split(':')[0])).toEqual([tree.slice(1)]);
  });

  it('puts a single file into the target under its name', () => {
    const to = target();
    holdfast.ok(['restore', file, '--target', to, '--verify']);
    expect(listing(to)).toEqual(['a.txt']);
    expect(statSync(join(to, 'a.txt')).mtimeMs).toBe(1_000_000_000_000);
    writeFileSync(join(to, 'neighbour'), 'stays');
    expect(holdfast.fault(['restore', file, '--target', to])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
    writeFileSync(join(to, 'a.txt'), 'older');
    holdfast.ok(['restore', file, '--target', to, '--delta']);
    expect([readFileSync(join(to, 'a.txt'), 'utf8'), readFileSync(join(to, 'neighbour'), 'utf8')]).toEqual(['first\n', 'stays']);
  });

  it.each([
    ['sub/deep', ['er', 'er/c.txt']],
    ['sub/deep/', ['er', 'er/c.txt']],
    ['./sub//deep', ['er', 'er/c.txt']],
    [() => at('tree/sub/deep'), ['er', 'er/c.txt']],
    ['sub/deep/er/c.txt', ['c.txt']],
    [() => at('tree/sub/big.bin'), ['big.bin']],
    ['sub/link', ['link']],
    ['sub/other name', ['other name']],
    [() => at('tree'), TREE],
  ])('takes a part by --path %s', (path, expected) => {
    const to = target();
    holdfast.ok(['restore', one, '--target', to, '--path', typeof path === 'string' ? path : path()]);
    expect(listing(to)).toEqual(expected);
  });

  it('finds a part of several directories by the path it had', () => {
    const to = target();
    holdfast.ok(['restore', several, '--target', to, '--path', at('tree/sub/deep')]);
    expect(listing(to)).toEqual(['er', 'er/c.txt']);
    const other = target();
    holdfast.ok(['restore', several, '--target', other, '--path', `${at('more').slice(1)}/d.txt`]);
    expect(listing(other)).toEqual(['d.txt']);
  });

  it('gives the content of another name of a file that is not restored', () => {
    const to = target();
    holdfast.ok(['restore', one, '--target', to, '--path', 'sub/other name']);
    expect(readFileSync(join(to, 'other name'), 'utf8')).toBe('first\n');
    expect(holdfast.ok(['restore', one, '--stdout', '--path', 'sub/other name'])).toBe('first\n');
  });

  it.each([
    ['sub/nothing', 'SNAPSHOT_PATH_NOT_FOUND', 1],
    ['/elsewhere', 'SNAPSHOT_PATH_NOT_FOUND', 1],
    ['../tree', 'USAGE', 2],
    ['sub/../a.txt', 'USAGE', 2],
  ])('refuses --path %s with %s, and makes no target', (path, code, status) => {
    const to = target();
    expect(holdfast.fault(['restore', one, '--target', to, '--path', path])).toMatchObject({ code, status });
    expect(existsSync(to)).toBe(false);
  });

  it('writes a single file to standard output, and nothing else there', () => {
    const { bytes, stderr, status } = holdfast.run(['restore', one, '--target', '-', '--path', 'sub/big.bin']);
    expect(status).toBe(0);
    expect(bytes.equals(big)).toBe(true);
    expect(stderr).toMatch(/to standard output\n {2}[1-9][\d.]* [KM]iB fetched/);
    const { bytes: again, stderr: records } = holdfast.run(['restore', one, '--stdout', '--path', 'a.txt', '--json']);
    expect(again.toString()).toBe('first\n');
    expect(JSON.parse(records.trim().split('\n').at(-1)!)).toMatchObject({ kind: 'summary', target: '-', bytes: 6 });
    expect(holdfast.run(['restore', one, '--stdout'])).toMatchObject({ status: 2, stdout: '' });
    expect(holdfast.run(['restore', one, '--stdout', '--path', 'sub'])).toMatchObject({ status: 2, stdout: '' });
  });

  it('ends when nobody reads its standard output any more', () => {
    const script = '"$0" restore "$1" --stdout --path sub/big.bin | head -c 10';
    const env = {
      ...process.env,
      HOLDFAST_REPO: holdfast.repository,
      HOLDFAST_PASSPHRASE_FILE: at('secrets/passphrase'),
      HOLDFAST_CACHE_DIR: at('cache'),
    };
    const program = new URL('../../bin/holdfast', import.meta.url).pathname;
    const { stdout, status } = spawnSync('bash', ['-c', script, program, one], { env });
    expect(status).toBe(0);
    expect(stdout.equals(Buffer.from(big.subarray(0, 10)))).toBe(true);
  });
});

describe('a target that is not empty', () => {
  it('is refused before anything is written, and brought up to date with --delta', () => {
    const to = target();
    mkdirSync(to);
    writeFileSync(join(to, 'mine'), 'untouched');
    const { code, status, line } = holdfast.fault(['restore', one, '--target', to]);
    expect({ code, status }).toEqual({ code: 'TARGET_OCCUPIED', status: 1 });
    expect(line.hint).toContain('--delta');
    expect(listing(to)).toEqual(['mine']);
    expect(holdfast.summary(['restore', one, '--target', to, '--delta'])).toMatchObject({ bytesKept: 0 });
    unlinkSync(join(to, 'sub/deep/er/c.txt'));
    const changed = Buffer.from(big);
    changed[MIB] = changed[MIB]! ^ 1;
    writeFileSync(join(to, 'sub/big.bin'), changed);
    const summary = holdfast.summary(['restore', one, '--target', to, '--delta', '--verify']);
    expect(summary).toMatchObject({ differing: 0, problems: 0 });
    expect(summary.bytesKept).toBeGreaterThan(MIB);
    expect(summary.bytesFetched).toBeLessThan(3 * MIB);
    expect(listing(to)).toEqual([...TREE, 'mine'].sort());
    expect(readFileSync(join(to, 'mine'), 'utf8')).toBe('untouched');
  });

  it('may be a directory without anything in it, or a link to one', () => {
    const to = target();
    mkdirSync(to);
    symlinkSync(to, `${to}-link`);
    holdfast.ok(['restore', one, '--target', `${to}-link`]);
    expect(listing(to)).toEqual(TREE);
  });

  it('may not be the repository, or lie in it, by whatever way', () => {
    const before = listing(holdfast.repository);
    symlinkSync(holdfast.repository, at('way'));
    for (const to of [holdfast.repository, join(holdfast.repository, 'new/below'), join(at('way'), 'packs')]) {
      const { code, status, line } = holdfast.fault(['restore', one, '--target', to, '--delta']);
      expect({ code, status }).toEqual({ code: 'TARGET_OCCUPIED', status: 1 });
      expect(line.hint).toContain('outside of the repository');
    }
    expect(listing(holdfast.repository)).toEqual(before);
  });

  it('may not be a file for a directory', () => {
    const to = target();
    writeFileSync(to, 'a file');
    expect(holdfast.fault(['restore', one, '--target', to])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
    expect(holdfast.fault(['restore', one, '--target', join(to, 'below')])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
    expect(readFileSync(to, 'utf8')).toBe('a file');
  });
});

describe('a symlink in the way', () => {
  it('is not written through, even with --delta', () => {
    const to = target();
    const outside = target('outside');
    mkdirSync(to);
    mkdirSync(outside);
    symlinkSync(outside, join(to, 'sub'));
    const lines = holdfast.lines(['restore', one, '--target', to, '--delta']);
    expect(listing(outside)).toEqual([]);
    expect(lines.at(-1)).toMatchObject({ problems: 0 });
    expect(lstatSync(join(to, 'sub')).isDirectory()).toBe(true);
    expect(listing(to)).toEqual(TREE);
  });
});

describe('a restore of a volume or stream', () => {
  it('makes the file that the target names, or one in it when it is a directory', () => {
    const to = target('new.img');
    expect(holdfast.summary(['restore', volume, '--target', to, '--verify'])).toMatchObject({
      target: to,
      bytes: 8 * MIB,
      differing: 0,
    });
    expect(readFileSync(to).equals(image)).toBe(true);
    expect(statSync(to).blocks * 512).toBeLessThan(2 * MIB);
    const directory = target();
    mkdirSync(directory);
    holdfast.ok(['restore', volume, '--target', directory]);
    expect(listing(directory)).toEqual(['disk.img']);
    const other = `${target()}/`;
    holdfast.ok(['restore', 'latest', '--asset', `${hostOf('dump')}`, '--target', other]);
    expect(readFileSync(join(other, 'dump'), 'utf8')).toBe('streamed\n');
  });

  it('refuses a file that holds something, and writes only what differs with --delta', () => {
    const to = target('old.img');
    const old = Buffer.from(image);
    old.fill(7, 5 * MIB, 5 * MIB + 100);
    old[2 * MIB] = old[2 * MIB]! ^ 255;
    writeFileSync(to, old);
    expect(holdfast.fault(['restore', volume, '--target', to])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
    expect(readFileSync(to).equals(old)).toBe(true);
    const summary = holdfast.summary(['restore', volume, '--target', to, '--delta', '--verify']);
    expect(summary).toMatchObject({ differing: 0 });
    // A leaf of zeros is one piece: 4 MiB that are made anew cost nothing.
    expect(summary.bytesKept).toBeGreaterThan(3 * MIB);
    expect(summary.bytesFetched).toBeLessThan(2 * MIB);
    expect(readFileSync(to).equals(image)).toBe(true);
  });

  it('takes an empty file as a place', () => {
    const to = target('empty');
    writeFileSync(to, '');
    holdfast.ok(['restore', volume, '--target', to]);
    expect(readFileSync(to).equals(image)).toBe(true);
  });

  it('tells what is missing above the target', () => {
    expect(holdfast.fault(['restore', volume, '--target', join(target(), 'a/b')])).toMatchObject({
      code: 'TARGET_NOT_FOUND',
      status: 1,
    });
    expect(holdfast.fault(['restore', volume, '--target', '/proc/none'])).toMatchObject({ status: 1 });
    expect(holdfast.fault(['restore', volume, '--target', '/dev/null'])).toMatchObject({ code: 'TARGET_OCCUPIED', status: 1 });
  });

  it('has no paths', () => {
    expect(holdfast.fault(['restore', volume, '--target', target(), '--path', 'x'])).toMatchObject({ code: 'USAGE', status: 2 });
  });
});

describe('a snapshot', () => {
  it('is found by its beginning, "latest" and "latest~N" among those that the filters let through', () => {
    const of = (args: readonly string[]) => holdfast.summary(['restore', ...args, '--target', target()]).snapshot;
    expect(of([one.slice(0, 6)])).toBe(one);
    expect(of(['latest', '--asset', 'one'])).toBe(one);
    expect(of(['latest~2'])).toBe(file);
  });

  it('that is not there, or not the only one, is a fault of its own', () => {
    const to = target();
    expect(holdfast.fault(['restore', 'ffffffffffff', '--target', to])).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND', status: 1 });
    expect(holdfast.fault(['restore', 'latest~9', '--target', to])).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND', status: 1 });
    expect(holdfast.fault(['restore', 'latest', '--tag', 'none', '--target', to])).toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      status: 1,
    });
    expect(holdfast.fault(['restore', one, '--host', 'none', '--target', to])).toMatchObject({
      code: 'SNAPSHOT_NOT_FOUND',
      status: 1,
    });
    expect(initialised().fault(['restore', 'latest', '--target', to])).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND', status: 1 });
    expect(existsSync(to)).toBe(false);
  });

  it('is not held on to when the restore is over', () => {
    rmSync(target(), { force: true });
    expect(holdfast.summary(['prune', '--dry-run'])).toMatchObject({ waiting: [] });
  });
});

describe('names that are not UTF-8', () => {
  it('are backed up, listed, named on the command line and restored', () => {
    const directory = scratchDirectory();
    const odd = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x66, 0xff, 0x80, 0x6f])]);
    mkdirSync(odd);
    writeFileSync(Buffer.concat([odd, Buffer.from('/x')]), 'odd\n');
    holdfast.ok(['backup', directory, '--asset', 'odd']);
    expect(holdfast.ok(['ls', 'latest', '--asset', 'odd'])).toBe('.\nf\\xff\\x80o\nf\\xff\\x80o/x\n');
    const record = holdfast.lines(['ls', 'latest', '--asset', 'odd']).find(({ path }) => path !== '');
    expect(Buffer.from(record?.pathBase64 as string, 'base64')).toEqual(Buffer.from([0x66, 0xff, 0x80, 0x6f]));
    const to = target();
    const script = `"$0" restore latest --asset odd --target "$1" --path $'f\\xff\\x80o'`;
    const env = {
      ...process.env,
      HOLDFAST_REPO: holdfast.repository,
      HOLDFAST_PASSPHRASE_FILE: at('secrets/passphrase'),
      HOLDFAST_CACHE_DIR: at('cache'),
    };
    const { status, stderr } = spawnSync('bash', ['-c', script, new URL('../../bin/holdfast', import.meta.url).pathname, to], {
      env,
      encoding: 'utf8',
    });
    expect(status, stderr).toBe(0);
    expect(listing(to)).toEqual(['x']);
  });
});

function hostOf(name: string): string {
  const line = holdfast.lines(['snapshots']).find(({ asset }) => String(asset).endsWith(`:${name}`));
  return line!.asset as string;
}

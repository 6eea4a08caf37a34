import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileExclude } from '../../src/files/exclude.ts';
import { HERE, type Posix } from '../../src/files/posix.ts';
import { PosixError } from '../../src/files/posix-error.ts';
import { realPath } from '../../src/files/real-path.ts';
import {
  OPEN_DIRECTORIES_MAX,
  type WalkedEntry,
  type WalkItem,
  type WalkOptions,
  type WalkProblem,
  walk,
} from '../../src/files/walk.ts';
import { comparePaths, ENTRY_PATH_BYTES_MAX, joinPaths } from '../../src/model/entry-path.ts';
import { bytes, codeOf, DRIVERS, isRoot, native, need, openDescriptors, random, scratch } from './scratch.ts';

function make(root: string, files: readonly string[]): string {
  for (const file of files) {
    const path = `${root}/${file}`;
    if (file.endsWith('/')) fs.mkdirSync(bytes(path), { recursive: true });
    else {
      fs.mkdirSync(bytes(path.slice(0, path.lastIndexOf('/'))), { recursive: true });
      fs.writeFileSync(bytes(path), file, 'latin1');
    }
  }
  return root;
}

function paths(root: string, options?: WalkOptions): string[] {
  return entries(walk([root], options)).map((entry) => entry.path);
}

function entries(items: Iterable<WalkItem>): WalkedEntry[] {
  return [...items].map((item) => {
    if (item.kind === 'problem') throw new Error(item.message);
    return item;
  });
}

const problems = (items: Iterable<WalkItem>): WalkProblem[] => [...items].filter((item) => item.kind === 'problem');

describe.each(DRIVERS)('walk, $driver', ({ posix }) => {
  it('yields a directory right before its content and siblings by the bytes of their names', () => {
    const root = make(scratch(), ['a/b', 'a/b-', 'a-/x', 'b/', 'a /y', '\xff/\x80', 'Z', '.hidden', 'a0/0/0']);
    const expected = [
      '',
      '.hidden',
      'Z',
      'a',
      'a/b',
      'a/b-',
      'a ',
      'a /y',
      'a-',
      'a-/x',
      'a0',
      'a0/0',
      'a0/0/0',
      'b',
      '\xff',
      '\xff/\x80',
    ];
    expect(paths(root, { posix })).toEqual(expected);
  });

  it('yields random trees completely and in canonical order', () => {
    const next = random(3);
    const names = ['a', 'a-', 'a b', '-', '~', '\x80', 'b', 'A', '\n'];
    const name = () => names[Math.floor(next() * names.length)]!;
    const root = scratch();
    const expected = new Set(['']);
    for (let i = 0; i < 300; i++) {
      const components = Array.from({ length: 1 + Math.floor(next() * 5) }, name);
      const path = components.join('/');
      try {
        fs.mkdirSync(bytes(`${root}/${components.slice(0, -1).join('/')}`), { recursive: true });
        if (!fs.existsSync(bytes(`${root}/${path}`))) fs.writeFileSync(bytes(`${root}/${path}`), '');
      } catch {
        continue; // a file is in the way of a directory
      }
      for (let n = components.length; n > 0; n--) expected.add(components.slice(0, n).join('/'));
    }
    expect(paths(root, { posix })).toEqual([...expected].sort(comparePaths));
    expect(expected.size).toBeGreaterThan(200);
  });

  it('tells of every kind what a backup must keep', () => {
    const root = make(scratch(), ['file', 'directory/', 'other']);
    fs.chmodSync(join(root, 'file'), 0o6711);
    fs.linkSync(join(root, 'file'), join(root, 'directory/second name'));
    fs.symlinkSync(bytes('to \xff nowhere'), join(root, 'link'));
    execFileSync('mkfifo', [join(root, 'fifo')]);
    execFileSync('touch', ['-hd', '1969-12-31 23:59:58.000000007Z', join(root, 'link')]);
    const found = new Map(entries(walk([root], { posix })).map((entry) => [entry.path, entry]));
    const file = found.get('file')!;
    const inode = fs.lstatSync(join(root, 'file')).ino;
    expect(file).toMatchObject({
      root: 0,
      kind: 'file',
      mode: 0o6711,
      sizeBytes: 4,
      links: 2,
      inode,
      linkTarget: '',
      rdevMajor: 0,
    });
    expect(file.allocatedBytes).toBe(fs.lstatSync(join(root, 'file')).blocks * 512);
    expect(file.hardLinkKey).not.toBe('');
    expect(found.get('directory/second name')!.hardLinkKey).toBe(file.hardLinkKey);
    expect(found.get('other')!.hardLinkKey).toBe('');
    expect(found.get('directory')).toMatchObject({ kind: 'directory', sizeBytes: 0, hardLinkKey: '' });
    expect(found.get('link')).toMatchObject({
      kind: 'symlink',
      linkTarget: 'to \xff nowhere',
      sizeBytes: 0,
      mtimeSec: -2,
      mtimeNsec: 7,
    });
    expect(found.get('fifo')).toMatchObject({ kind: 'fifo', sizeBytes: 0 });
  });

  it('walks several roots one after the other, and roots that are no directories', () => {
    const directory = make(scratch(), ['a/x', 'file']);
    fs.symlinkSync('a', join(directory, 'link'));
    const roots = ['a', 'file', 'link', 'none'].map((name) => join(directory, name));
    const items = [...walk(roots, { posix })].map((item) => [item.root, item.kind, item.path]);
    expect(items).toEqual([
      [0, 'directory', ''],
      [0, 'file', 'x'],
      [1, 'file', ''],
      [2, 'symlink', ''],
      [3, 'problem', ''],
    ]);
  });

  it('goes on when things vanish or are swapped under its feet, and says what it missed', () => {
    const root = make(scratch(), ['a/1', 'a/2', 'b/1', 'c/1', 'd', 'e', 'f/1', 'g']);
    const seen: string[] = [];
    for (const item of walk([root], { posix })) {
      seen.push(item.kind === 'problem' ? `${item.path}: ${item.code}` : item.path);
      if (item.kind === 'problem') continue;
      if (item.path === 'a/1') fs.rmSync(join(root, 'a/2'));
      if (item.path === 'b') fs.rmSync(join(root, 'b'), { recursive: true });
      if (item.path === 'c') {
        fs.rmSync(join(root, 'c'), { recursive: true });
        fs.symlinkSync('/etc', join(root, 'c'));
      }
      if (item.path === 'd') fs.rmSync(join(root, 'e'));
      if (item.path === 'f') {
        fs.rmSync(join(root, 'f'), { recursive: true });
        fs.writeFileSync(join(root, 'f'), '');
      }
    }
    // A directory's names are read when the walk goes on after it was yielded.
    expect(seen).toEqual([
      '',
      'a',
      'a/1',
      'a/2: ENOENT',
      'b',
      'b: ENOENT',
      'c',
      'c: ELOOP',
      'd',
      'e: ENOENT',
      'f',
      'f: ENOTDIR',
      'g',
    ]);
  });

  it('closes everything when its consumer stops early', () => {
    const root = make(scratch(), ['a/b/c/d/e', 'f']);
    const before = openDescriptors();
    for (const item of walk([root], { posix })) if (item.path === 'a/b/c/d') break;
    expect(openDescriptors()).toBe(before);
  });

  it('goes deeper than it may keep directories open, and comes back up', () => {
    const depth = OPEN_DIRECTORIES_MAX * 2 + 10;
    const root = scratch();
    const expected = [''];
    for (let n = 1; n <= depth; n++) expected.push(Array(n).fill('d').join('/'));
    make(root, [`${expected.at(-1)}/`]);
    const siblings = expected.map((path) => joinPaths(path, 'z'));
    for (const path of siblings) fs.writeFileSync(join(root, path), '');
    const before = openDescriptors();
    const seen: string[] = [];
    let most = 0;
    for (const item of walk([root], { posix })) {
      seen.push(item.kind === 'problem' ? item.message : item.path);
      most = Math.max(most, openDescriptors() - before);
    }
    expect(seen).toEqual([...expected, ...siblings].sort(comparePaths));
    expect(most).toBeLessThanOrEqual(OPEN_DIRECTORIES_MAX + 2);
    expect(openDescriptors()).toBe(before);
  });

  it('notices on the way back up that a directory is another one now', () => {
    const root = scratch();
    const deep = Array(OPEN_DIRECTORIES_MAX + 5)
      .fill('d')
      .join('/');
    make(root, [`${deep}/`, 'd/z', 'z']);
    const seen: string[] = [];
    for (const item of walk([root], { posix })) {
      seen.push(item.kind === 'problem' ? `${item.path}: ${item.code}` : item.path);
      if (item.kind === 'problem' || item.path !== deep) continue;
      fs.renameSync(join(root, 'd'), join(root, 'y'));
      make(root, ['d/z']);
    }
    expect(seen.slice(-2)).toEqual(['d: ESTALE', 'z']);
  });

  it('leaves out what is excluded, and does not enter it', () => {
    const root = make(scratch(), ['keep/a.tmp', 'keep/b', 'cache/x', 'src/cache/y', 'src/cache.c', 'build']);
    const exclude = compileExclude(['*.tmp', 'cache/', '/build']);
    expect(paths(root, { posix, exclude })).toEqual(['', 'keep', 'keep/b', 'src', 'src/cache.c']);
  });

  it('keeps of a cache directory only itself and a valid tag', () => {
    const tag = 'Signature: 8a477f597d28d172789f06886806bc55\n# comment\n';
    const root = make(scratch(), ['true/x', 'true/CACHEDIR.TAG', 'false/x', 'false/CACHEDIR.TAG', 'short/x', 'short/CACHEDIR.TAG']);
    fs.writeFileSync(join(root, 'true/CACHEDIR.TAG'), tag);
    fs.writeFileSync(join(root, 'short/CACHEDIR.TAG'), tag.slice(0, 42));
    expect(paths(root, { posix, excludeCaches: true })).toEqual([
      '',
      'false',
      'false/CACHEDIR.TAG',
      'false/x',
      'short',
      'short/CACHEDIR.TAG',
      'short/x',
      'true',
      'true/CACHEDIR.TAG',
    ]);
    expect(paths(root, { posix })).toContain('true/x');
  });
});

describe('walk', () => {
  it.runIf(isRoot)('does not cross a mount point when asked, but keeps the directory it hides', (context) => {
    const root = make(scratch(), ['mounted/', 'z']);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', join(root, 'mounted')], { stdio: 'ignore' });
    } catch {
      need(context, false, 'the right to mount');
    }
    try {
      fs.writeFileSync(join(root, 'mounted/x'), '');
      for (const { posix } of DRIVERS) {
        expect(paths(root, { posix, oneFileSystem: true })).toEqual(['', 'mounted', 'z']);
        expect(paths(root, { posix })).toEqual(['', 'mounted', 'mounted/x', 'z']);
      }
    } finally {
      execFileSync('umount', [join(root, 'mounted')]);
    }
  });

  it('reads trees that are deeper than any path the kernel takes, and says where it gave up', () => {
    const root = scratch();
    const component = 'x'.repeat(250);
    let at = native.openDirectory(HERE, root, 'refuse');
    const depth = Math.ceil(ENTRY_PATH_BYTES_MAX / 251) + 3;
    for (let n = 0; n < depth; n++) {
      native.mkdir(at, component, 0o700);
      const next = native.openDirectory(at, component, 'refuse');
      native.close(at);
      at = next;
    }
    native.close(at);
    const items = [...walk([root], { posix: native })];
    const last = items.pop()!;
    expect(items.every((item) => item.kind === 'directory')).toBe(true);
    expect(items.at(-1)!.path.length).toBeGreaterThan(4096 * 3);
    expect(items.at(-1)!.path.length).toBeLessThanOrEqual(ENTRY_PATH_BYTES_MAX);
    expect(last).toMatchObject({ kind: 'problem', code: 'ENAMETOOLONG' });
  });

  it('reports what the plain driver cannot reach in such a tree, and goes on', () => {
    const root = make(scratch(), ['z']);
    const deep = Array(20).fill('y'.repeat(250));
    let at = native.openDirectory(HERE, root, 'refuse');
    for (const component of deep) {
      native.mkdir(at, component, 0o700);
      const next = native.openDirectory(at, component, 'refuse');
      native.close(at);
      at = next;
    }
    native.close(at);
    const items = [...walk([root], { posix: DRIVERS[2]!.posix })];
    expect(items.filter((item) => item.kind === 'problem').map((item) => (item as WalkProblem).code)).toEqual(['ENAMETOOLONG']);
    expect(items.at(-1)!.path).toBe('z');
  });

  it.runIf(isRoot)('reports what this user may not read, and keeps what he may', () => {
    const root = make(scratch(), ['closed/x', 'open/y', 'unlistable/z']);
    fs.chmodSync(root, 0o755);
    fs.chmodSync(join(root, 'closed'), 0o600);
    fs.chmodSync(join(root, 'closed'), 0o700);
    fs.chmodSync(join(root, 'unlistable'), 0o744); // names can be read, what they name cannot be looked at
    const script = `
      import { walk } from '${new URL('../../src/files/walk.ts', import.meta.url).href}';
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      for (const item of walk([${JSON.stringify(root)}])) console.log(item.kind, item.path, item.code ?? '');`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(
      output
        .trim()
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual([
      'directory',
      'directory closed',
      'problem closed EACCES',
      'directory open',
      'file open/y',
      'directory unlistable',
      'problem unlistable/z EACCES',
    ]);
  });

  it('keeps the names that it read before a directory failed, and reports the failure', () => {
    const root = make(scratch(), ['a/1', 'a/2', 'b']);
    const failing: Posix = Object.create(native, {
      readNames: {
        value(directory: number, names: string[]) {
          native.readNames(directory, names);
          if (names.includes('2')) throw new PosixError('EIO', 'readdir', '');
        },
      },
      lstat: { value: native.lstat.bind(native) },
      openDirectory: { value: native.openDirectory.bind(native) },
      close: { value: native.close.bind(native) },
    });
    const items = [...walk([root], { posix: failing })].map((item) =>
      item.kind === 'problem' ? `${item.path}: ${item.code}` : item.path,
    );
    expect(items).toEqual(['', 'a', 'a: EIO', 'a/1', 'a/2', 'b']);
  });

  it('tells inodes apart that a double could not, and folds what is recorded of them', () => {
    const root = make(scratch(), ['a', 'b']);
    let low = 1;
    const wide: Posix = Object.create(native, {
      lstat: {
        value(at: number, name: string, into: Parameters<Posix['lstat']>[2]) {
          native.lstat(at, name, into);
          Object.assign(into, { inodeHigh: 0xffff_fff0, inodeLow: low++, links: 2 });
        },
      },
      readNames: { value: native.readNames.bind(native) },
      openDirectory: { value: native.openDirectory.bind(native) },
      close: { value: native.close.bind(native) },
    });
    const [, a, b] = entries(walk([root], { posix: wide }));
    expect(a!.hardLinkKey).not.toBe(b!.hardLinkKey);
    expect(a!.inode).not.toBe(b!.inode);
    expect(Math.max(a!.inode, b!.inode)).toBeLessThan(2 ** 52);
  });

  it('names the whole path in a problem', () => {
    const missing = join(scratch(), 'not\nhere');
    expect(problems(walk([missing]))).toMatchObject([
      { path: '', code: 'ENOENT', message: expect.stringContaining('not\\nhere": no such file') },
    ]);
  });
});

describe('realPath', () => {
  it('resolves every link in a root, in bytes', () => {
    const directory = make(fs.realpathSync(scratch()), ['re\xffal/x']);
    fs.symlinkSync(bytes('re\xffal'), join(directory, 'link'));
    expect(realPath(`${directory}/link/../link`)).toBe(`${directory}/re\xffal`);
    expect(codeOf(() => realPath(`${directory}/none`))).toBe('ENOENT');
    expect(codeOf(() => realPath(''))).toBe('ENOENT');
  });
});

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileStat, OPEN, type Posix } from '../../src/files/posix.ts';
import { SourceTree } from '../../src/files/source-tree.ts';
import { type Existing, TargetTree } from '../../src/files/target-tree.ts';
import { walk } from '../../src/files/walk.ts';
import { faultOfPath } from '../../src/model/entry-path.ts';
import {
  bytes,
  codeOf,
  DRIVERS,
  hasCommand,
  isRoot,
  keepsUserXattrs,
  native,
  need,
  openDescriptors,
  plain,
  random,
  scratch,
} from './scratch.ts';

const ESCAPES = ['/etc/passwd', '../x', 'a/../../x', 'a//b', './a', 'a/', '..', '.', 'a\0b', '\u0161', 'n'.repeat(256)];

/** Every way to make something at `path`. */
function waysToMake(tree: TargetTree, path: string, existing: Existing): readonly (() => unknown)[] {
  return [
    () => tree.makeDirectory(path, existing),
    () => fs.closeSync(tree.createFile(path, existing)),
    () => tree.makeSymlink(path, 'anywhere', existing),
    () => tree.makeHardLink(path, 'original', existing),
    () => tree.makeNode(path, 'fifo', 0, 0, existing),
  ];
}

describe.each(DRIVERS)('TargetTree, $driver', ({ posix }) => {
  const open = (location = scratch()) => new TargetTree(location, posix);

  it('makes private files and directories, links, and what is asked for in them', () => {
    const tree = open();
    expect(tree.makeDirectory('d', 'refuse')).toBe('created');
    expect(tree.makeDirectory('d', 'refuse')).toBe('existed');
    expect(tree.makeDirectory('', 'refuse')).toBe('existed');
    const fd = tree.createFile('d/fi\xffle', 'refuse');
    posix.pwrite(fd, Buffer.from('content'), 0, 7, 0);
    posix.close(fd);
    tree.makeSymlink('d/link', '/etc/\xff', 'refuse');
    tree.makeHardLink('d/second', 'd/fi\xffle', 'refuse');
    tree.makeHardLink('d/link again', 'd/link', 'refuse');
    const mode = (path: string) => fs.lstatSync(bytes(`${tree.location}/${path}`)).mode & 0o777;
    expect([mode('d'), mode('d/fi\xffle')]).toEqual([0o700, 0o600]);
    expect(fs.readFileSync(join(tree.location, 'd/second'), 'utf8')).toBe('content');
    expect(fs.readlinkSync(join(tree.location, 'd/link again'), 'latin1' as 'utf8')).toBe('/etc/\xff');
    expect(tree.names('d')).toEqual(['fi\xffle', 'link', 'link again', 'second'].sort());
    expect(tree.names('')).toEqual(['d']);
    tree.close();
  });

  it('refuses every path that could leave the target, before anything is made', () => {
    const outside = scratch();
    fs.mkdirSync(join(outside, 'target'));
    const tree = open(join(outside, 'target'));
    for (const path of ESCAPES) {
      for (const make of waysToMake(tree, path, 'replace')) expect(codeOf(make), JSON.stringify(path)).toBe('TARGET_PATH_ESCAPES');
      for (const use of [
        () => tree.openFile(path),
        () => tree.remove(path),
        () => tree.names(path),
        () => tree.look(path, new FileStat()),
        () => tree.makeHardLink('x', path, 'refuse'),
      ])
        expect(codeOf(use), JSON.stringify(path)).toBe('TARGET_PATH_ESCAPES');
    }
    expect(codeOf(() => tree.makeParents('../x/y'))).toBe('TARGET_PATH_ESCAPES');
    tree.close();
    expect(fs.readdirSync(outside)).toEqual(['target']);
    expect(fs.readdirSync(join(outside, 'target'))).toEqual([]);
  });

  it('writes nothing through a symlink in the place of a directory, whatever it leads to', () => {
    const outside = scratch();
    fs.mkdirSync(join(outside, 'deep'));
    fs.writeFileSync(join(outside, 'file'), 'untouched');
    for (const [link, below] of [
      [outside, 'l/x'],
      [outside, 'l/deep/x'],
      ['real', 'l/x'],
      ['.', 'l/x'],
      ['nowhere', 'l/x'],
    ] as const) {
      const tree = open();
      fs.mkdirSync(join(tree.location, 'real/deep'), { recursive: true });
      fs.writeFileSync(join(tree.location, 'original'), '');
      fs.symlinkSync(link, join(tree.location, 'l'));
      for (const existing of ['refuse', 'replace'] as const) {
        for (const make of waysToMake(tree, below, existing))
          expect(codeOf(make), `${link} ${below}`).toBe('TARGET_LINK_IN_THE_WAY');
        expect(codeOf(() => tree.openFile(below))).toBe('TARGET_LINK_IN_THE_WAY');
        expect(codeOf(() => tree.remove('l/file'))).toBe('TARGET_LINK_IN_THE_WAY');
        expect(
          codeOf(() =>
            tree.applyAttributes({ path: 'l/file', kind: 'file', mode: 0, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: [] }),
          ),
        ).toBe('TARGET_LINK_IN_THE_WAY');
      }
      expect(codeOf(() => tree.makeParents(below))).toBe('TARGET_LINK_IN_THE_WAY');
      expect(fs.readlinkSync(join(tree.location, 'l'))).toBe(link);
      expect(fs.readdirSync(join(tree.location, 'real'))).toEqual(['deep']);
      tree.close();
    }
    expect(fs.readdirSync(outside).sort()).toEqual(['deep', 'file']);
    expect(fs.readFileSync(join(outside, 'file'), 'utf8')).toBe('untouched');
  });

  it('writes nothing through a symlink in the place of the entry itself', () => {
    const outside = scratch();
    fs.writeFileSync(join(outside, 'file'), 'untouched');
    const tree = open();
    fs.writeFileSync(join(tree.location, 'original'), '');
    fs.symlinkSync(join(outside, 'file'), join(tree.location, 'l'));
    const ways = waysToMake(tree, 'l', 'refuse').slice(0, posix.can.nodes ? 5 : 4);
    for (const make of ways) expect(codeOf(make)).toBe('TARGET_LINK_IN_THE_WAY');
    expect(tree.openFile('l')).toBeUndefined();
    const fd = tree.createFile('l', 'replace');
    posix.pwrite(fd, Buffer.from('new'), 0, 3, 0);
    posix.close(fd);
    expect(fs.readFileSync(join(outside, 'file'), 'utf8')).toBe('untouched');
    expect(fs.lstatSync(join(tree.location, 'l')).isFile()).toBe(true);
    tree.close();
  });

  it('refuses or replaces what else is in the way, but never a directory with content', () => {
    const tree = open();
    fs.writeFileSync(join(tree.location, 'original'), '');
    const inTheWay: readonly (() => void)[] = [
      () => fs.writeFileSync(join(tree.location, 'x'), ''),
      () => fs.mkdirSync(join(tree.location, 'x')),
      () => execFileSync('mkfifo', [join(tree.location, 'x')]),
    ];
    for (const put of inTheWay)
      for (const [way, make] of waysToMake(tree, 'x', 'refuse').entries()) {
        if (way === 4 && !posix.can.nodes) continue;
        fs.rmSync(join(tree.location, 'x'), { recursive: true, force: true });
        put();
        if (way === 0 && fs.lstatSync(join(tree.location, 'x')).isDirectory()) continue;
        const ino = fs.lstatSync(join(tree.location, 'x')).ino;
        expect(codeOf(make)).toBe('TARGET_OCCUPIED');
        expect(fs.lstatSync(join(tree.location, 'x')).ino).toBe(ino);
        expect(codeOf(waysToMake(tree, 'x', 'replace')[way]!)).toBeUndefined();
        if (fs.lstatSync(join(tree.location, 'x')).isDirectory()) expect(way).toBe(0);
      }
    fs.rmSync(join(tree.location, 'x'), { recursive: true, force: true });
    fs.mkdirSync(join(tree.location, 'x/y'), { recursive: true });
    for (const make of waysToMake(tree, 'x', 'replace').slice(1, 4)) expect(codeOf(make)).toBe('TARGET_OCCUPIED');
    expect(codeOf(() => tree.remove('x'))).toBe('TARGET_OCCUPIED');
    expect(codeOf(() => tree.createFile('original/below', 'replace'))).toBe('TARGET_OCCUPIED');
    expect(fs.existsSync(join(tree.location, 'x/y'))).toBe(true);
    tree.close();
  });

  it('opens an old file for changes only when that changes nothing else', () => {
    const outside = scratch();
    fs.writeFileSync(join(outside, 'precious'), 'precious');
    const tree = open();
    const at = (name: string) => join(tree.location, name);
    fs.writeFileSync(at('plain'), 'old');
    fs.linkSync(join(outside, 'precious'), at('shared'));
    fs.symlinkSync('plain', at('link'));
    fs.mkdirSync(at('directory'));
    execFileSync('mkfifo', [at('fifo')]);
    const before = openDescriptors();
    for (const name of ['none', 'shared', 'link', 'directory', 'fifo']) expect(tree.openFile(name), name).toBeUndefined();
    expect(openDescriptors()).toBe(before);
    const fd = tree.openFile('plain')!;
    posix.pwrite(fd, Buffer.from('new'), 0, 3, 0);
    posix.close(fd);
    expect(fs.readFileSync(at('plain'), 'utf8')).toBe('new');
    fs.closeSync(tree.createFile('shared', 'replace'));
    expect(fs.readFileSync(join(outside, 'precious'), 'utf8')).toBe('precious');
    tree.close();
  });

  it('survives the removal of a directory that it had open', () => {
    const tree = open();
    tree.makeDirectory('a', 'refuse');
    tree.makeDirectory('a/b', 'refuse');
    fs.closeSync(tree.createFile('a/b/x', 'refuse'));
    tree.remove('a/b/x');
    tree.remove('a/b');
    tree.remove('a/b');
    expect(codeOf(() => tree.createFile('a/b/x', 'refuse'))).toBe('TARGET_FAILED');
    tree.makeDirectory('a/b', 'refuse');
    fs.closeSync(tree.createFile('a/b/x', 'refuse'));
    expect(fs.existsSync(join(tree.location, 'a/b/x'))).toBe(true);
    expect(tree.look('a/b/x', new FileStat())).toBe('file');
    expect(tree.look('a/none', new FileStat())).toBeUndefined();
    tree.close();
  });

  it('does not make a hard link to itself, which would remove the original', () => {
    const tree = open();
    fs.writeFileSync(join(tree.location, 'x'), 'kept');
    expect(codeOf(() => tree.makeHardLink('x', 'x', 'replace'))).toBe('TARGET_UNSUPPORTED');
    expect(codeOf(() => tree.makeHardLink('y', 'none', 'replace'))).toBe('TARGET_FAILED');
    expect(fs.readFileSync(join(tree.location, 'x'), 'utf8')).toBe('kept');
    tree.close();
  });

  it('makes the missing directories above a path, and refuses a place that is none', () => {
    const tree = open();
    tree.makeParents('a/b/c/file');
    expect(fs.statSync(join(tree.location, 'a/b/c')).isDirectory()).toBe(true);
    expect(fs.existsSync(join(tree.location, 'a/b/c/file'))).toBe(false);
    expect(codeOf(() => open(join(tree.location, 'none')))).toBe('TARGET_NOT_FOUND');
    fs.writeFileSync(join(tree.location, 'file'), '');
    expect(codeOf(() => open(join(tree.location, 'file')))).toBe('TARGET_OCCUPIED');
    expect(codeOf(() => tree.createFile('', 'replace'))).toBe('TARGET_OCCUPIED');
    tree.close();
  });

  it('keeps a bounded number of directories open, and none after', () => {
    const before = openDescriptors();
    const tree = open();
    for (let i = 0; i < 200; i++) {
      tree.makeDirectory(`d${i}`, 'refuse');
      fs.closeSync(tree.createFile(`d${i}/x`, 'refuse'));
      fs.closeSync(tree.createFile(`d${i >> 1}/y${i}`, 'refuse'));
    }
    expect(openDescriptors() - before).toBeLessThan(40);
    tree.close();
    expect(openDescriptors()).toBe(before);
  });

  it('keeps both directories of a hard link open while it makes it', () => {
    const tree = open();
    tree.makeDirectory('first', 'refuse');
    fs.closeSync(tree.createFile('first/original', 'refuse'));
    for (let i = 0; i < 40; i++) {
      tree.makeDirectory(`d${i}`, 'refuse');
      tree.makeHardLink(`d${i}/link`, 'first/original', 'refuse');
      for (let j = 0; j <= i; j++) expect(tree.look(`d${j}/link`, new FileStat())).toBe('file');
    }
    expect(fs.statSync(join(tree.location, 'first/original')).nlink).toBe(41);
    tree.close();
  });

  it('puts nothing outside whatever paths and links it meets', () => {
    const next = random(17);
    const outside = scratch();
    fs.mkdirSync(join(outside, 'a/b'), { recursive: true });
    const names = ['a', 'b', 'c', '..', '.', '', 'l'];
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
    const listing = () => execFileSync('find', [outside, '-printf', '%P %i %s %T@ %C@\\n'], { encoding: 'utf8' });
    const before = listing();
    for (let round = 0; round < 20; round++) {
      const tree = open();
      for (let i = 0; i < 60; i++) {
        const path = Array.from({ length: 1 + Math.floor(next() * 4) }, () => pick(names)).join('/');
        const existing = pick(['refuse', 'replace'] as const);
        const act = pick([
          ...waysToMake(tree, path, existing),
          () => tree.makeDirectory(path, existing),
          () => tree.makeSymlink(path, pick([outside, '..', join(outside, 'a'), '/', 'a/b', '../../..']), existing),
          () => tree.makeHardLink(path, Array.from({ length: 2 }, () => pick(names)).join('/'), existing),
          () => tree.remove(path),
          () =>
            tree.applyAttributes({
              path,
              kind: 'file',
              mode: 0o700,
              uid: process.getuid!(),
              gid: process.getgid!(),
              mtimeSec: 1,
              mtimeNsec: 1,
              xattrs: [],
            }),
        ]);
        const code = codeOf(act);
        expect(code ?? 'TARGET_').toMatch(/^TARGET_/);
        if (faultOfPath(path) !== undefined) expect(code).toBe('TARGET_PATH_ESCAPES');
      }
      tree.close();
    }
    expect(listing()).toBe(before);
  });
});

describe('TargetTree', () => {
  it.runIf(isRoot)('makes fifos, sockets and devices; the plain driver says that it cannot', () => {
    const tree = new TargetTree(scratch(), native);
    tree.makeNode('fifo', 'fifo', 0, 0, 'refuse');
    tree.makeNode('socket', 'socket', 0, 0, 'refuse');
    tree.makeNode('tty', 'character-device', 5, 1, 'refuse');
    tree.makeNode('disk', 'block-device', 8, 300, 'refuse');
    const found = [...walk([tree.location])].map((item) =>
      item.kind === 'problem' ? item.message : [item.path, item.kind, item.rdevMajor, item.rdevMinor],
    );
    expect(found.slice(1)).toEqual([
      ['disk', 'block-device', 8, 300],
      ['fifo', 'fifo', 0, 0],
      ['socket', 'socket', 0, 0],
      ['tty', 'character-device', 5, 1],
    ]);
    tree.close();
    const poor = new TargetTree(scratch(), plain);
    expect(codeOf(() => poor.makeNode('fifo', 'fifo', 0, 0, 'refuse'))).toBe('TARGET_UNSUPPORTED');
    poor.close();
  });

  it('holds on to a directory that is swapped for a symlink while it works in it', () => {
    const outside = scratch();
    const location = scratch();
    for (const posix of DRIVERS.map((d) => d.posix).filter((p) => p.can.atomicPaths)) {
      const tree = new TargetTree(location, posix);
      tree.makeDirectory('d', 'refuse');
      fs.closeSync(tree.createFile('d/first', 'replace'));
      fs.renameSync(join(location, 'd'), join(location, 'moved'));
      fs.symlinkSync(outside, join(location, 'd'));
      fs.closeSync(tree.createFile('d/second', 'replace'));
      expect(fs.readdirSync(outside)).toEqual([]);
      expect(fs.readdirSync(join(location, 'moved')).sort()).toEqual(['first', 'second']);
      tree.close();
      fs.unlinkSync(join(location, 'd'));
      fs.rmSync(join(location, 'moved'), { recursive: true });
    }
  });

  it.runIf(isRoot)('names a full target, a read-only one and one of somebody else', (context) => {
    const location = scratch();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=5', 'none', location], { stdio: 'ignore' });
    } catch {
      need(context, false, 'the right to mount');
    }
    try {
      const tree = new TargetTree(location, native);
      const fill = () => {
        for (let i = 0; i < 10; i++) fs.closeSync(tree.createFile(`f${i}`, 'refuse'));
      };
      expect(codeOf(fill)).toBe('TARGET_FULL');
      execFileSync('mount', ['-o', 'remount,ro', location]);
      expect(codeOf(() => tree.makeDirectory('x', 'refuse'))).toBe('TARGET_DENIED');
      tree.close();
    } finally {
      execFileSync('umount', [location]);
    }
  });

  it('restores below paths that are longer than PATH_MAX', () => {
    const tree = new TargetTree(scratch(), native);
    let path = '';
    for (let i = 0; i < 40; i++) {
      path += `${path === '' ? '' : '/'}${'p'.repeat(200)}`;
      tree.makeDirectory(path, 'refuse');
    }
    fs.closeSync(tree.createFile(`${path}/file`, 'refuse'));
    tree.makeSymlink(`${path}/link`, 'x', 'refuse');
    const problems = tree.applyAttributes({
      path: `${path}/link`,
      kind: 'symlink',
      mode: 0o777,
      uid: process.getuid!(),
      gid: process.getgid!(),
      mtimeSec: 7,
      mtimeNsec: 8,
      xattrs: [],
    });
    expect(problems).toEqual([]);
    const last = [...walk([tree.location])].at(-1)!;
    expect(last).toMatchObject({ path: `${path}/link`, kind: 'symlink', mtimeSec: 7, mtimeNsec: 8 });
    const source = new SourceTree(tree.location, native);
    fs.closeSync(source.openFile(`${path}/file`));
    expect(source.readXattrs(`${path}/link`).filter(({ name }) => !name.startsWith('security.'))).toEqual([]);
    source.close();
    tree.close();
  });
});

describe.each(DRIVERS)('a tree of every kind, read and made again, $driver', ({ posix }) => {
  it('is the same tree', () => {
    const location = scratch();
    const kinds = makeEverything(location, posix);
    const target = scratch();
    expect(copyTree(location, target, posix)).toEqual([]);
    const shape = (root: string) =>
      [...walk([root], { posix: native })].map((item) => {
        if (item.kind === 'problem') throw new Error(item.message);
        const { path, kind, mode, uid, gid, sizeBytes, mtimeSec, mtimeNsec, links, rdevMajor, rdevMinor, linkTarget } = item;
        const xattrs = posix.can.xattrs
          ? new SourceTree(root, native).readXattrs(path).map(({ name, value }) => [name, Buffer.from(value).toString('hex')])
          : [];
        const content = kind === 'file' ? fs.readFileSync(bytes(`${root}/${path}`), 'latin1') : '';
        return {
          path,
          kind,
          mode,
          uid,
          gid,
          sizeBytes,
          mtimeSec,
          mtimeNsec: posix.can.nanoseconds ? mtimeNsec : 0,
          links,
          rdevMajor,
          rdevMinor,
          linkTarget,
          xattrs,
          content,
        };
      });
    const [before, after] = [shape(location), shape(target)];
    expect(after).toEqual(before);
    expect(before.length).toBe(kinds);
  });
});

/** Answers how many entries there are, the root included. */
function makeEverything(root: string, posix: Posix): number {
  const at = (name: string) => bytes(`${root}/${name}`);
  for (const name of ['-x', 'new\nline', '\xff\xfe', 'trailing ', 'x'.repeat(255), 'run me'])
    fs.writeFileSync(at(name), `content of ${name}`, 'latin1');
  fs.chmodSync(at('run me'), 0o755);
  fs.mkdirSync(at('d\xff'));
  fs.mkdirSync(at('d\xff/empty'), 0o511);
  fs.linkSync(at('-x'), at('d\xff/hard link'));
  fs.symlinkSync(bytes('../\xff\xfe'), at('d\xff/link'));
  fs.symlinkSync('/nowhere', at('dangling'));
  let count = 1 + 6 + 2 + 1 + 2;
  if (posix.can.nodes) {
    execFileSync('mkfifo', [`${root}/fifo`]);
    count++;
  }
  if (posix.can.nodes && isRoot) {
    execFileSync('mknod', [`${root}/device`, 'c', '1', '3']);
    execFileSync('mknod', [`${root}/disk`, 'b', '7', '300']);
    fs.chownSync(at('run me'), 1234, 5678);
    fs.chmodSync(at('run me'), 0o6755);
    fs.lchownSync(at('dangling'), 4321, 8765);
    count += 2;
  }
  if (posix.can.xattrs && hasCommand('setfacl') && keepsUserXattrs(root)) {
    execFileSync('setfattr', ['-n', 'user.label', '-v', 'yes', `${root}/-x`]);
    execFileSync('setfacl', ['-m', 'u:1234:rw-', `${root}/run me`]);
    execFileSync('setfacl', ['-R', '-m', 'u:77:r-x', '--', root]);
    execFileSync('setfacl', ['-d', '-m', 'u:77:r-x', root]);
  }
  execFileSync('touch', ['-hd', '2009-02-13 23:31:30.123456789Z', '--', `${root}/-x`, `${root}/dangling`]);
  execFileSync('touch', ['-d', '1955-11-05 06:15:00.5Z', root]);
  return count;
}

/** What a backup and a restore do, without the repository between them. Answers all problems. */
function copyTree(from: string, to: string, posix: Posix): unknown[] {
  const source = new SourceTree(from, posix);
  const target = new TargetTree(to, posix);
  const problems: unknown[] = [];
  const directories: (() => void)[] = [];
  const originals = new Map<string, string>();
  for (const item of walk([from], { posix })) {
    if (item.kind === 'problem') {
      problems.push(item);
      continue;
    }
    const wanted = { ...item, xattrs: source.readXattrs(item.path) };
    const apply = (fd?: number) => problems.push(...target.applyAttributes(wanted, fd));
    const original = originals.get(item.hardLinkKey);
    if (original !== undefined) {
      target.makeHardLink(item.path, original, 'refuse');
      continue;
    }
    if (item.hardLinkKey !== '') originals.set(item.hardLinkKey, item.path);
    if (item.kind === 'directory') {
      target.makeDirectory(item.path, 'refuse');
      directories.push(apply);
    } else if (item.kind === 'symlink') {
      target.makeSymlink(item.path, item.linkTarget, 'refuse');
      apply();
    } else if (item.kind === 'file') {
      const [input, output] = [source.openFile(item.path), target.createFile(item.path, 'refuse')];
      const buffer = new Uint8Array(item.sizeBytes);
      posix.pwrite(output, buffer, 0, posix.pread(input, buffer, 0, buffer.length, 0), 0);
      apply(output);
      posix.close(input);
      posix.close(output);
    } else {
      target.makeNode(item.path, item.kind, item.rdevMajor, item.rdevMinor, 'refuse');
      apply();
    }
  }
  for (const apply of directories.reverse()) apply();
  source.close();
  target.close();
  return problems;
}

describe('SourceTree', () => {
  it('reads without a trace, and not through what became a link', () => {
    const location = scratch();
    const outside = scratch();
    fs.writeFileSync(join(outside, 'x'), 'secret');
    fs.mkdirSync(join(location, 'd'));
    fs.writeFileSync(join(location, 'd/x'), 'content');
    fs.utimesSync(join(location, 'd/x'), 1, 1);
    for (const { posix } of DRIVERS) {
      const source = new SourceTree(location, posix);
      const fd = source.openFile('d/x');
      const buffer = new Uint8Array(7);
      expect(posix.pread(fd, buffer, 0, 7, 0)).toBe(7);
      posix.close(fd);
      expect(fs.statSync(join(location, 'd/x')).atimeMs).toBe(1000);
      source.close();
      fs.renameSync(join(location, 'd'), join(location, 'e'));
      fs.symlinkSync(outside, join(location, 'd'));
      expect(codeOf(() => source.openFile('d/x'))).toBe('ELOOP');
      source.close();
      fs.unlinkSync(join(location, 'd'));
      fs.renameSync(join(location, 'e'), join(location, 'd'));
    }
  });

  it('reads a root that is a file, and waits for no fifo', () => {
    const location = scratch();
    fs.writeFileSync(join(location, 'file'), 'content');
    execFileSync('mkfifo', [join(location, 'fifo')]);
    for (const { posix } of DRIVERS) {
      const root = new SourceTree(join(location, 'file'), posix);
      const fd = root.openFile('');
      expect(posix.sizeOf(fd)).toBe(7);
      posix.close(fd);
      expect(root.readXattrs('').filter(({ name }) => !name.startsWith('security.'))).toEqual([]);
      root.close();
      const tree = new SourceTree(location, posix);
      posix.close(tree.openFile('fifo'));
      expect(codeOf(() => tree.openFile('none'))).toBe('ENOENT');
      tree.close();
    }
  });

  it.runIf(isRoot)('reads the files of others without root, where only the access time is refused', () => {
    const location = scratch();
    fs.chmodSync(location, 0o755);
    fs.writeFileSync(join(location, 'x'), 'readable');
    fs.chmodSync(join(location, 'x'), 0o644);
    const script = `
      import { SourceTree } from '${new URL('../../src/files/source-tree.ts', import.meta.url).href}';
      import fs from 'node:fs';
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      console.log(fs.readFileSync(new SourceTree(${JSON.stringify(location)}).openFile('x'), 'utf8'));`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })).toBe('readable\n');
  });
});

it('has no use for flags that the platform lacks', () => {
  for (const flag of Object.values(OPEN)) expect(flag).toBeTypeOf('number');
});

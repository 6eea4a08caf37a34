import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileStat, HERE, OPEN, type Posix, TYPE, TYPE_MASK } from '../../src/files/posix.ts';
import { posixCalls } from '../../src/files/posix-calls.ts';
import { codeOfErrno, messageOf } from '../../src/files/posix-error.ts';
import { bytes, codeOf, DRIVERS, isRoot, keepsUserXattrs, native, need, openDescriptors, plain, scratch } from './scratch.ts';

// A test may read into the memory of a kernel; its types belong to the browser's library.
declare const WebAssembly: { readonly Memory: new (options: { readonly initial: number }) => { readonly buffer: ArrayBuffer } };

const ODD_NAMES = [
  '-rf',
  ' ',
  'trailing ',
  'new\nline',
  'tab\t',
  '\xff\xfe\x80',
  '\x01',
  '*',
  '"',
  "'",
  '\\',
  'ä',
  '...',
  'x'.repeat(255),
  '\xe9'.repeat(255),
];

function lstat(posix: Posix, at: number, name: string): FileStat {
  const stat = new FileStat();
  posix.lstat(at, name, stat);
  return stat;
}

function write(path: string, content = ''): string {
  fs.writeFileSync(bytes(path), content);
  return path;
}

describe.each(DRIVERS)('$driver', ({ posix }) => {
  it('sees of an entry exactly what stat sees', () => {
    const directory = scratch();
    write(join(directory, 'file'), 'x'.repeat(10_000));
    fs.chmodSync(join(directory, 'file'), 0o4750);
    fs.linkSync(join(directory, 'file'), join(directory, 'other name'));
    fs.symlinkSync('nowhere', join(directory, 'link'));
    execFileSync('mkfifo', [join(directory, 'fifo')]);
    execFileSync('touch', ['-hd', '2001-02-03 04:05:06.123456789Z', join(directory, 'link')]);
    execFileSync('touch', ['-d', '1960-01-01 00:00:00.000000001Z', join(directory, 'fifo')]);
    for (const path of ['', 'file', 'link', 'fifo'].map((name) => join(directory, name)).concat('/dev/null', '/proc/self/exe')) {
      const expected = fs.lstatSync(path, { bigint: true });
      const s = lstat(posix, HERE, path);
      expect(BigInt(s.mtimeSec) * 1_000_000_000n + BigInt(s.mtimeNsec)).toBe(expected.mtimeNs);
      expect(BigInt(s.ctimeSec) * 1_000_000_000n + BigInt(s.ctimeNsec)).toBe(expected.ctimeNs);
      expect([s.mode, s.uid, s.gid, s.sizeBytes, s.links, s.blocks, s.device].map(BigInt)).toEqual([
        expected.mode,
        expected.uid,
        expected.gid,
        expected.size,
        expected.nlink,
        expected.blocks,
        expected.dev,
      ]);
      expect((BigInt(s.inodeHigh) << 32n) | BigInt(s.inodeLow)).toBe(expected.ino);
    }
    const [major, minor] = [lstat(posix, HERE, '/dev/null').rdevMajor, lstat(posix, HERE, '/dev/null').rdevMinor];
    expect([major, minor]).toEqual([1, 3]);
  });

  it('lists, opens and looks at names that are any bytes', () => {
    const location = scratch();
    for (const name of ODD_NAMES) write(`${location}/${name}`, name);
    const directory = posix.openDirectory(HERE, location, 'refuse');
    const names: string[] = [];
    posix.readNames(directory, names);
    expect(names.sort()).toEqual([...ODD_NAMES].sort());
    for (const name of names) {
      expect(lstat(posix, directory, name).sizeBytes).toBe(Buffer.byteLength(name));
      const fd = posix.open(directory, name, OPEN.read, 0);
      const buffer = Buffer.alloc(1000);
      expect(buffer.subarray(0, posix.pread(fd, buffer, 0, 1000, 0)).toString()).toBe(name);
      posix.close(fd);
    }
    posix.close(directory);
  });

  it('lists a directory that needs many reads of the kernel', () => {
    const location = scratch();
    const expected = Array.from({ length: 3000 }, (_, i) => `${i}-${'n'.repeat(i % 200)}`);
    for (const name of expected) write(join(location, name));
    const directory = posix.openDirectory(HERE, location, 'refuse');
    const names: string[] = [];
    posix.readNames(directory, names);
    posix.close(directory);
    expect(names.sort()).toEqual(expected.sort());
  });

  it('refuses names that would be cut or changed on the way to the kernel', () => {
    const directory = scratch();
    write(join(directory, 'a'));
    for (const name of ['a\0b', 'a\u0100', '\0']) {
      expect(codeOf(() => lstat(posix, HERE, `${directory}/${name}`))).toBe('EINVAL');
      expect(codeOf(() => posix.open(HERE, `${directory}/${name}`, OPEN.write | OPEN.create, 0o600))).toBe('EINVAL');
    }
    expect(fs.readdirSync(directory)).toEqual(['a']);
  });

  it('names what went wrong by its errno', () => {
    const directory = scratch();
    write(join(directory, 'file'));
    fs.symlinkSync('file', join(directory, 'link'));
    fs.symlinkSync('.', join(directory, 'here'));
    const at = posix.openDirectory(HERE, directory, 'refuse');
    expect(codeOf(() => lstat(posix, at, 'none'))).toBe('ENOENT');
    expect(codeOf(() => lstat(posix, at, 'file/below'))).toBe('ENOTDIR');
    expect(codeOf(() => posix.mkdir(at, 'file', 0o700))).toBe('EEXIST');
    expect(codeOf(() => posix.rmdir(at, 'file'))).toBe('ENOTDIR');
    expect(codeOf(() => posix.readlink(at, 'file'))).toBe('EINVAL');
    expect(codeOf(() => posix.open(at, 'link', OPEN.read, 0))).toBe('ELOOP');
    expect(codeOf(() => posix.openDirectory(at, 'here', 'refuse'))).toBe('ELOOP');
    expect(codeOf(() => posix.openDirectory(at, 'file', 'refuse'))).toBe('ENOTDIR');
    expect(codeOf(() => lstat(posix, at, 'x'.repeat(256)))).toBe('ENAMETOOLONG');
    expect(codeOf(() => posix.close(9999))).toBe('EBADF');
    expect(() => lstat(posix, at, 'none')).toThrow(/lstat "none": no such file or directory \(ENOENT\)/);
    posix.close(posix.openDirectory(at, 'here', 'follow'));
    posix.close(at);
  });

  it('opens beneath a directory and never through a symlink or out of it', () => {
    const directory = scratch();
    const outside = scratch();
    fs.mkdirSync(join(directory, 'a/b'), { recursive: true });
    write(join(directory, 'a/b/file'), 'inside');
    write(join(outside, 'file'), 'outside');
    fs.symlinkSync(outside, join(directory, 'a/absolute'));
    fs.symlinkSync('../..', join(directory, 'a/b/up'));
    fs.symlinkSync('b', join(directory, 'a/harmless'));
    fs.symlinkSync('file', join(directory, 'a/b/link'));
    const before = openDescriptors();
    const root = posix.openDirectory(HERE, directory, 'refuse');
    const file = posix.openBeneath(root, 'a/b/file', OPEN.read, 0);
    const buffer = new Uint8Array(6);
    expect(posix.pread(file, buffer, 0, 6, 0)).toBe(6);
    expect(Buffer.from(buffer).toString()).toBe('inside');
    for (const path of ['a/absolute/file', 'a/b/up/a', 'a/harmless/file', 'a/b/link', 'a/absolute'])
      expect(
        codeOf(() => posix.openBeneath(root, path, OPEN.read, 0)),
        path,
      ).toBe('ELOOP');
    expect(codeOf(() => posix.openBeneath(root, 'a/absolute', OPEN.directory, 0))).toBe('ELOOP');
    expect(codeOf(() => posix.openBeneath(root, '../x', OPEN.read, 0))).toBe('EXDEV');
    expect(codeOf(() => posix.openBeneath(root, `${outside}/file`, OPEN.read, 0))).toBe('EXDEV');
    expect(codeOf(() => posix.openBeneath(root, 'a/absolute/new', OPEN.write | OPEN.create, 0o600))).toBe('ELOOP');
    expect(codeOf(() => posix.openBeneath(root, 'a/b/link', OPEN.write | OPEN.create, 0o600))).toBe('ELOOP');
    expect(fs.readdirSync(outside)).toEqual(['file']);
    const below = posix.openBeneath(root, 'a/b', OPEN.directory, 0);
    expect(lstat(posix, below, 'file').sizeBytes).toBe(6);
    const made = posix.openBeneath(root, 'a/b/new', OPEN.readWrite | OPEN.create | OPEN.exclusive, 0o640);
    expect(lstat(posix, made, '').mode & 0o777).toBe(0o640 & ~process.umask());
    for (const fd of [file, below, made, root]) posix.close(fd);
    expect(openDescriptors()).toBe(before);
  });

  it('reads and writes at positions, whole or to the end, from and into any part of a buffer', () => {
    const path = join(scratch(), 'file');
    const fd = posix.open(HERE, path, OPEN.readWrite | OPEN.create, 0o600);
    posix.pwrite(fd, Buffer.from('..hello world..'), 2, 11, 5);
    expect(fs.readFileSync(path, 'latin1')).toBe('\0\0\0\0\0hello world');
    const shared = new Uint8Array(new SharedArrayBuffer(64), 8, 32);
    expect(posix.pread(fd, shared, 4, 28, 5)).toBe(11);
    expect(String.fromCharCode(...shared.subarray(4, 15))).toBe('hello world');
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer);
    expect(posix.pread(fd, memory, 60_000, 5, 11)).toBe(5);
    expect(Buffer.from(memory.subarray(60_000, 60_005)).toString()).toBe('world');
    expect(posix.pread(fd, memory, 0, 10, 16)).toBe(0);
    expect(posix.read(fd, memory, 0, 7)).toBe(7);
    expect(posix.read(fd, memory, 7, 100)).toBe(9);
    expect(posix.read(fd, memory, 0, 100)).toBe(0);
    expect(Buffer.from(memory.subarray(5, 16)).toString()).toBe('hello world');
    posix.truncate(fd, 3);
    expect(posix.sizeOf(fd)).toBe(3);
    posix.pwrite(fd, Buffer.from('x'), 0, 1, 5_000_000_000);
    expect(posix.sizeOf(fd)).toBe(5_000_000_001);
    expect(lstat(posix, fd, '').sizeBytes).toBe(5_000_000_001);
    posix.syncFileSystem(fd);
    posix.close(fd);
  });

  it('makes, links, renames and removes', () => {
    const location = scratch();
    const at = posix.openDirectory(HERE, location, 'refuse');
    posix.mkdir(at, 'd\xff', 0o700);
    posix.symlink('tar\xffget\n', at, 'd\xff/link');
    expect(posix.readlink(at, 'd\xff/link')).toBe('tar\xffget\n');
    write(`${location}/one`);
    posix.link(at, 'one', at, 'two');
    posix.link(at, 'd\xff/link', at, 'second link'); // the link itself, not what it leads to
    expect(lstat(posix, at, 'second link').mode & TYPE_MASK).toBe(TYPE.symlink);
    expect(lstat(posix, at, 'two').links).toBe(2);
    posix.rename(at, 'two', at, 'd\xff/three');
    posix.unlink(at, 'one');
    expect(codeOf(() => posix.rmdir(at, 'd\xff'))).toBe('ENOTEMPTY');
    posix.unlink(at, 'd\xff/three');
    posix.unlink(at, 'd\xff/link');
    posix.rmdir(at, 'd\xff');
    posix.close(at);
    expect(fs.readdirSync(location)).toEqual(['second link']);
  });

  it('sets mode and time of a name, of a symlink itself and of an open file', () => {
    const location = scratch();
    write(join(location, 'file'));
    fs.symlinkSync('file', join(location, 'link'));
    const at = posix.openDirectory(HERE, location, 'refuse');
    const tolerance = posix.can.nanoseconds ? 0 : 1000;
    const mtime = (at: number, name: string) => {
      const { mtimeSec, mtimeNsec } = lstat(posix, at, name);
      return { mtimeSec, exact: Math.abs(mtimeNsec - 987_654_321) <= tolerance };
    };
    fs.utimesSync(join(location, 'file'), 86_400, 0);
    posix.chmod(at, 'file', 0o2751);
    expect(codeOf(() => posix.chmod(at, 'link', 0o777))).toBe('ENOTSUP');
    posix.setMtime(at, 'file', 1_234_567_890, 987_654_321);
    posix.setMtime(at, 'link', -5, 987_654_321);
    expect(lstat(posix, at, 'file').mode).toBe(TYPE.file | 0o2751);
    expect(fs.statSync(join(location, 'file')).atimeMs).toBe(86_400_000);
    expect(mtime(at, 'file')).toEqual({ mtimeSec: 1_234_567_890, exact: true });
    expect(mtime(at, 'link')).toEqual({ mtimeSec: -5, exact: true });
    const fd = posix.open(at, 'file', OPEN.readWrite, 0);
    posix.chmod(fd, '', 0o600);
    posix.setMtime(fd, '', 4_400_000_000, 987_654_321);
    expect(lstat(posix, fd, '').mode).toBe(TYPE.file | 0o600);
    expect(mtime(fd, '')).toEqual({ mtimeSec: 4_400_000_000, exact: true });
    expect(fs.statSync(join(location, 'file')).atimeMs).toBe(86_400_000);
    posix.close(fd);
    posix.close(at);
  });

  it.runIf(isRoot)('sets owners without following', () => {
    const location = scratch();
    write(join(location, 'file'));
    fs.symlinkSync('file', join(location, 'link'));
    const at = posix.openDirectory(HERE, location, 'refuse');
    posix.chown(at, 'link', 4_000_000_000, 12);
    expect(lstat(posix, at, 'link')).toMatchObject({ uid: 4_000_000_000, gid: 12 });
    expect(lstat(posix, at, 'file')).toMatchObject({ uid: 0, gid: 0 });
    const fd = posix.open(at, 'file', OPEN.read, 0);
    posix.chown(fd, '', 7, 8);
    expect(lstat(posix, at, 'file')).toMatchObject({ uid: 7, gid: 8 });
    posix.close(fd);
    posix.close(at);
  });
});

describe.each(DRIVERS.filter(({ posix }) => posix.driver === 'native'))('$driver', ({ posix }) => {
  it('opens files whose path is longer than PATH_MAX', () => {
    const location = scratch();
    const root = posix.openDirectory(HERE, location, 'refuse');
    const component = 'd'.repeat(200);
    const before = openDescriptors();
    let [at, path] = [root, ''];
    for (let depth = 0; depth < 50; depth++) {
      posix.mkdir(at, component, 0o700);
      const next = posix.openDirectory(at, component, 'refuse');
      if (at !== root) posix.close(at);
      at = next;
      path += `${component}/`;
    }
    posix.close(posix.openBeneath(root, `${path}file`, OPEN.write | OPEN.create, 0o600));
    posix.close(posix.open(HERE, `${location}/${path}file`, OPEN.read, 0));
    expect(codeOf(() => posix.open(HERE, `${location}/${path}none`, OPEN.read, 0))).toBe('ENOENT');
    expect(codeOf(() => posix.openBeneath(root, `${path}none/x`, OPEN.read, 0))).toBe('ENOENT');
    const names: string[] = [];
    posix.readNames(at, names);
    expect(names).toEqual(['file']);
    posix.close(at);
    expect(openDescriptors()).toBe(before);
    posix.close(root);
  });
});

describe('native', () => {
  it.runIf(isRoot)('makes fifos, sockets and devices, and no device with another number than asked for', () => {
    const location = scratch();
    const at = native.openDirectory(HERE, location, 'refuse');
    native.mknod(at, 'fifo', TYPE.fifo | 0o600, 0, 0);
    native.mknod(at, 'socket', TYPE.socket | 0o600, 0, 0);
    native.mknod(at, 'character', TYPE.characterDevice | 0o600, 4095, 1_048_575);
    native.mknod(at, 'block', TYPE.blockDevice | 0o600, 259, 70_000);
    expect(lstat(native, at, 'character')).toMatchObject({ rdevMajor: 4095, rdevMinor: 1_048_575 });
    expect(lstat(plain, HERE, join(location, 'block'))).toMatchObject({ rdevMajor: 259, rdevMinor: 70_000 });
    expect(execFileSync('stat', ['-c', '%F %t %T', join(location, 'block')], { encoding: 'utf8' })).toBe(
      'block special file 103 11170\n',
    );
    expect(lstat(native, at, 'fifo').mode & TYPE_MASK).toBe(TYPE.fifo);
    expect(lstat(native, at, 'socket').mode & TYPE_MASK).toBe(TYPE.socket);
    expect(codeOf(() => native.mknod(at, 'wide', TYPE.blockDevice, 4096, 0))).toBe('EINVAL');
    expect(codeOf(() => native.mknod(at, 'wide', TYPE.blockDevice, 0, 1_048_576))).toBe('EINVAL');
    native.close(at);
  });

  it('keeps attributes of any bytes, of links too, by name, below a directory and by descriptor', (context) => {
    const location = scratch();
    need(context, keepsUserXattrs(location), 'user xattrs in the temporary directory');
    write(join(location, 'file'));
    const big = new Uint8Array(3000).fill(7);
    const at = native.openDirectory(HERE, location, 'refuse');
    native.setXattr(HERE, join(location, 'file'), 'user.a\xff', new Uint8Array());
    native.setXattr(at, 'file', 'user.big', big);
    const fd = native.open(at, 'file', OPEN.read, 0);
    native.setXattr(fd, '', 'user.zero', new Uint8Array([0, 1, 0]));
    for (const [a, n] of [
      [HERE, join(location, 'file')],
      [at, 'file'],
      [fd, ''],
    ] as const) {
      expect([...native.listXattrs(a, n)].filter((name) => name.startsWith('user.')).sort()).toEqual(
        ['user.a\xff', 'user.big', 'user.zero'].sort(),
      );
      expect(native.getXattr(a, n, 'user.big')).toEqual(big);
      expect(native.getXattr(a, n, 'user.a\xff')).toEqual(new Uint8Array());
      expect(native.getXattr(a, n, 'user.none')).toBeUndefined();
    }
    native.removeXattr(at, 'file', 'user.big');
    native.removeXattr(fd, '', 'user.big');
    expect(native.getXattr(at, 'file', 'user.big')).toBeUndefined();
    expect(
      execFileSync('getfattr', ['--absolute-names', '-n', 'user.zero', '-e', 'hex', join(location, 'file')], { encoding: 'utf8' }),
    ).toContain('user.zero=0x000100');
    native.close(fd);
    native.close(at);
  });

  it('answers no attributes where the file system has none, and says so when one is to be set', () => {
    expect(native.listXattrs(HERE, '/proc/self/status')).toEqual([]);
    expect(codeOf(() => native.setXattr(HERE, '/proc/self/status', 'user.a', new Uint8Array(1)))).toMatch(/ENOTSUP|EACCES|EPERM/);
  });

  it('sees a fifo in the place of a file without waiting for its writer', () => {
    const location = scratch();
    execFileSync('mkfifo', [join(location, 'fifo')]);
    const fd = native.open(HERE, join(location, 'fifo'), OPEN.read | OPEN.nonBlocking, 0);
    expect(lstat(native, fd, '').mode & TYPE_MASK).toBe(TYPE.fifo);
    native.close(fd);
  });

  it('shares its descriptors with Node', () => {
    const path = write(join(scratch(), 'file'), 'content');
    const fd = native.open(HERE, path, OPEN.read, 0);
    expect(fs.readFileSync(fd, 'utf8')).toBe('content');
    fs.closeSync(fd);
    expect(codeOf(() => native.close(fd))).toBe('EBADF');
  });

  it('hands no descriptor down to programs that are started meanwhile', () => {
    const location = scratch();
    const path = write(join(location, 'file'), 'secret');
    fs.mkdirSync(join(location, 'below'));
    const root = native.openDirectory(HERE, location, 'refuse');
    const open = [
      root,
      native.open(HERE, path, OPEN.read, 0),
      native.openBeneath(root, 'file', OPEN.read, 0),
      native.openBeneath(root, 'below', OPEN.directory, 0),
    ];
    const inherited = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    expect(inherited).not.toContain(location);
    for (const fd of open) native.close(fd);
  });
});

describe('plain', () => {
  it('says what it cannot do, and fails loudly when asked to', () => {
    const location = scratch();
    const path = write(join(location, 'file'), 'x');
    expect(plain.can).toEqual({ xattrs: false, nodes: false, holes: false, nanoseconds: false, atomicPaths: false });
    expect(codeOf(() => plain.mknod(HERE, join(location, 'fifo'), TYPE.fifo, 0, 0))).toBe('ENOTSUP');
    expect(codeOf(() => plain.setXattr(HERE, path, 'user.a', new Uint8Array(1)))).toBe('ENOTSUP');
    expect(plain.listXattrs(HERE, path)).toEqual([]);
  });
});

it('chooses the native calls where they can be had, and binds once', () => {
  expect(posixCalls().driver).toBe('native');
  expect(posixCalls()).toBe(posixCalls());
  expect(posixCalls('plain').driver).toBe('plain');
  expect(posixCalls('plain')).toBe(posixCalls('plain'));
});

it('knows the errnos that Node does not', () => {
  expect([2, 11, 95, 117, 116, 61, 9999].map(codeOfErrno)).toEqual([
    'ENOENT',
    'EAGAIN',
    'ENOTSUP',
    'EUCLEAN',
    'ESTALE',
    'ENODATA',
    'E9999',
  ]);
  expect(messageOf('EUCLEAN')).toContain('damaged');
  expect(messageOf('EACCES')).toBe('permission denied');
});

it('looks at a socket that a server made', async () => {
  const path = join(scratch(), 'socket');
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  for (const { posix } of DRIVERS) expect(lstat(posix, HERE, path).mode & TYPE_MASK).toBe(TYPE.socket);
  await new Promise((resolve) => server.close(resolve));
});

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AttributeProblem, type Attributes, applyAttributes, NO_XATTRS, readXattrs } from '../../src/files/attributes.ts';
import { FileStat, HERE, OPEN, type Posix, TYPE } from '../../src/files/posix.ts';
import { PosixError } from '../../src/files/posix-error.ts';
import type { Xattr } from '../../src/model/entry.ts';
import { DRIVERS, isRoot, keepsUserXattrs, native, need, needAcls, plain, scratch } from './scratch.ts';

const BASE: Attributes = {
  path: 'x',
  kind: 'file',
  mode: 0o640,
  uid: 0,
  gid: 0,
  mtimeSec: 1_000_000_000,
  mtimeNsec: 123_456_789,
  xattrs: NO_XATTRS,
};

function lstat(path: string): FileStat {
  const stat = new FileStat();
  native.lstat(HERE, path, stat);
  return stat;
}

function file(name = 'x'): string {
  const path = join(scratch(), name);
  fs.writeFileSync(path, 'content');
  return path;
}

const mine = { uid: process.getuid!(), gid: process.getgid!() };
const run = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' });

/** `native` as it would be with another outcome of one call. */
function nativeExcept(overrides: Partial<Posix>): Posix {
  const bound = new Proxy(native, {
    get: (target, key) => (overrides as Record<PropertyKey, unknown>)[key] ?? bind(Reflect.get(target, key, target), target),
  });
  return bound;
}
const bind = (value: unknown, target: Posix): unknown => (typeof value === 'function' ? value.bind(target) : value);

describe('readXattrs', () => {
  it('reads all attributes in the order of their names, ACLs included', (context) => {
    const path = file();
    needAcls(context, join(path, '..'));
    run('setfattr', '-n', 'user.zeta', '-v', 'last', path);
    run('setfattr', '-n', 'user.alpha', '-v', '0x00ff00', path);
    run('setfacl', '-m', 'u:1234:rwx', path);
    const xattrs = readXattrs(native, HERE, path).filter(({ name }) => !name.startsWith('security.'));
    expect(xattrs.map(({ name }) => name)).toEqual(['system.posix_acl_access', 'user.alpha', 'user.zeta']);
    expect(xattrs[1]!.value).toEqual(new Uint8Array([0, 255, 0]));
    const fd = native.open(HERE, path, OPEN.read, 0);
    expect(readXattrs(native, fd, '').filter(({ name }) => !name.startsWith('security.'))).toEqual(xattrs);
    native.close(fd);
  });

  it('shares one empty list among all entries without attributes', () => {
    expect(readXattrs(native, HERE, '/proc/self/status')).toBe(NO_XATTRS);
    expect(readXattrs(plain, HERE, '/')).toBe(NO_XATTRS);
  });

  it('passes over an attribute that vanishes between the list and the reading', () => {
    const posix = nativeExcept({
      listXattrs: () => ['user.gone', 'user.here'],
      getXattr: (_at, _name, attribute) => (attribute === 'user.here' ? new Uint8Array([1]) : undefined),
    });
    expect(readXattrs(posix, HERE, '/')).toEqual([{ name: 'user.here', value: new Uint8Array([1]) }]);
  });
});

describe.each(DRIVERS)('applyAttributes, $driver', ({ posix }) => {
  it('sets mode and time by name and by descriptor, and leaves the content alone', () => {
    const tolerance = posix.can.nanoseconds ? 0 : 1000;
    for (const open of [false, true]) {
      const path = file();
      const fd = open ? posix.open(HERE, path, OPEN.readWrite, 0) : HERE;
      expect(applyAttributes(posix, fd, open ? '' : path, { ...BASE, ...mine, mode: 0o4555 })).toEqual([]);
      const stat = lstat(path);
      expect(stat.mode & 0o7777).toBe(0o4555);
      expect(stat.mtimeSec).toBe(BASE.mtimeSec);
      expect(Math.abs(stat.mtimeNsec - BASE.mtimeNsec)).toBeLessThanOrEqual(tolerance);
      if (open) posix.close(fd);
      expect(fs.readFileSync(path, 'utf8')).toBe('content');
    }
  });

  it('touches a symlink, never what it leads to', () => {
    const path = file();
    const link = join(path, '../link');
    fs.symlinkSync(path, link);
    const before = lstat(path);
    expect(applyAttributes(posix, HERE, link, { ...BASE, ...mine, kind: 'symlink', mode: 0o777 })).toEqual([]);
    expect(lstat(link).mtimeSec).toBe(BASE.mtimeSec);
    expect(lstat(path)).toEqual(before);
  });

  it.runIf(isRoot)('sets the owner before the mode, so that setuid survives', () => {
    const path = file();
    expect(applyAttributes(posix, HERE, path, { ...BASE, uid: 1234, gid: 2345, mode: 0o6755 })).toEqual([]);
    expect(lstat(path)).toMatchObject({ uid: 1234, gid: 2345, mode: TYPE.file | 0o6755 });
  });

  it('answers problems instead of throwing when nothing can be set', () => {
    const problems = applyAttributes(posix, HERE, join(scratch(), 'none'), { ...BASE, path: 'odd\nname', mode: 0o600 });
    expect(problems.map(({ what, code }) => `${what} ${code}`)).toEqual(
      expect.arrayContaining(['owner ENOENT', 'mode ENOENT', 'mtime ENOENT']),
    );
    for (const problem of problems)
      expect(problem).toMatchObject({ kind: 'problem', path: 'odd\nname', message: expect.stringContaining('odd\\nname') });
  });
});

describe('applyAttributes', () => {
  it('round-trips ACLs, default ACLs and user attributes, after a read-only mode too', (context) => {
    const source = scratch();
    needAcls(context, source);
    const target = scratch();
    run('setfacl', '-m', 'u:1234:r-x,g:2345:-wx,m::rwx', source);
    run('setfacl', '-d', '-m', 'u:1234:rwx,g::r-x', source);
    run('setfattr', '-n', 'user.note', '-v', 'kept', source);
    fs.chmodSync(source, 0o1571);
    const xattrs = readXattrs(native, HERE, source);
    const stat = lstat(source);
    expect(
      applyAttributes(native, HERE, target, { ...BASE, ...mine, kind: 'directory', mode: stat.mode & 0o7777, xattrs }),
    ).toEqual([]);
    const acl = (path: string) => run('getfacl', '-cpn', path);
    expect(acl(target)).toBe(acl(source));
    expect(acl(target)).toContain('default:user:1234:rwx');
    expect(lstat(target).mode).toBe(stat.mode);
    expect(readXattrs(native, HERE, target)).toEqual(xattrs);
  });

  it('takes away attributes that the entry does not have, such as inherited ACLs', (context) => {
    const directory = scratch();
    needAcls(context, directory);
    run('setfacl', '-d', '-m', 'u:1234:rwx', directory);
    const path = join(directory, 'x');
    fs.writeFileSync(path, '');
    fs.mkdirSync(join(directory, 'd'));
    run('setfattr', '-n', 'user.old', '-v', 'x', path);
    expect(readXattrs(native, HERE, path)).not.toEqual([]);
    expect(applyAttributes(native, HERE, path, { ...BASE, ...mine })).toEqual([]);
    expect(applyAttributes(native, HERE, join(directory, 'd'), { ...BASE, ...mine, kind: 'directory', mode: 0o750 })).toEqual([]);
    expect(run('getfacl', '-cpn', path)).toBe('user::rw-\ngroup::r--\nother::---\n\n');
    expect(run('getfacl', '-cpn', join(directory, 'd'))).toBe('user::rwx\ngroup::r-x\nother::---\n\n');
    expect(native.listXattrs(HERE, path).filter((name) => name.startsWith('user.'))).toEqual([]);
  });

  it.runIf(isRoot)('keeps capabilities although the owner changes', (context) => {
    const path = file();
    needAcls(context, join(path, '..'));
    // VFS_CAP_REVISION_2, effective, cap_net_raw
    const value = new Uint8Array([1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(
      applyAttributes(native, HERE, path, {
        ...BASE,
        uid: 1234,
        gid: 1234,
        mode: 0o755,
        xattrs: [{ name: 'security.capability', value }],
      }),
    ).toEqual([]);
    expect(readXattrs(native, HERE, path)).toContainEqual({ name: 'security.capability', value });
  });

  it('gives the group no more than the ACL gave it when the ACL cannot be set', (context) => {
    const source = file();
    needAcls(context, join(source, '..'));
    fs.chmodSync(source, 0o640);
    run('setfacl', '-m', 'u:1234:rwx,m::rwx', source);
    expect(lstat(source).mode & 0o777).toBe(0o670); // the mask shows as the group's bits
    const xattrs = readXattrs(native, HERE, source);
    const target = file();
    const problems = applyAttributes(plain, HERE, target, { ...BASE, ...mine, mode: 0o670, xattrs });
    expect(problems.map(({ what, code }) => [what, code])).toEqual([['xattr', 'ENOTSUP']]);
    expect(lstat(target).mode & 0o777).toBe(0o640);
  });

  it.runIf(isRoot)('gives nobody the setuid bit of an owner that could not be set', () => {
    const path = file();
    const posix = nativeExcept({
      chown: (_at, name) => {
        throw new PosixError('EPERM', 'chown', name);
      },
    });
    const problems = applyAttributes(posix, HERE, path, { ...BASE, uid: 1234, gid: 0, mode: 0o6755 });
    expect(problems.map(({ what, code }) => [what, code])).toEqual([['owner', 'EPERM']]);
    expect(lstat(path).mode & 0o7777).toBe(0o755);
  });

  it.runIf(isRoot)('reports as another user what only root can do, and does the rest', () => {
    const path = fileOfNobody(65534);
    const xattrs = [{ name: 'trusted.x', value: new Uint8Array(1) }];
    const problems = applyAsNobody([1234], path, { ...BASE, uid: 0, gid: 1234, mode: 0o2640, xattrs });
    expect(problems.map(({ what, code }) => `${what} ${code}`)).toEqual(['owner EPERM', 'xattr EPERM']);
    // The group was one of his own; the setgid bit went with the owner.
    expect(lstat(path)).toMatchObject({ uid: 65534, gid: 1234, mode: TYPE.file | 0o640, mtimeSec: BASE.mtimeSec });
  });

  it.runIf(isRoot)('reports a setgid bit that the kernel dropped without a word', () => {
    const path = fileOfNobody(1234);
    const problems = applyAsNobody([], path, { ...BASE, uid: 65534, gid: 1234, mode: 0o2755 });
    expect(problems.map(({ what, code }) => `${what} ${code}`)).toEqual(['mode EPERM']);
    expect(lstat(path).mode & 0o7777).toBe(0o755);
  });

  it('names each attribute that could not be set, and sets the others', (context) => {
    const path = file();
    need(context, keepsUserXattrs(join(path, '..')), 'user xattrs in the temporary directory');
    const xattrs: Xattr[] = [
      { name: 'nonsense.x', value: new Uint8Array(1) },
      { name: 'user.good', value: new Uint8Array([5]) },
    ];
    const problems = applyAttributes(native, HERE, path, { ...BASE, ...mine, xattrs });
    expect(problems.map(({ what, code }) => [what, code])).toEqual([['xattr', 'ENOTSUP']]);
    expect(problems[0]!.message).toContain('nonsense.x');
    expect(native.getXattr(HERE, path, 'user.good')).toEqual(new Uint8Array([5]));
  });
});

function fileOfNobody(gid: number): string {
  const path = file();
  fs.chmodSync(join(path, '..'), 0o755);
  fs.chownSync(path, 65534, gid);
  return path;
}

/** What `applyAttributes` answers to a user without rights who is in `groups`. */
function applyAsNobody(groups: readonly number[], path: string, wanted: Attributes): readonly AttributeProblem[] {
  const module = (name: string) => new URL(`../../src/files/${name}`, import.meta.url).href;
  const script = `
    import { applyAttributes } from '${module('attributes.ts')}';
    import { HERE } from '${module('posix.ts')}';
    import { posixCalls } from '${module('posix-calls.ts')}';
    process.setgroups(${JSON.stringify(groups)}); process.setgid(65534); process.setuid(65534);
    const wanted = ${JSON.stringify({ ...wanted, xattrs: wanted.xattrs.map(({ name, value }) => ({ name, value: [...value] })) })};
    const xattrs = wanted.xattrs.map(({ name, value }) => ({ name, value: new Uint8Array(value) }));
    console.log(JSON.stringify(applyAttributes(posixCalls(), HERE, ${JSON.stringify(path)}, { ...wanted, xattrs })));`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }));
}

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Attributes, NO_XATTRS, readXattrs } from '../../src/files/attributes.ts';
import { HERE, type Posix } from '../../src/files/posix.ts';
import { type NewFileState, TargetTree } from '../../src/files/target-tree.ts';
import { DRIVERS, isRoot, native, need, needAcls, scratch } from './scratch.ts';

const mine = { uid: process.getuid!(), gid: process.getgid!() };

function wantedAt(path: string, attributes: Partial<Attributes> = {}): Attributes {
  return { path, kind: 'file', mode: 0o644, ...mine, mtimeSec: 1_000_000_000, mtimeNsec: 0, xattrs: NO_XATTRS, ...attributes };
}

/** Makes a file as a restore does. Answers what was still to be done after it was made. */
function make(tree: TargetTree, posix: Posix, wanted: Attributes): NewFileState {
  const fd = tree.createFileFor(wanted, 'refuse');
  const state = tree.newFileState;
  posix.pwrite(fd, Buffer.from('content'), 0, 7, 0);
  expect(tree.finishFile(fd, wanted, state)).toEqual([]);
  posix.close(fd);
  const stat = fs.lstatSync(join(tree.location, wanted.path));
  expect({ mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtime: stat.mtimeMs }).toEqual({
    mode: wanted.mode,
    uid: wanted.uid,
    gid: wanted.gid,
    mtime: wanted.mtimeSec * 1000,
  });
  return state;
}

describe.each(DRIVERS)('a new file and its attributes, $driver', ({ posix }) => {
  it('have what is wanted, whatever that is', () => {
    const tree = new TargetTree(scratch(), posix);
    tree.makeDirectory('d', 'refuse');
    [0o644, 0o644, 0o755, 0o600, 0o400, 0, 0o777, 0o4755, 0o2711, 0o1644].forEach((mode, i) => {
      make(tree, posix, wantedAt(`d/f${i}`, { mode }));
      make(tree, posix, wantedAt(`f${i}`, { mode }));
    });
    if (isRoot) make(tree, posix, wantedAt('d/of another', { uid: 1234, gid: 2345 }));
    if (isRoot) make(tree, posix, wantedAt('d/of another group', { gid: 2345 }));
    make(tree, posix, wantedAt('d/last'));
    tree.close();
  });

  it('in a directory of somebody else are looked at one by one', (context) => {
    need(context, isRoot, 'root, to give a directory away');
    const location = scratch();
    const tree = new TargetTree(location, posix);
    tree.makeDirectory('theirs', 'refuse');
    fs.chownSync(join(location, 'theirs'), 1234, 1234);
    expect([1, 2, 3].map((n) => make(tree, posix, wantedAt(`theirs/${n}`)))).toEqual(['new', 'new', 'new']);
    tree.close();
  });

  it('in a directory that hands its group on get their own', (context) => {
    need(context, isRoot, 'root, to choose a group');
    const location = scratch();
    const tree = new TargetTree(location, posix);
    tree.makeDirectory('setgid', 'refuse');
    fs.chownSync(join(location, 'setgid'), mine.uid, 2345);
    fs.chmodSync(join(location, 'setgid'), 0o2700);
    expect([1, 2].map((n) => make(tree, posix, wantedAt(`setgid/${n}`)))).toEqual(['new', 'new']);
    tree.close();
  });
});

describe('a new file', () => {
  it('has its mode from the start where the one before has shown that nothing is inherited', () => {
    const umask = process.umask(0o022);
    onTestFinished(() => void process.umask(umask));
    const tree = new TargetTree(scratch(), native);
    tree.makeDirectory('d', 'refuse');
    const states = ['d/1', 'd/2', 'top', 'd/3', 'top too'].map((path) => make(tree, native, wantedAt(path)));
    expect(states).toEqual(['has-owner', 'has-mode', 'has-owner', 'has-mode', 'has-mode']);
    tree.close();
  });

  it('is private until it is complete where that cannot be known', () => {
    const tree = new TargetTree(scratch(), native);
    for (const path of ['1', '2']) {
      const fd = tree.createFileFor(wantedAt(path, { mode: 0o4755 }), 'refuse');
      expect([tree.newFileState, fs.fstatSync(fd).mode & 0o7777]).toEqual(['new', 0o600]);
      fs.closeSync(fd);
    }
    tree.close();
  });

  it('keeps no ACL that it inherits', (context) => {
    const location = scratch();
    needAcls(context, location);
    const tree = new TargetTree(location, native);
    tree.makeDirectory('d', 'refuse');
    execFileSync('setfacl', ['-d', '-m', 'u:1234:rwx', join(location, 'd')]);
    expect([1, 2].map((n) => make(tree, native, wantedAt(`d/${n}`)))).toEqual(['new', 'new']);
    for (const n of [1, 2])
      expect(readXattrs(native, HERE, join(location, `d/${n}`)).filter(({ name }) => name.includes('acl'))).toEqual([]);
    tree.close();
  });
});

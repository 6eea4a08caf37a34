// Repositories that are none, that are too new, damaged, denied or full: each a fault of its own, before damage.

import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { mayMount, mountTmpfs, remountReadOnly, unmount } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { initialised, newHoldfast, PROGRAM } from './holdfast.ts';

const MIB = 1024 * 1024;

describe('a place that is no repository', () => {
  it.each(['snapshots', 'verify', 'prune', 'stats', 'scrub'])('is refused by %s', (verb) => {
    const holdfast = newHoldfast();
    mkdirSync(holdfast.repository);
    holdfast.file('repository/something', 'else');
    const { code, status } = holdfast.fault([verb]);
    expect([code, status]).toEqual(['FORMAT_NOT_A_REPOSITORY', 1]);
    expect(readdirSync(holdfast.repository)).toEqual(['something']);
  });

  it('may be named in whole where the current directory is gone; a path that begins there is bad usage', () => {
    const holdfast = initialised();
    mkdirSync(holdfast.path('gone'));
    const from = (...args: string[]) =>
      spawnSync('sh', ['-c', 'cd gone && rmdir ../gone; mkdir ../gone; exec "$@"', 'sh', PROGRAM, ...args], {
        cwd: holdfast.directory,
        env: { ...process.env, HOLDFAST_REPO: holdfast.repository, HOLDFAST_PASSPHRASE_FILE: holdfast.path('secrets/passphrase') },
        encoding: 'utf8',
      });
    expect(from('snapshots').status).toBe(0);
    const { status, stderr } = from('backup', 'source');
    expect(stderr).toContain('The current directory is not there any more');
    expect(status).toBe(2);
  });

  it('is refused when it is not there at all, and is not made', () => {
    const holdfast = newHoldfast();
    expect(holdfast.fault(['backup', '/etc/hostname'])).toMatchObject({ code: 'STORE_BUCKET_MISSING', status: 1 });
    expect(readdirSync(holdfast.directory)).not.toContain('repository');
  });

  it('is not a file', () => {
    const holdfast = newHoldfast();
    holdfast.file('repository', 'a file');
    expect(holdfast.fault(['init'])).toMatchObject({ code: 'STORE_BAD_LOCATION', status: 2 });
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'STORE_BAD_LOCATION', status: 2 });
    expect(readFileSync(holdfast.repository, 'utf8')).toBe('a file');
  });
});

describe('init', () => {
  it('leaves a repository that is there as it is', () => {
    const holdfast = initialised();
    const before = readFileSync(join(holdfast.repository, 'repository'));
    const keys = readdirSync(join(holdfast.repository, 'keys'));
    expect(holdfast.fault(['init'])).toMatchObject({ code: 'FORMAT_REPOSITORY_EXISTS', status: 1 });
    expect(readFileSync(join(holdfast.repository, 'repository')).equals(before)).toBe(true);
    expect(readdirSync(join(holdfast.repository, 'keys'))).toEqual(keys);
  });

  it('tells the id of what it made', () => {
    const holdfast = newHoldfast();
    const summary = holdfast.summary(['init', '--label', 'mine']);
    expect(summary).toMatchObject({ kind: 'summary', verb: 'init', location: holdfast.repository });
    expect(summary.repository).toMatch(/^[0-9a-f]{32}$/);
    expect(holdfast.lines(['key', 'list'])[0]).toMatchObject({ id: summary.key, label: 'mine', role: 'owner' });
  });
});

describe('a repository whose only key', () => {
  it.each([
    ['leads to a device without an end', (key: string) => symlinkSync('/dev/zero', key)],
    ['is a pipe', (key: string) => execFileSync('mkfifo', [key])],
  ])('%s is told of, and nothing waits for it', (_, put) => {
    const holdfast = initialised();
    const keys = join(holdfast.repository, 'keys');
    const key = join(keys, readdirSync(keys)[0]!);
    rmSync(key);
    put(key);
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'KEY_PASSPHRASE_WRONG', status: 1 });
  });
});

describe('a repository', () => {
  const change = (edit: (text: string) => string) => {
    const holdfast = initialised();
    const path = join(holdfast.repository, 'repository');
    const text = edit(readFileSync(path, 'utf8'));
    rmSync(path);
    writeFileSync(path, text);
    return holdfast;
  };

  it('of a newer format is refused as such', () => {
    const holdfast = change((text) => text.replace('"holdfast": 1', '"holdfast": 2'));
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'FORMAT_TOO_NEW', status: 1 });
    expect(holdfast.fault(['backup', '/etc/hostname'])).toMatchObject({ code: 'FORMAT_TOO_NEW', status: 1 });
  });

  it('whose parameters were exchanged is refused, although the passphrase is right', () => {
    const holdfast = change((text) => text.replace(/"packBytes": \d+/, '"packBytes": 16777216'));
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'FORMAT_DAMAGED', status: 4 });
  });

  it('whose object "repository" is garbage is none', () => {
    expect(change(() => 'garbage').fault(['snapshots'])).toMatchObject({ code: 'FORMAT_NOT_A_REPOSITORY', status: 1 });
  });

  it('without a head says so', () => {
    const holdfast = initialised();
    for (const name of readdirSync(holdfast.repository))
      if (name.startsWith('head')) rmSync(join(holdfast.repository, name), { recursive: true });
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'HEAD_MISSING', status: 4 });
  });

  it('that was put back to an older state is noticed', () => {
    const holdfast = initialised();
    holdfast.ok(['backup', '-'], { input: 'one' });
    const saved = holdfast.path('saved');
    const { execFileSync } = process.getBuiltinModule('node:child_process');
    execFileSync('cp', ['-a', holdfast.repository, saved]);
    holdfast.ok(['backup', '-'], { input: 'two' });
    rmSync(holdfast.repository, { recursive: true });
    execFileSync('cp', ['-a', saved, holdfast.repository]);
    expect(holdfast.fault(['snapshots'])).toMatchObject({ code: 'HEAD_ROLLED_BACK', status: 4 });
  });
});

describe('a cache', () => {
  it('that is damaged is made anew', () => {
    const holdfast = initialised();
    const tree = holdfast.file('tree/file', seededBytes(MIB, 1));
    holdfast.ok(['backup', tree]);
    const { id } = JSON.parse(readFileSync(join(holdfast.repository, 'repository'), 'utf8')) as { readonly id: string };
    const index = holdfast.path(`cache/${id}/index`);
    for (const name of readdirSync(index).filter((one) => one.endsWith('.run')))
      writeFileSync(join(index, name), seededBytes(5000, 2));
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean' });
    expect(holdfast.summary(['backup', tree, '--force'])).toMatchObject({ bytesNew: 0 });
  });

  it('may go away', () => {
    const holdfast = initialised();
    const tree = holdfast.file('tree/file', seededBytes(MIB, 1));
    holdfast.ok(['backup', tree]);
    rmSync(holdfast.path('cache'), { recursive: true });
    expect(holdfast.summary(['backup', tree, '--force'])).toMatchObject({ bytesNew: 0 });
  });

  it('that cannot be made is a fault before anything is', () => {
    const holdfast = newHoldfast();
    holdfast.file('blocked', '');
    expect(holdfast.fault(['init', '--cache-dir', holdfast.path('blocked/cache')])).toMatchObject({
      code: 'INDEX_CACHE_DENIED',
      status: 1,
    });
    expect(readdirSync(holdfast.repository)).not.toContain('repository');
  });

  it.each([
    ['below a file', (scratch: string) => join(scratch, 'blocked/cache')],
    ['below /proc', () => '/proc/cache'],
  ])('that cannot be made %s is the same fault for whatever needs it', (_, place) => {
    const holdfast = initialised();
    holdfast.ok(['backup', holdfast.file('tree/file', 'x')]);
    holdfast.ok(['backup', holdfast.file('tree/file', 'y')]);
    holdfast.file('blocked', '');
    const cache = ['--cache-dir', place(holdfast.path(''))];
    const target = ['--target', holdfast.path('restored')];
    for (const verb of [['backup', holdfast.path('tree')], ['restore', 'latest', ...target], ['prune'], ['verify'], ['repair']])
      expect(holdfast.fault([...verb, ...cache]), verb[0]).toMatchObject({ code: 'INDEX_CACHE_DENIED', status: 1 });
  });

  it('lies where --cache-dir says', () => {
    const holdfast = initialised();
    rmSync(holdfast.path('cache'), { recursive: true, force: true });
    holdfast.ok(['backup', '-', '--cache-dir', holdfast.path('elsewhere')], { input: 'x' });
    expect(readdirSync(holdfast.path('elsewhere'))).not.toEqual([]);
    expect(existsSync(holdfast.path('cache'))).toBe(false);
  });
});

describe('without permission', () => {
  it('the repository is a fault of its own', () => {
    const holdfast = initialised();
    chmodSync(holdfast.repository, 0);
    onTestFinished(() => chmodSync(holdfast.repository, 0o700));
    expect(holdfast.fault(['snapshots'], { isHeldToModes: true })).toMatchObject({ code: 'STORE_DENIED', status: 1 });
  });
});

describe.runIf(mayMount())('a disk that is', () => {
  const disk = (size: string): string => {
    const path = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
    mountTmpfs(path, size);
    onTestFinished(() => {
      unmount(path);
      rmSync(path, { recursive: true, force: true });
    });
    return path;
  };

  it('full on the side of the repository ends a backup, and leaves what was there', () => {
    const holdfast = newHoldfast();
    const options = { variables: { HOLDFAST_REPO: join(disk('24m'), 'repository') } };
    holdfast.ok(['init'], options);
    const first = holdfast.file('first', seededBytes(MIB, 1));
    holdfast.ok(['backup', first, '--asset', 'first'], options);
    const large = holdfast.file('large', seededBytes(40 * MIB, 2));
    expect(holdfast.fault(['backup', large, '--type', 'files'], options)).toMatchObject({ code: 'STORE_FULL', status: 1 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out')], options);
    expect(readFileSync(holdfast.path('out/first')).equals(seededBytes(MIB, 1))).toBe(true);
  });

  it('full on the side of the target ends a restore, which goes on with --delta', () => {
    const holdfast = initialised();
    for (let n = 0; n < 10; n++) holdfast.file(`tree/f${n}`, seededBytes(3 * MIB, n));
    holdfast.ok(['backup', holdfast.path('tree')]);
    const target = join(disk('16m'), 'out');
    const { code, status, line } = holdfast.fault(['restore', 'latest', '--target', target]);
    expect([code, status]).toEqual(['TARGET_FULL', 1]);
    expect(line.message).toMatch(/"f[0-9]"/);
    expect(line.hint).toContain('--delta');
    const { execFileSync } = process.getBuiltinModule('node:child_process');
    execFileSync('mount', ['-o', 'remount,size=64m', join(target, '..')]);
    expect(holdfast.summary(['restore', 'latest', '--target', target, '--delta', '--verify'])).toMatchObject({
      differing: 0,
      problems: 0,
    });
  });

  it('full under a volume that is restored is a fault, too', () => {
    const holdfast = initialised();
    const image = holdfast.file('disk.img', seededBytes(8 * MIB, 1));
    truncateSync(image, 32 * MIB);
    holdfast.ok(['backup', image]);
    expect(holdfast.fault(['restore', 'latest', '--target', join(disk('4m'), 'out.img')])).toMatchObject({
      code: 'TARGET_FULL',
      status: 1,
    });
  });

  it('read-only on either side is a fault before anything is written', () => {
    const holdfast = newHoldfast();
    const path = disk('24m');
    const options = { variables: { HOLDFAST_REPO: join(path, 'repository') } };
    holdfast.ok(['init'], options);
    holdfast.ok(['backup', '-'], { ...options, input: 'kept' });
    remountReadOnly(path);
    expect(holdfast.fault(['backup', '/etc/hostname'], options)).toMatchObject({ code: 'STORE_DENIED', status: 1 });
    expect(holdfast.run(['restore', 'latest', '--stdout'], options)).toMatchObject({ status: 0, stdout: 'kept' });
    expect(holdfast.fault(['restore', 'latest', '--target', join(path, 'out')], options)).toMatchObject({
      code: 'TARGET_DENIED',
      status: 1,
    });
  });
});

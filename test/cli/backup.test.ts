import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mayMount, unmount } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised } from './holdfast.ts';

const MIB = 1024 * 1024;

function tree(holdfast: Holdfast): string {
  holdfast.file('tree/a.txt', 'first\n');
  holdfast.file('tree/sub/b.bin', seededBytes(300_000, 1));
  holdfast.file('tree/sub/cache/c.tmp', 'temporary');
  return holdfast.path('tree');
}

describe('a backup of files', () => {
  it('ends with a summary of fixed fields', () => {
    const holdfast = initialised();
    const summary = holdfast.summary(['backup', tree(holdfast), '--tag', 'one', '--host', 'h1']);
    expect(summary).toMatchObject({
      kind: 'summary',
      verb: 'backup',
      type: 'files',
      host: 'h1',
      asset: `h1:${holdfast.path('tree')}`,
      tags: ['one'],
      paths: [holdfast.path('tree')],
      files: 3,
      directories: 3,
      others: 0,
      filesUnchanged: 0,
      problems: 0,
      parent: null,
      entries: 6,
    });
    for (const field of ['bytesScanned', 'bytesRead', 'bytesNew', 'bytesStored', 'durationMs'])
      expect(summary[field], field).toBeGreaterThan(0);
    expect(summary.bytesScanned).toBe(summary.contentBytes);
    expect(summary.snapshot).toMatch(/^[0-9a-f]{20}$/);
    expect(holdfast.lines(['snapshots'])[0]).toMatchObject({ kind: 'snapshot', id: summary.snapshot });
  });

  it('reads again only what has changed since, and everything with --force', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    for (const name of ['a.txt', 'sub/b.bin', 'sub/cache/c.tmp']) settle(join(path, name));
    holdfast.ok(['backup', path]);
    writeFileSync(join(path, 'a.txt'), 'second\n');
    expect(holdfast.summary(['backup', path])).toMatchObject({ filesUnchanged: 2, bytesRead: 7, bytesNew: 7 });
    expect(holdfast.summary(['backup', path, '--force'])).toMatchObject({ filesUnchanged: 0, bytesNew: 0, bytesRead: 300_016 });
  });

  it('builds on the last snapshot of its asset, and not on that of another', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    const first = holdfast.summary(['backup', path]);
    expect(holdfast.summary(['backup', path, '--asset', 'other']).parent).toBeNull();
    expect(holdfast.summary(['backup', path]).parent).toBe(first.snapshot);
  });

  it('says of a pattern that is an absolute path what it names, and leaves out what it says', () => {
    const holdfast = initialised();
    const path = holdfast.path('tree');
    for (const name of ['cache/x', 'kept']) holdfast.file(`tree/${name}`, name);
    symlinkSync(path, holdfast.path('way'));
    for (const root of [path, holdfast.path('way')]) {
      const { status, stderr } = holdfast.run(['backup', root, '--exclude', `${root}/cache`]);
      expect(status).toBe(0);
      expect(stderr).toContain(`so it names ${root}${root}/cache; "/cache" names ${root}/cache`);
      expect(holdfast.ok(['ls', 'latest'])).toContain('cache/x');
    }
    const { stderr } = holdfast.run(['backup', path, '--exclude', '/cache', '--exclude', '*.tmp']);
    expect(stderr).not.toContain('so it names');
    expect(holdfast.ok(['ls', 'latest'])).not.toContain('cache');
  });

  it('leaves out what is excluded, and the content of caches', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    holdfast.file('tree/sub/cache/CACHEDIR.TAG', 'Signature: 8a477f597d28d172789f06886806bc55\n');
    const patterns = holdfast.file('patterns', '# a comment\n/a.txt\n');
    holdfast.ok(['backup', path, '--exclude-file', patterns, '--exclude', '*.bin']);
    expect(holdfast.ok(['ls', 'latest'])).toBe('.\nsub\nsub/cache\nsub/cache/CACHEDIR.TAG\nsub/cache/c.tmp\n');
    holdfast.ok(['backup', path, '--exclude-caches']);
    expect(holdfast.ok(['ls', 'latest', 'sub/cache'])).toBe('sub/cache\nsub/cache/CACHEDIR.TAG\n');
  });

  it('leaves out the repository itself, and says so', () => {
    const holdfast = initialised();
    tree(holdfast);
    const { status, stderr } = holdfast.run(['backup', holdfast.directory]);
    expect(status).toBe(0);
    expect(stderr).toContain('Left out: the repository itself');
    expect(holdfast.ok(['ls', 'latest'])).not.toContain('repository');
    expect(holdfast.ok(['ls', 'latest'])).toContain('tree/a.txt');
  });

  it('leaves the repository out of several trees, and where it is mounted a second time', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    const srv = holdfast.path('srv');
    mkdirSync(join(srv, 'second'), { recursive: true });
    renameSync(holdfast.repository, join(srv, 'backup'));
    const repo = ['--repo', join(srv, 'backup')];
    const mounts = mayMount();
    if (mounts) execFileSync('mount', ['--bind', join(srv, 'backup'), join(srv, 'second')]);
    try {
      for (const paths of [[path, srv], [srv]]) {
        const { status, stderr } = holdfast.run(['backup', ...paths, ...repo]);
        expect(status, stderr).toBe(0);
        for (const name of mounts ? ['backup', 'second'] : ['backup'])
          expect(stderr).toContain(`Left out: the repository itself (${join(srv, name)})`);
        expect(holdfast.ok(['ls', 'latest', ...repo])).not.toContain('packs');
      }
    } finally {
      if (mounts) unmount(join(srv, 'second'));
    }
  });

  it('follows a link that is named, and none below', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    symlinkSync(path, holdfast.path('link'));
    symlinkSync('/etc', join(path, 'inner'));
    expect(holdfast.summary(['backup', holdfast.path('link')])).toMatchObject({ files: 3, others: 1, paths: [path] });
  });

  it('of several paths goes on without one that is not there, and ends with 3', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    const lines = holdfast.lines(['backup', path, holdfast.path('nowhere')], { status: 3 });
    expect(lines[0]).toMatchObject({ kind: 'warning', code: 'SOURCE_NOT_FOUND', path: holdfast.path('nowhere'), missing: true });
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', problems: 1, files: 3 });
    expect(holdfast.fault(['backup', holdfast.path('nowhere')])).toMatchObject({ code: 'SOURCE_NOT_FOUND', status: 1 });
    expect(holdfast.fault(['backup', holdfast.path('nowhere'), holdfast.path('neither')])).toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      status: 1,
    });
  });

  it('tells a file that cannot be read, keeps the others, and ends with 3', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    const unreadable = unreadableFile(holdfast);
    const lines = holdfast.lines(['backup', path, unreadable], { status: 3 });
    expect(lines[0]).toMatchObject({ kind: 'warning', path: unreadable.slice(1), code: 'EACCES', missing: true });
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', problems: 1 });
    expect(holdfast.ok(['ls', 'latest', join(path, 'a.txt')])).toContain('a.txt');
  });

  it('prints for people what dedup saved', () => {
    const holdfast = initialised();
    const path = tree(holdfast);
    holdfast.ok(['backup', path]);
    expect(holdfast.ok(['backup', path, '--force'])).toMatch(
      /Snapshot [0-9a-f]{8} of .*\n {2}Files: 3 .*directories: 3.*\n.*0 B new, .*% saved by dedup and compression\n/,
    );
  });

  it('does not count what was left out as saved', () => {
    const holdfast = initialised();
    const large = holdfast.file('large', Buffer.alloc(MIB));
    chmodSync(large, 0);
    const small = holdfast.file('small', seededBytes(1000, 1));
    expect(holdfast.ok(['backup', large, small], { status: 3, isHeldToModes: true })).not.toContain('saved');
  });
});

describe('a backup of a volume', () => {
  it('is what an image alone is, and reads nothing when the image is as it was', () => {
    const holdfast = initialised();
    const image = holdfast.file('disk.img', '');
    truncateSync(image, 32 * MIB);
    writeFileSync(image, seededBytes(MIB, 1), { flag: 'r+' });
    settle(image);
    const first = holdfast.summary(['backup', image]);
    expect(first).toMatchObject({ type: 'volume', contentBytes: 32 * MIB, bytesRead: 32 * MIB, bytesNew: MIB });
    expect(holdfast.summary(['backup', image])).toMatchObject({ parent: first.snapshot, bytesRead: 0, bytesStored: 0 });
    expect(holdfast.summary(['backup', image, '--force'])).toMatchObject({ bytesRead: 32 * MIB, bytesNew: 0 });
    expect(holdfast.summary(['backup', image, '--type', 'files'])).toMatchObject({ type: 'files', files: 1 });
  });

  it('reads only the ranges that are said to have changed', () => {
    const holdfast = initialised();
    const image = holdfast.file('disk.img', seededBytes(16 * MIB, 2));
    holdfast.ok(['backup', image]);
    const bytes = readFileSync(image);
    bytes.set(seededBytes(1000, 3), 5 * MIB + 100);
    writeFileSync(image, bytes);
    const ranges = holdfast.file('ranges', `# offset length\n${5 * MIB + 100} 1000\n`);
    const summary = holdfast.summary(['backup', image, '--changed-ranges', ranges]);
    expect(summary.bytesRead).toBeLessThanOrEqual(16 * 16_384);
    expect(summary.bytesNew).toBe(16_384);
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out.img')]);
    expect(readFileSync(holdfast.path('out.img')).equals(bytes)).toBe(true);
  });

  it('refuses ranges that are none, with the line', () => {
    const holdfast = initialised();
    const image = holdfast.file('disk.img', seededBytes(MIB, 2));
    const ranges = holdfast.file('ranges', '0 100\nhere there\n');
    const { code, status, line } = holdfast.fault(['backup', image, '--changed-ranges', ranges]);
    expect({ code, status }).toEqual({ code: 'USAGE', status: 2 });
    expect(line.message).toContain('line 2');
    expect(holdfast.fault(['backup', image, '--changed-ranges', holdfast.path('nowhere')])).toMatchObject({
      code: 'USAGE',
      status: 2,
    });
  });

  it('is refused for what is none', () => {
    const holdfast = initialised();
    mkdirSync(holdfast.path('directory'));
    expect(holdfast.fault(['backup', '--type', 'volume', holdfast.path('directory')])).toMatchObject({ code: 'USAGE', status: 2 });
    expect(holdfast.fault(['backup', '--type', 'volume', holdfast.path('nowhere')])).toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      status: 1,
    });
  });
});

describe('a backup of a stream', () => {
  it('takes standard input under a name', () => {
    const holdfast = initialised();
    const input = seededBytes(3_000_000, 4);
    const summary = holdfast.summary(['backup', '-', '--name', 'dump.sql'], { input: Buffer.from(input) });
    expect(summary).toMatchObject({ type: 'stream', paths: ['dump.sql'], contentBytes: 3_000_000, bytesRead: 3_000_000 });
    expect(summary.asset).toMatch(/:dump\.sql$/);
    expect(holdfast.summary(['backup', '-', '--name', 'dump.sql'], { input: Buffer.from(input) })).toMatchObject({
      bytesNew: 0,
      parent: summary.snapshot,
    });
    expect(holdfast.run(['restore', 'latest', '--stdout']).bytes.equals(Buffer.from(input))).toBe(true);
  });

  it('may be empty, which is a warning: whoever should have written it may have failed', () => {
    const holdfast = initialised();
    const [warning, summary] = holdfast.lines(['backup', '-'], { status: 3 });
    expect(warning).toMatchObject({ kind: 'warning', path: 'stdin', code: 'EMPTY' });
    expect(summary).toMatchObject({ type: 'stream', paths: ['stdin'], contentBytes: 0, problems: 1 });
    expect(holdfast.run(['restore', 'latest', '--stdout'])).toMatchObject({ status: 0, stdout: '' });
  });

  it('reads a path when it is told to', () => {
    const holdfast = initialised();
    const path = holdfast.file('data', seededBytes(100_000, 5));
    expect(holdfast.summary(['backup', '--type', 'stream', path])).toMatchObject({ type: 'stream', contentBytes: 100_000 });
    expect(holdfast.fault(['backup', '--type', 'stream', holdfast.path('nowhere')])).toMatchObject({
      code: 'SOURCE_UNREADABLE',
      status: 1,
    });
  });
});

describe('what a path is taken for', () => {
  it.each([
    ['small.img', (file: string) => truncateSync(file, MIB - 512), 'files'],
    ['odd.img', (file: string) => truncateSync(file, 2 * MIB + 1), 'files'],
    ['disk.img', (file: string) => truncateSync(file, MIB), 'volume'],
    ['disk.QCOW2', (file: string) => truncateSync(file, MIB), 'volume'],
    ['database', (file: string) => truncateSync(file, MIB), 'files'],
    ['ext4', (file: string) => write(file, 1080, '\x53\xef'), 'volume'],
    ['gpt', (file: string) => write(file, 512, 'EFI PART'), 'volume'],
    ['luks', (file: string) => write(file, 0, 'LUKS\xba\xbe'), 'volume'],
    [
      'mbr',
      (file: string) => {
        write(file, 510, '\x55\xaa');
        write(file, 450, '\x83');
        write(file, 458, '\x00\x08\x00\x00');
      },
      'volume',
    ],
    ['no-partitions', (file: string) => write(file, 510, '\x55\xaa'), 'files'],
  ])('%s', async (name, make, type) => {
    const { guessType } = await import('../../src/cli/backup-type.ts');
    const { scratchDirectory } = await import('../support/scratch.ts');
    const file = join(scratchDirectory(), name);
    writeFileSync(file, '');
    make(file);
    expect(guessType([file])).toBe(type);
    expect(guessType([file, file])).toBe('files');
  });

  it('"-" is a stream, and what is not there is left to the backup of files', async () => {
    const { guessType } = await import('../../src/cli/backup-type.ts');
    expect([guessType(['-']), guessType(['/nowhere/at/all']), guessType(['/dev/null'])]).toEqual(['stream', 'files', 'files']);
  });
});

/** Back in time, so that the next backup need not read it again. */
function settle(path: string): void {
  const { atime } = statSync(path);
  utimesSync(path, atime, new Date('2020-02-02T02:02:02Z'));
  // The time of the inode is now and cannot be set: wait until a snapshot can have seen it in the past.
  const until = statSync(path).ctimeMs + 30;
  while (Date.now() < until) rmSync(`${path}.none`, { force: true });
}

function write(file: string, offset: number, bytes: string): void {
  if (statSync(file).size === 0) truncateSync(file, MIB);
  const content = readFileSync(file);
  content.write(bytes, offset, 'latin1');
  writeFileSync(file, content);
}

/** That is there, has a length, and can be read by nobody. */
function unreadableFile(holdfast: Holdfast): string {
  if (process.getuid?.() !== 0) {
    const path = holdfast.file('unreadable', 'secret');
    chmodSync(path, 0);
    return path;
  }
  // Root may read every file but those for which the kernel has nothing to say.
  const buses = readdirSync('/sys/bus').map((bus) => `/sys/bus/${bus}/drivers_probe`);
  return buses.find((path) => existsSync(path))!;
}

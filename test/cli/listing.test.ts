// Verbs that look: snapshots, ls, find, diff, stats.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, linesOf, newHoldfast, sharedByFile } from './holdfast.ts';

const MIB = 1024 * 1024;
const holdfast: Holdfast = sharedByFile();
const at = (name: string): string => holdfast.path(name);
const ids: string[] = [];

beforeAll(() => {
  holdfast.file('tree/a.conf', 'one\n');
  holdfast.file('tree/sub/b.txt', seededBytes(200_000, 1));
  holdfast.file('tree/sub/gone', 'gone\n');
  symlinkSync('a.conf', at('tree/link'));
  chmodSync(at('tree/sub/b.txt'), 0o4755);
  ids.push(holdfast.summary(['backup', at('tree'), '--asset', 'web', '--tag', 'nightly', '--tag', 'x']).snapshot as string);
  writeFileSync(at('tree/a.conf'), 'two two\n');
  holdfast.file('tree/sub/new.conf', 'new\n');
  rmSync(at('tree/sub/gone'));
  chmodSync(at('tree/sub/b.txt'), 0o600);
  ids.push(
    holdfast.summary(['backup', at('tree'), '--asset', 'web', '--tag', 'nightly', '--host', 'elsewhere']).snapshot as string,
  );
  const image = holdfast.file('disk.img', seededBytes(8 * MIB, 2));
  ids.push(holdfast.summary(['backup', image, '--asset', 'disk']).snapshot as string);
  const bytes = readFileSync(image);
  bytes.fill(9, 3 * MIB, 3 * MIB + 20_000);
  writeFileSync(image, bytes);
  ids.push(holdfast.summary(['backup', image, '--asset', 'disk']).snapshot as string);
  ids.push(holdfast.summary(['backup', '-', '--asset', 'dump'], { input: 'stream' }).snapshot as string);
});

describe('snapshots', () => {
  it('lists all, oldest first, one object a line and a summary at the end', () => {
    const lines = holdfast.lines(['snapshots']);
    expect(lines.slice(0, -1).map(({ kind, id }) => [kind, id])).toEqual(ids.map((id) => ['snapshot', id]));
    expect(lines.at(-1)).toEqual({ kind: 'summary', verb: 'snapshots', snapshots: 5, damaged: 0 });
    expect(lines[0]).toMatchObject({
      asset: 'web',
      type: 'files',
      tags: ['nightly', 'x'],
      paths: [at('tree')],
      contentBytes: 200_009,
      files: 3,
      problems: 0,
    });
    expect(lines[1]).toMatchObject({ parent: ids[0], host: 'elsewhere' });
  });

  it.each([
    [
      ['--asset', 'web'],
      [0, 1],
    ],
    [
      ['--tag', 'nightly'],
      [0, 1],
    ],
    [['--tag', 'nightly', '--tag', 'x'], [0]],
    [['--host', 'elsewhere'], [1]],
    [['--asset', 'web', '--tag', 'none'], []],
  ])('lists with %j only those', (filters, expected) => {
    const lines = holdfast.lines(['snapshots', ...filters]);
    expect(lines.slice(0, -1).map(({ id }) => id)).toEqual(expected.map((n) => ids[n]));
  });

  it('shows people a table', () => {
    const [title, first] = holdfast.ok(['snapshots']).split('\n');
    expect(title).toMatch(/^id +time +host +type +size +new +stored +tags +asset +paths$/);
    expect(first).toMatch(
      new RegExp(`^${ids[0]!.slice(0, 8)}  \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d .*files +195 KiB .*nightly,x +web `),
    );
  });
});

describe('ls', () => {
  it('lists entries in the order of their paths, a part when it is named', () => {
    expect(holdfast.ok(['ls', ids[0]!])).toBe('.\na.conf\nlink\nsub\nsub/b.txt\nsub/gone\n');
    expect(holdfast.ok(['ls', ids[0]!, 'sub'])).toBe('sub\nsub/b.txt\nsub/gone\n');
    expect(holdfast.ok(['ls', ids[0]!, at('tree/sub/')])).toBe('sub\nsub/b.txt\nsub/gone\n');
    expect(holdfast.ok(['ls', ids[0]!, '--flat'])).toBe('.\na.conf\nlink\nsub\n');
  });

  it('shows modes, owners, sizes and times', () => {
    const text = holdfast.ok(['ls', '-l', ids[0]!]);
    expect(text).toMatch(/^-rwsr-xr-x +\d+ +\d+ +200000 \d{4}-.* sub\/b\.txt$/m);
    expect(text).toMatch(/^l[rwx]+ .* link -> a\.conf$/m);
  });

  it('is one object an entry for a program', () => {
    const lines = holdfast.lines(['ls', ids[0]!, 'sub/b.txt']);
    expect(lines[0]).toMatchObject({ kind: 'entry', path: 'sub/b.txt', type: 'file', mode: '4755', size: 200_000 });
    expect(lines[0]!.mtime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', snapshot: ids[0], entries: 1, bytes: 200_000 });
  });

  it('shows a volume as one thing', () => {
    expect(holdfast.lines(['ls', ids[2]!])[0]).toMatchObject({ kind: 'entry', path: 'disk.img', type: 'volume', size: 8 * MIB });
    expect(holdfast.fault(['ls', ids[2]!, 'x'])).toMatchObject({ code: 'USAGE', status: 2 });
    expect(holdfast.fault(['ls', ids[0]!, 'nothing'])).toMatchObject({ code: 'SNAPSHOT_PATH_NOT_FOUND', status: 1 });
  });
});

describe('find', () => {
  const matches = (args: readonly string[]) =>
    holdfast
      .lines(['find', ...args])
      .slice(0, -1)
      .map(({ snapshot, path }) => [ids.indexOf(snapshot as string), path]);

  it('looks in all snapshots, or in those that are wanted', () => {
    expect(matches(['*.conf'])).toEqual([
      [0, 'a.conf'],
      [1, 'a.conf'],
      [1, 'sub/new.conf'],
    ]);
    expect(matches(['*.conf', '--host', 'elsewhere'])).toEqual([
      [1, 'a.conf'],
      [1, 'sub/new.conf'],
    ]);
    expect(matches(['*.conf', '--snapshot', ids[0]!])).toEqual([[0, 'a.conf']]);
    expect(matches(['gone', 'link'])).toEqual([
      [0, 'link'],
      [0, 'sub/gone'],
      [1, 'link'],
    ]);
  });

  it('knows paths, kinds, and directories', () => {
    expect(matches(['/sub/*', '--snapshot', 'latest~3'])).toEqual([
      [1, 'sub/b.txt'],
      [1, 'sub/new.conf'],
    ]);
    expect(matches(['*', '--type', 'symlink', '--snapshot', ids[0]!])).toEqual([[0, 'link']]);
    expect(matches(['s*/', '--snapshot', ids[0]!])).toEqual([[0, 'sub']]);
  });

  it('finds what lies at an absolute path, and what a snapshot is of: a file alone, a volume, a stream', () => {
    expect(matches([at('tree/sub/gone')])).toEqual([[0, 'sub/gone']]);
    expect(matches([at('tree/*.conf'), '--snapshot', ids[0]!])).toEqual([[0, 'a.conf']]);
    expect(matches([at('tree'), '--snapshot', ids[0]!])).toEqual([[0, '']]);
    for (const pattern of ['disk.img', at('disk.img')])
      expect(matches([pattern])).toEqual([
        [2, 'disk.img'],
        [3, 'disk.img'],
      ]);
    expect(matches(['disk.img', '--type', 'directory'])).toEqual([]);
    expect(matches(['std*'])).toEqual([[4, 'stdin']]);
    const alone = newHoldfast();
    alone.ok(['init']);
    alone.ok(['backup', at('tree/a.conf')]);
    for (const pattern of ['a.conf', at('tree/a.conf')])
      expect(alone.ok(['find', pattern])).toContain(`\n  ${at('tree/a.conf')}\n`);
  });

  it('says when there is nothing', () => {
    const { status, stderr, stdout } = holdfast.run(['find', 'nowhere']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toContain('Nothing was found');
    expect(holdfast.summary(['find', 'nowhere'])).toMatchObject({ found: 0 });
    expect(holdfast.fault(['find', '[']).status).toBe(2);
  });
});

describe('diff', () => {
  it('tells what came, went and changed', () => {
    const text = holdfast.ok(['diff', ids[0]!, ids[1]!]);
    expect(text).toBe('M a.conf\nm sub\nm sub/b.txt\n- sub/gone\n+ sub/new.conf\n');
    const lines = holdfast.lines(['diff', ids[0]!, ids[1]!]);
    expect(lines.at(-1)).toMatchObject({
      kind: 'summary',
      before: ids[0],
      after: ids[1],
      added: 1,
      removed: 1,
      changed: 1,
      metadata: 2,
      bytesAdded: 12,
      bytesRemoved: 9,
    });
    expect(lines.find(({ path }) => path === 'sub/b.txt')).toMatchObject({
      change: 'metadata',
      fields: ['mode'],
      before: { mode: '4755' },
      after: { mode: '0600' },
    });
    expect(lines.find(({ path }) => path === 'a.conf')!.fields).toContain('content');
    expect(holdfast.ok(['diff', ids[1]!, ids[0]!])).toBe('M a.conf\nm sub\nm sub/b.txt\n+ sub/gone\n- sub/new.conf\n');
    expect(holdfast.ok(['diff', ids[1]!, ids[1]!])).toBe('');
  });

  it('tells the ranges of a volume, as a backup takes them', () => {
    const ranges = holdfast.ok(['diff', ids[2]!, ids[3]!]);
    expect(ranges).toBe(`${3 * MIB} 32768\n`);
    const file = holdfast.file('ranges', ranges);
    expect(holdfast.summary(['backup', at('disk.img'), '--asset', 'disk2', '--changed-ranges', file])).toMatchObject({
      type: 'volume',
    });
  });

  it('compares only what is of one kind', () => {
    expect(holdfast.fault(['diff', ids[0]!, ids[2]!])).toMatchObject({ code: 'USAGE', status: 2 });
    expect(holdfast.summary(['diff', ids[4]!, ids[4]!])).toMatchObject({ same: true });
  });
});

describe('stats', () => {
  it('tells what the repository holds', () => {
    const lines = linesOf(holdfast.ok(['stats', '--json']));
    expect(lines.filter(({ kind }) => kind === 'asset').map(({ asset }) => asset)).toContain('web');
    const summary = lines.at(-1)!;
    expect(summary).toMatchObject({ kind: 'summary', verb: 'stats', writers: 0 });
    expect(summary.snapshots).toBeGreaterThanOrEqual(5);
    expect(summary.logicalBytes).toBeGreaterThan(16 * MIB);
    expect(summary.rawBytes).toBeGreaterThan(8 * MIB);
    // Where the image is cut anew, and how much of it, depends on the repository's key.
    expect(summary.rawBytes).toBeLessThan(12 * MIB);
    expect(summary.dedupRatio).toBeGreaterThan(1.3);
    expect(holdfast.ok(['stats'])).toMatch(/dedup leaves .*\n.*compression leaves/);
  });

  it('is at peace with an empty repository', () => {
    const other = { variables: { HOLDFAST_REPO: at('empty') } };
    holdfast.ok(['init'], other);
    expect(linesOf(holdfast.ok(['stats', '--json'], other)).at(-1)).toMatchObject({
      snapshots: 0,
      packs: 0,
      storedBytes: 0,
      dedupRatio: 1,
    });
    expect(holdfast.ok(['snapshots'], other)).toBe('');
  });
});

describe('standard output', () => {
  const shell = (script: string, ...args: string[]) => {
    const env = {
      ...process.env,
      HOLDFAST_REPO: holdfast.repository,
      HOLDFAST_PASSPHRASE_FILE: at('secrets/passphrase'),
      HOLDFAST_CACHE_DIR: at('cache'),
    };
    return spawnSync('bash', ['-c', script, new URL('../../bin/holdfast', import.meta.url).pathname, ...args], {
      env,
      encoding: 'utf8',
    });
  };

  it('loses nothing to a slow reader', () => {
    for (let n = 0; n < 6000; n++) holdfast.file(`many/${n}`, '');
    const { entries } = holdfast.summary(['backup', at('many'), '--asset', 'many']);
    const { stdout } = shell('"$0" ls latest --asset many --json | while read -r line; do echo "$line"; done | wc -l');
    expect(Number(stdout)).toBe((entries as number) + 1);
    // Where the other end has made it a pipe that does not block, too.
    const reader =
      'const fs = require("fs"); process.stdin.on("data", (d) => { n += d.length; process.stdin.pause(); setImmediate(() => process.stdin.resume()); }); let n = 0; process.stdin.on("end", () => console.log(n));';
    const all = shell('"$0" ls latest --asset many --json | wc -c').stdout;
    expect(shell(`"$0" ls latest --asset many --json | "$1" -e '${reader}'`, process.execPath).stdout.trim()).toBe(all.trim());
  });

  it('of data loses nothing to a slow reader either', () => {
    const data = seededBytes(2 * MIB, 9);
    holdfast.ok(['backup', '-', '--asset', 'data'], { input: Buffer.from(data) });
    const reader =
      'const hash = require("crypto").createHash("sha256"); process.stdin.on("data", (d) => { hash.update(d); process.stdin.pause(); setImmediate(() => process.stdin.resume()); }); process.stdin.on("end", () => console.log(hash.digest("hex")));';
    const { stdout } = shell(`"$0" restore latest --asset data --stdout | "$1" -e '${reader}'`, process.execPath);
    expect(stdout.trim()).toBe(createHash('sha256').update(data).digest('hex'));
  });

  it('that nobody reads any more is no failure of a listing', () => {
    expect(shell('"$0" ls latest --asset many | head -n 1; echo "$PIPESTATUS"').stdout).toBe('.\n0\n');
  });

  it.each([
    ['ls', 'latest'],
    ['ls', 'latest', '--json'],
    ['restore', 'latest', '--asset', 'dump', '--stdout'],
    ['backup', '/etc/hostname', '--json'],
  ])('that is full is a failure of %s %s %s %s', (...args) => {
    const { status, stderr } = shell('"$0" "$@" > /dev/full', ...args);
    expect(status).toBe(1);
    expect(stderr).toContain('Cannot write to standard output: ENOSPC');
  });
});

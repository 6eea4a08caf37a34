import { linkSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { objectsIn, readTree } from '../support/repository.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised, linesOf } from './holdfast.ts';

const MIB = 1024 * 1024;

/** A second repository with a passphrase of its own beside the first. */
function withDestination(holdfast: Holdfast): {
  readonly to: readonly string[];
  readonly there: { readonly variables: Record<string, string> };
} {
  const location = holdfast.path('copy/repository');
  const file = holdfast.secret('copy', 'another passphrase');
  const there = { variables: { HOLDFAST_REPO: location, HOLDFAST_PASSPHRASE_FILE: file } };
  holdfast.ok(['init'], there);
  return { to: ['--to', location, '--to-passphrase-file', file], there };
}

function fill(holdfast: Holdfast): string {
  for (let n = 0; n < 40; n++) holdfast.file(`tree/small/${n}`, seededBytes(n * 700, n));
  holdfast.file('tree/large', seededBytes(18 * MIB, 100));
  holdfast.file('tree/medium', seededBytes(2 * MIB + 1, 101));
  holdfast.file('tree/paged', seededBytes(6 * MIB, 102));
  holdfast.file('tree/empty', '');
  linkSync(holdfast.path('tree/medium'), holdfast.path('tree/small/twin'));
  symlinkSync('large', holdfast.path('tree/link'));
  return holdfast.path('tree');
}

function packBytes(holdfast: Holdfast): number {
  return [...objectsIn(join(holdfast.directory, 'copy'), 'packs/').values()].reduce((sum, bytes) => sum + bytes, 0);
}

describe('copy', () => {
  it('copies trees, volumes and streams with all that is known of them, and then nothing', () => {
    const holdfast = initialised();
    const { to, there } = withDestination(holdfast);
    const tree = fill(holdfast);
    holdfast.ok(['backup', tree, '--tag', 'nightly', '--host', 'h1', '--asset', 'tree']);
    const image = Buffer.alloc(20 * MIB);
    image.set(seededBytes(3 * MIB, 200), 7 * MIB);
    holdfast.ok(['backup', holdfast.file('disk.img', image), '--asset', 'disk']);
    const stream = Buffer.from(seededBytes(3 * MIB, 300));
    holdfast.ok(['backup', '-', '--name', 'dump', '--asset', 'dump'], { input: stream });

    expect(holdfast.lines(['copy', ...to, '--dry-run']).map(({ kind }) => kind)).toEqual([
      'missing',
      'missing',
      'missing',
      'summary',
    ]);
    expect(packBytes(holdfast)).toBe(0);
    expect(holdfast.summary(['copy', ...to])).toMatchObject({ kind: 'summary', verb: 'copy', copied: 3, failed: 0, present: 0 });
    const originals = holdfast.lines(['snapshots']).slice(0, -1);
    const copies = holdfast.lines(['snapshots'], there).slice(0, -1);
    const known = ({
      asset,
      host,
      user,
      type,
      paths,
      startedAt,
      endedAt,
      files,
      directories,
      others,
      contentBytes,
      entries,
      program,
      problems,
    }: (typeof copies)[0]) => ({
      asset,
      host,
      user,
      type,
      paths,
      startedAt,
      endedAt,
      files,
      directories,
      others,
      contentBytes,
      entries,
      program,
      problems,
    });
    expect(copies.map(known)).toEqual(originals.map(known));
    expect(copies[0]!.tags).toEqual([
      'nightly',
      expect.stringMatching(new RegExp(`^copied-from=[0-9a-f]{32}/${originals[0]!.id}$`)),
    ]);
    expect(holdfast.summary(['verify', '--full'], there)).toMatchObject({ outcome: 'clean', snapshots: 3 });

    for (const [repository, name] of [
      [{}, 'out-original'],
      [there, 'out-copy'],
    ] as const)
      holdfast.ok(['restore', 'latest', '--asset', 'tree', '--target', holdfast.path(name)], repository);
    expect(readTree(holdfast.path('out-copy'))).toEqual(readTree(holdfast.path('out-original')));
    expect(holdfast.run(['restore', 'latest', '--asset', 'disk', '--stdout'], there).bytes.equals(image)).toBe(true);
    expect(holdfast.run(['restore', 'latest', '--asset', 'dump', '--stdout'], there).bytes.equals(stream)).toBe(true);

    expect(holdfast.summary(['copy', ...to])).toMatchObject({ copied: 0, present: 3, bytesRead: 0 });
  });

  it('reads only what differs from the snapshot that was copied before', () => {
    const holdfast = initialised();
    const { to, there } = withDestination(holdfast);
    const tree = fill(holdfast);
    holdfast.ok(['backup', tree, '--asset', 'tree']);
    const image = holdfast.file('disk.img', seededBytes(16 * MIB, 200));
    holdfast.ok(['backup', image, '--asset', 'disk']);
    holdfast.ok(['copy', ...to]);
    writeFileSync(join(tree, 'small/7'), 'changed');
    const paged = readFileSync(join(tree, 'paged'));
    paged.fill(1, 3 * MIB, 3 * MIB + 10);
    writeFileSync(join(tree, 'paged'), paged);
    const bytes = readFileSync(image);
    bytes.fill(2, 9 * MIB, 9 * MIB + 10);
    bytes.fill(0, 12 * MIB, 12 * MIB + 16_384);
    writeFileSync(image, bytes);
    holdfast.ok(['backup', tree, '--asset', 'tree']);
    holdfast.ok(['backup', image, '--asset', 'disk']);
    const summary = holdfast.summary(['copy', ...to]);
    expect(summary).toMatchObject({ copied: 2, present: 2, bytesRead: 7 + 2 * 16_384 });
    expect(summary.bytesStored).toBeLessThan(100_000);
    holdfast.ok(['restore', 'latest', '--asset', 'tree', '--target', holdfast.path('out')], there);
    expect(readTree(holdfast.path('out'))).toEqual(readTree(tree));
    expect(holdfast.run(['restore', 'latest', '--asset', 'disk', '--stdout'], there).bytes.equals(bytes)).toBe(true);
    expect(holdfast.summary(['verify', '--full'], there)).toMatchObject({ outcome: 'clean', snapshots: 4 });
  });

  it('stores what it copies as a backup there would: the next one finds all of it', () => {
    const holdfast = initialised();
    const { to, there } = withDestination(holdfast);
    const tree = fill(holdfast);
    holdfast.ok(['backup', tree, '--asset', 'tree']);
    holdfast.ok(['copy', ...to]);
    expect(holdfast.summary(['backup', tree, '--asset', 'other', '--force'], there)).toMatchObject({ bytesNew: 0, parent: null });
  });

  it('copies those that are named or that filters let through', () => {
    const holdfast = initialised();
    const { to, there } = withDestination(holdfast);
    for (const n of [1, 2, 3]) holdfast.ok(['backup', '-', '--asset', `a${n}`, '--tag', `t${n}`], { input: `content ${n}` });
    expect(holdfast.summary(['copy', ...to, '--tag', 't2'])).toMatchObject({ copied: 1 });
    expect(holdfast.summary(['copy', 'latest', 'latest~2', 'latest', ...to])).toMatchObject({ copied: 2 });
    expect(holdfast.lines(['snapshots'], there).map(({ asset }) => asset)).toEqual(['a1', 'a2', 'a3', undefined]);
  });

  it('copies what is whole when one snapshot is damaged, and ends with 4', () => {
    const holdfast = initialised();
    const { to, there } = withDestination(holdfast);
    holdfast.ok(['backup', '-', '--asset', 'a'], { input: Buffer.from(seededBytes(MIB, 1)) });
    const [broken] = [...objectsIn(holdfast.directory, 'packs/')].sort(([, a], [, b]) => b - a)[0]!;
    holdfast.ok(['backup', '-', '--asset', 'b'], { input: Buffer.from(seededBytes(MIB, 2)) });
    rmSync(join(holdfast.repository, broken));
    const lines = holdfast.lines(['copy', ...to], { status: 4 });
    expect(lines.map(({ kind }) => kind)).toEqual(['warning', 'copied', 'summary']);
    expect(lines.at(-1)).toMatchObject({ copied: 1, failed: 1 });
    expect(holdfast.lines(['snapshots'], there).map(({ asset }) => asset)).toEqual(['b', undefined]);
  });

  it('passes over what somebody forgets meanwhile, which is no damage', async () => {
    const holdfast = initialised();
    const { to } = withDestination(holdfast);
    const ids = ['a', 'b', 'c'].map(
      (asset, n) => holdfast.summary(['backup', '-', '--asset', asset], { input: Buffer.from(seededBytes(4 * MIB, n)) }).snapshot,
    );
    const child = holdfast.start(['copy', ...to, '--json', '--upload-limit', '1MiB']);
    let stdout = '';
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise<void>((resolve) =>
      child.stdout!.on('data', (data) => {
        stdout += data;
        if (stdout.includes('"kind":"copied"')) resolve();
      }),
    );
    child.kill('SIGSTOP');
    holdfast.ok(['forget', ids[2] as string]);
    child.kill('SIGCONT');
    expect(await ended).toBe(0);
    expect(linesOf(stdout).at(-1)).toMatchObject({ kind: 'summary', copied: 2, failed: 0, forgotten: 1 });
  });

  it('needs two repositories, and the passphrase of each', () => {
    const holdfast = initialised();
    const { to } = withDestination(holdfast);
    const same = ['--to', holdfast.repository, '--to-passphrase-file', holdfast.path('secrets/passphrase')];
    expect(holdfast.fault(['copy', ...same])).toMatchObject({ code: 'USAGE', status: 2 });
    expect(holdfast.fault(['copy', ...to.slice(0, 2)])).toMatchObject({ code: 'KEY_PASSPHRASE_MISSING', status: 2 });
    expect(holdfast.fault(['copy', ...to.slice(0, 2), '--to-passphrase-file', holdfast.path('secrets/passphrase')])).toMatchObject({
      code: 'KEY_PASSPHRASE_WRONG',
      status: 1,
    });
    expect(holdfast.fault(['copy', '--to', holdfast.path('none'), ...to.slice(2)])).toMatchObject({ status: 1 });
  });
});

// Verbs that take away and prove: forget, prune, verify, scrub, repair.

import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { objectsIn } from '../support/repository.ts';
import { seededBytes } from '../support/seeded-random.ts';
import { type Holdfast, initialised } from './holdfast.ts';

const MIB = 1024 * 1024;

/** Snapshots of 2 MiB of new bytes each. */
function withSnapshots(count: number): { readonly holdfast: Holdfast; readonly ids: string[] } {
  const holdfast = initialised();
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    holdfast.file('tree/file', seededBytes(2 * MIB, n));
    ids.push(
      holdfast.summary(['backup', holdfast.path('tree'), '--asset', 'tree', ...(n === 0 ? ['--tag', 'keep'] : [])])
        .snapshot as string,
    );
  }
  return { holdfast, ids };
}

function snapshotsOf(holdfast: Holdfast): unknown[] {
  return holdfast
    .lines(['snapshots'])
    .slice(0, -1)
    .map(({ id }) => id);
}

function storedBytes(holdfast: Holdfast): number {
  return [...objectsIn(holdfast.directory, 'packs/').values()].reduce((sum, bytes) => sum + bytes, 0);
}

describe('forget', () => {
  it('tells with --dry-run what it would do and why, and does nothing', () => {
    const { holdfast, ids } = withSnapshots(3);
    const lines = holdfast.lines(['forget', '--keep-last', '1', '--keep-tag', 'keep', '--dry-run']);
    expect(lines.map(({ kind, id }) => [kind, id])).toEqual([
      ['kept', ids[2]],
      ['kept', ids[0]],
      ['forgotten', ids[1]],
      ['summary', undefined],
    ]);
    expect(lines[0]!.reasons).toEqual(['the newest']);
    expect(lines.at(-1)).toMatchObject({ dryRun: true, forgotten: 1, kept: 2, snapshots: [ids[1]] });
    expect(snapshotsOf(holdfast)).toEqual(ids);
    holdfast.ok(['forget', '--keep-last', '1', '--keep-tag', 'keep']);
    expect(snapshotsOf(holdfast)).toEqual([ids[0], ids[2]]);
  });

  it('drops those that are named', () => {
    const { holdfast, ids } = withSnapshots(2);
    expect(holdfast.fault(['forget', ids[0]!, 'ffffff'])).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    expect(snapshotsOf(holdfast)).toEqual(ids);
    expect(holdfast.summary(['forget', ids[0]!.slice(0, 8)])).toMatchObject({ forgotten: 1, snapshots: [ids[0]] });
    expect(snapshotsOf(holdfast)).toEqual([ids[1]]);
  });

  it('says that they are forgotten when their registers may not be deleted', () => {
    const { holdfast, ids } = withSnapshots(2);
    const register = join(holdfast.repository, 'snapshots', `${ids[0]!}~`);
    chmodSync(join(holdfast.repository, 'snapshots'), 0o555);
    chmodSync(register, 0o555);
    const lines = holdfast.lines(['forget', ids[0]!], { status: 3, isHeldToModes: true });
    expect(lines.slice(-2)).toMatchObject([
      { kind: 'warning', code: 'STORE_DENIED' },
      { kind: 'summary', forgotten: 1, snapshots: [ids[0]] },
    ]);
    expect(snapshotsOf(holdfast)).toEqual([ids[1]]);
    chmodSync(join(holdfast.repository, 'snapshots'), 0o755);
    chmodSync(register, 0o755);
    holdfast.ok(['prune']);
    expect(existsSync(register)).toBe(false);
    holdfast.ok(['verify', '--full']);
  });

  it('refuses a policy that keeps nothing, unless it is meant so', () => {
    const { holdfast, ids } = withSnapshots(1);
    expect(holdfast.fault(['forget', '--keep-tag', 'none'])).toMatchObject({ code: 'RETENTION_DROPS_ALL', status: 2 });
    expect(snapshotsOf(holdfast)).toEqual(ids);
    holdfast.ok(['forget', '--keep-tag', 'none', '--allow-empty']);
    expect(snapshotsOf(holdfast)).toEqual([]);
  });
});

describe('forget --prune', () => {
  it('frees the space in the same run', () => {
    const { holdfast, ids } = withSnapshots(3);
    const before = storedBytes(holdfast);
    const summary = holdfast.summary(['forget', '--keep-last', '1', '--prune', '--max-unused', '0']);
    expect(summary).toMatchObject({ verb: 'forget', forgotten: 2, prune: { dryRun: false, snapshots: 1 } });
    expect(storedBytes(holdfast)).toBeLessThan(before - 4 * MIB);
    expect(snapshotsOf(holdfast)).toEqual([ids[2]]);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 1 });
  });

  it('frees nothing in a dry run', () => {
    const { holdfast, ids } = withSnapshots(2);
    const before = storedBytes(holdfast);
    const summary = holdfast.summary(['forget', '--keep-last', '1', '--prune', '--dry-run']);
    expect(summary).toMatchObject({ dryRun: true, forgotten: 1 });
    expect(summary.prune).toBeUndefined();
    expect(storedBytes(holdfast)).toBe(before);
    expect(snapshotsOf(holdfast)).toEqual(ids);
  });
});

describe('prune', () => {
  it('frees what was forgotten, after --dry-run has told how much', () => {
    const { holdfast, ids } = withSnapshots(3);
    holdfast.ok(['forget', ids[0]!, ids[1]!]);
    const before = storedBytes(holdfast);
    const dry = holdfast.summary(['prune', '--dry-run', '--max-unused', '0']);
    expect(dry).toMatchObject({ kind: 'summary', verb: 'prune', dryRun: true });
    expect(dry.bytesFreed).toBeGreaterThan(4 * MIB);
    expect(storedBytes(holdfast)).toBe(before);
    holdfast.ok(['prune', '--max-unused', '0']);
    expect(storedBytes(holdfast)).toBeLessThan(before - 4 * MIB);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 1 });
    holdfast.ok(['restore', 'latest', '--target', holdfast.path('out')]);
    expect(readFileSync(holdfast.path('out/file')).equals(seededBytes(2 * MIB, 2))).toBe(true);
  });

  it('needs the key of an owner', () => {
    const holdfast = initialised();
    holdfast.ok(['key', 'add', '--role', 'writer', '--asset', 'a', '--new-passphrase-file', holdfast.secret('writer', 'w')]);
    const variables = { HOLDFAST_PASSPHRASE_FILE: holdfast.path('secrets/writer') };
    expect(holdfast.fault(['prune'], { variables })).toMatchObject({ code: 'KEY_CANNOT_READ', status: 1 });
  });
});

describe('verify', () => {
  it('looks at the structure, at a share of the packs, or at all', () => {
    const { holdfast } = withSnapshots(2);
    expect(holdfast.summary(['verify'])).toMatchObject({
      depth: 'structure',
      outcome: 'clean',
      packsRead: 0,
      damaged: 0,
      affected: 0,
    });
    expect(holdfast.summary(['verify', '--sample', '50%', '--seed', '7'])).toMatchObject({
      depth: 'sample',
      seed: 7,
      outcome: 'clean',
    });
    const full = holdfast.summary(['verify', '--full']);
    expect(full).toMatchObject({ depth: 'full', outcome: 'clean', snapshots: 2 });
    expect(full.packsRead).toBe(full.packs);
  });

  it('ends with 4 when one bit of a pack is flipped, and names what it belongs to', () => {
    const { holdfast, ids } = withSnapshots(2);
    flipLargestPack(holdfast);
    const lines = holdfast.lines(['verify', '--full'], { status: 4 });
    expect(lines.at(-1)).toMatchObject({ outcome: 'damaged' });
    const affected = lines.filter(({ kind }) => kind === 'affected');
    expect(affected).toHaveLength(1);
    expect(ids).toContain(affected[0]!.snapshot);
    expect(affected[0]!.paths).toEqual([{ path: 'file' }]);
    expect(lines.filter(({ kind }) => kind === 'damage').length).toBeGreaterThan(0);
    expect(holdfast.run(['verify', '--full']).stdout).toContain('DAMAGED');
  });
});

describe('scrub', () => {
  it('needs no passphrase, and ends with 4 when an object is not what its name says', () => {
    const { holdfast } = withSnapshots(1);
    const without = { variables: { HOLDFAST_PASSPHRASE_FILE: undefined } };
    expect(holdfast.summary(['scrub'], without)).toMatchObject({ outcome: 'clean', indexes: 1, damaged: 0 });
    flipLargestPack(holdfast);
    expect(holdfast.summary(['scrub'], { ...without, status: 4 })).toMatchObject({ outcome: 'damaged', damaged: 1 });
  });
});

describe('repair', () => {
  it('tells with --dry-run, isolates what is lost, names it with 4, and the next backup makes it whole', () => {
    const { holdfast, ids } = withSnapshots(2);
    flipLargestPack(holdfast);
    expect(holdfast.summary(['repair', '--dry-run'], { status: 4 })).toMatchObject({ dryRun: true, outcome: 'lost' });
    const lines = holdfast.lines(['repair'], { status: 4 });
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', verb: 'repair', dryRun: false, outcome: 'lost', affected: 1 });
    const lost = lines.find(({ kind }) => kind === 'affected')!.snapshot;
    expect(ids).toContain(lost);
    holdfast.ok(['backup', holdfast.path('tree'), '--asset', 'tree', '--force']);
    holdfast.ok(['forget', lost as string]);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
    expect(holdfast.summary(['repair'])).toMatchObject({ outcome: 'clean' });
  });

  it('takes what is damaged from another copy', () => {
    const { holdfast } = withSnapshots(2);
    cpSync(holdfast.repository, holdfast.path('replica'), { recursive: true, preserveTimestamps: true });
    flipLargestPack(holdfast);
    expect(holdfast.summary(['repair', '--from', holdfast.path('replica')])).toMatchObject({
      outcome: 'mended',
      packsFetched: 1,
      affected: 0,
    });
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
  });

  it('makes a lost index anew', () => {
    const { holdfast } = withSnapshots(2);
    for (const key of objectsIn(holdfast.directory, 'index/').keys()) rmSync(join(holdfast.repository, key));
    rmSync(holdfast.path('cache'), { recursive: true });
    expect(holdfast.summary(['repair'])).toMatchObject({ outcome: 'mended' });
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
  });

  it('makes a damaged head anew, when it is told to, and calls it damage until then', () => {
    const { holdfast, ids } = withSnapshots(2);
    const values = readdirSync(join(holdfast.repository, 'head~'), { recursive: true }) as string[];
    const path = join(holdfast.repository, 'head~', values.sort().at(-1)!);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(path, bytes);
    for (const verb of ['snapshots', 'verify', 'repair'])
      expect(holdfast.fault([verb]), verb).toMatchObject({ code: 'HEAD_DAMAGED', status: 4 });
    expect(holdfast.lines(['repair', '--rebuild-head', '--dry-run']).at(-1)).toMatchObject({ kind: 'summary', dryRun: true });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(holdfast.lines(['repair', '--rebuild-head']).at(-1)).toMatchObject({ kind: 'summary', outcome: 'clean' });
    expect(snapshotsOf(holdfast).sort()).toEqual([...ids].sort());
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
  });

  it('makes a lost head anew of what can still be read, and names the snapshot that cannot', () => {
    const { holdfast, ids } = withSnapshots(3);
    const [first, second, third] = ids as [string, string, string];
    rmSync(join(holdfast.repository, 'head~'), { recursive: true });
    const register = join(holdfast.repository, 'snapshots', `${second}~`);
    const values = (readdirSync(register, { recursive: true }) as string[]).sort();
    writeFileSync(join(register, values.at(-1)!), 'torn');
    const lines = holdfast.lines(['repair', '--rebuild-head'], { status: 4 });
    expect(lines.find(({ kind }) => kind === 'head')).toMatchObject({ snapshots: 2, damaged: 1 });
    expect(lines.find(({ kind }) => kind === 'warning')).toMatchObject({ code: 'SNAPSHOT_DAMAGED', snapshot: second });
    expect(snapshotsOf(holdfast).sort()).toEqual([first, third].sort());
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
  });

  it('leaves a snapshot that cannot be read to the side: the others are listed, restored and added to, and it can be forgotten', () => {
    const { holdfast, ids } = withSnapshots(3);
    const [first, second, third] = ids as [string, string, string];
    const register = join(holdfast.repository, 'snapshots', `${third}~`);
    const values = (readdirSync(register, { recursive: true }) as string[]).sort();
    writeFileSync(join(register, values.at(-1)!), 'torn');
    const listed = holdfast.lines(['snapshots'], { status: 4 });
    expect(listed.filter(({ kind }) => kind === 'snapshot').map(({ id }) => id)).toEqual([first, second]);
    expect(listed.find(({ kind }) => kind === 'warning')).toMatchObject({ code: 'SNAPSHOT_DAMAGED', snapshot: third });
    expect(listed.at(-1)).toMatchObject({ kind: 'summary', snapshots: 2, damaged: 1 });
    // Which one is the latest, nobody can tell.
    for (const name of ['latest', third])
      expect(holdfast.fault(['restore', name, '--target', holdfast.path('out')])).toMatchObject({
        code: 'SNAPSHOT_DAMAGED',
        status: 4,
      });
    holdfast.ok(['restore', second, '--target', holdfast.path('out')]);
    holdfast.ok(['backup', holdfast.path('tree'), '--asset', 'tree']);
    expect(holdfast.lines(['forget', '--keep-last', '1'], { status: 4 }).at(-1)).toMatchObject({ forgotten: 2, damaged: 1 });
    expect(holdfast.fault(['prune']).status).toBe(4);
    expect(holdfast.summary(['forget', third])).toMatchObject({ forgotten: 1, snapshots: [third] });
    holdfast.ok(['prune']);
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 1 });
  });

  it('makes a lost head anew, when it is told to', () => {
    const { holdfast, ids } = withSnapshots(2);
    for (const name of readdirSync(holdfast.repository))
      if (name.startsWith('head')) rmSync(join(holdfast.repository, name), { recursive: true });
    expect(holdfast.fault(['repair'])).toMatchObject({ code: 'HEAD_MISSING', status: 4 });
    const lines = holdfast.lines(['repair', '--rebuild-head']);
    expect(lines.find(({ kind }) => kind === 'head')).toMatchObject({ snapshots: 2 });
    expect(snapshotsOf(holdfast).sort()).toEqual([...ids].sort());
    expect(holdfast.summary(['verify', '--full'])).toMatchObject({ outcome: 'clean', snapshots: 2 });
  });
});

describe('a restore of what is damaged', () => {
  it('restores the rest, tells what is lost, and ends with 4', () => {
    const holdfast = initialised();
    for (let n = 0; n < 8; n++) holdfast.file(`tree/f${n}`, seededBytes(MIB, n));
    holdfast.ok(['backup', holdfast.path('tree'), '--threads', '1']);
    flipLargestPack(holdfast);
    const lines = holdfast.lines(['restore', 'latest', '--target', holdfast.path('out')], { status: 4 });
    const lost = lines.filter(({ kind }) => kind === 'warning').map(({ path }) => path as string);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(8);
    for (let n = 0; n < 8; n++) {
      if (!lost.includes(`f${n}`)) expect(readFileSync(holdfast.path(`out/f${n}`)).equals(seededBytes(MIB, n))).toBe(true);
    }
    expect(lines.at(-1)).toMatchObject({ kind: 'summary', damaged: lost.length });
  });
});

describe('what is missing in the store', () => {
  it.each([
    ['an index object', 'index/', 4],
    ['a pack', 'packs/', 4],
  ])('%s is found by verify, which ends with %s -> %i', (_, prefix, status) => {
    const { holdfast } = withSnapshots(1);
    const key = [...objectsIn(holdfast.directory, prefix).keys()][0]!;
    rmSync(join(holdfast.repository, key));
    // Whoever has seen the repository whole has a cache; a stranger has none.
    rmSync(holdfast.path('cache'), { recursive: true });
    expect(holdfast.summary(['verify'], { status })).toMatchObject({ outcome: 'damaged' });
  });

  it('half an object is found by verify and by scrub', () => {
    const { holdfast } = withSnapshots(1);
    const path = largestPack(holdfast);
    writeFileSync(path, readFileSync(path).subarray(0, 100_000));
    expect(holdfast.summary(['verify', '--full'], { status: 4 })).toMatchObject({ outcome: 'damaged' });
    expect(holdfast.summary(['scrub'], { status: 4 })).toMatchObject({ damaged: 1 });
  });
});

function largestPack(holdfast: Holdfast): string {
  const [key] = [...objectsIn(holdfast.directory, 'packs/')].sort(([, a], [, b]) => b - a)[0]!;
  return join(holdfast.repository, key);
}

function flipLargestPack(holdfast: Holdfast): void {
  const path = largestPack(holdfast);
  const bytes = readFileSync(path);
  bytes[1000] = bytes[1000]! ^ 1;
  writeFileSync(path, bytes);
  expect(readdirSync(holdfast.repository)).toContain('packs');
}

// Objects of a log that are changed, cut short or taken away: found, named with the time that they cost, and never led over.

import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { planRecovery, recoveryWindow } from '../../src/engine/recovery-plan.ts';
import { repair } from '../../src/engine/repair.ts';
import { scrub, type VerifyDepth, verify } from '../../src/engine/verify.ts';
import { recordDamage } from '../../src/engine/verify-log.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { openFsStore } from '../../src/store/fs-store.ts';
import { ASSET, logBytes, makeBase, newLogWriter, RECORD, SECTION, timeAt, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

const END = 4 * SECTION + 3 * RECORD;

/** Five sections, the last one open; a base at the beginning and one in the fourth. */
async function protectedAsset(): Promise<{ readonly repository: Repository; readonly directory: string }> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  const writer = newLogWriter(repository);
  for (const to of [4 * SECTION, END - 2 * RECORD, END - RECORD, END]) await writeLog(writer, to);
  await makeBase(repository, { start: RECORD });
  await makeBase(repository, { start: 3 * SECTION });
  return { repository, directory };
}

/** Files of log objects in the order of the log: four sections, three ranges. */
function objectsOf(directory: string): string[] {
  const root = join(directory, 'repository/log');
  const found = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return found.map(({ parentPath, name }) => join(parentPath, name)).sort();
}

function flip(path: string, share: number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length * share);
  bytes[at] = bytes[at]! ^ 0x20;
  rmSync(path);
  writeFileSync(path, bytes);
}

type Seen = { readonly intervals: readonly (readonly [number, number])[]; readonly gaps: readonly (readonly [number, number])[] };

async function windowOf(repository: Repository): Promise<Seen> {
  const { facts, view } = (await readClusterFacts(repository, ASSET))!;
  const intervals = await recoveryWindow(facts, view.timeline);
  return {
    intervals: intervals.map(({ from, to }) => [from.time, to.time]),
    gaps: facts.gaps.map(({ from, to }) => [from, to]),
  };
}

async function verified(repository: Repository, kind: 'structure' | 'full'): Promise<Awaited<ReturnType<typeof verify>>> {
  const depth: VerifyDepth = { kind };
  const report = await verify(repository, { depth, threads: 1 });
  await recordDamage(repository, report.logs, new Date(), {});
  return report;
}

const WHOLE: Seen = { intervals: [[timeAt(2 * RECORD), timeAt(END - RECORD)]], gaps: [] };
/** Without the third section. */
const SPLIT: Seen = {
  intervals: [
    [timeAt(2 * RECORD), timeAt(2 * SECTION - RECORD)],
    [timeAt(3 * SECTION + RECORD), timeAt(END - RECORD)],
  ],
  gaps: [[2 * SECTION, 3 * SECTION]],
};

describe('a damaged log', () => {
  it('that is whole is clean in every depth', async () => {
    const { repository, directory } = await protectedAsset();
    expect(await windowOf(repository)).toEqual(WHOLE);
    expect((await verified(repository, 'structure')).logs).toMatchObject({ objects: 7, objectsRead: 0, damaged: [] });
    expect((await verified(repository, 'full')).logs).toMatchObject({ objects: 7, objectsRead: 7, bytesRead: END, damaged: [] });
    const sample = await verify(repository, { depth: { kind: 'sample', share: 0.5, seed: 1 }, threads: 1 });
    const rest = await verify(repository, { depth: { kind: 'sample', share: 0.5, seed: 2 }, threads: 1 });
    expect(sample.logs.objectsRead + rest.logs.objectsRead).toBe(7);
    const store = await openFsStore(join(directory, 'repository'));
    expect(await scrub(store, { threads: 1 })).toMatchObject({ outcome: 'clean', logs: 7 });
    await store.close();
  });

  it('with a flipped bit is found by full verify and by scrub; then the window has a gap, and plans lead nowhere over it', async () => {
    const { repository, directory } = await protectedAsset();
    const path = objectsOf(directory)[2]!;
    flip(path, 0.9);
    const store = await openFsStore(join(directory, 'repository'));
    const { damaged } = await scrub(store, { threads: 1 });
    await store.close();
    expect(damaged.map(({ key }) => join(directory, 'repository', key))).toEqual([path]);
    const report = await verified(repository, 'full');
    expect(report.outcome).toBe('damaged');
    expect(report.logs.damaged).toMatchObject([
      {
        asset: ASSET,
        from: 2 * SECTION,
        to: 3 * SECTION,
        after: timeAt(2 * SECTION - RECORD),
        before: timeAt(3 * SECTION),
        isElsewhere: false,
      },
    ]);
    expect(report.damaged.map(({ kind }) => kind)).toEqual(['log']);
    expect(await windowOf(repository)).toEqual(SPLIT);
    const { facts, view } = (await readClusterFacts(repository, ASSET))!;
    const plan = await planRecovery(facts, view.timeline, { kind: 'time', time: timeAt(2 * SECTION + 5 * RECORD) });
    expect(plan).toMatchObject({ kind: 'gap', gap: { from: 2 * SECTION, to: 3 * SECTION } });
    expect((plan as { reason: string }).reason).toContain('not those that were written');
    // What is lost stays damage until it is mended.
    expect((await verified(repository, 'structure')).outcome).toBe('damaged');
  });

  it('with a section that is gone has a gap at once, before anybody verified anything', async () => {
    const { repository, directory } = await protectedAsset();
    rmSync(objectsOf(directory)[2]!);
    expect(await windowOf(repository)).toEqual(SPLIT);
    expect((await verified(repository, 'structure')).logs.damaged).toMatchObject([{ from: 2 * SECTION, to: 3 * SECTION }]);
    expect(await windowOf(repository)).toEqual(SPLIT);
  });

  it('that is cut short is found by its structure', async () => {
    for (const [n, bytes] of [
      [2, -1],
      [2, 20],
      [2, 0],
    ] as const) {
      const { repository, directory } = await protectedAsset();
      const path = objectsOf(directory)[n]!;
      truncateSync(path, bytes < 0 ? readFileSync(path).length + bytes : bytes);
      expect((await verified(repository, 'structure')).logs.damaged).toMatchObject([{ from: 2 * SECTION, to: 3 * SECTION }]);
      expect(await windowOf(repository)).toEqual(SPLIT);
    }
  });

  it('with a range that is gone or changed loses what lies behind it, until the section is stored', async () => {
    for (const harm of ['gone', 'changed'] as const) {
      const { repository, directory } = await protectedAsset();
      const path = objectsOf(directory)[5]!;
      if (harm === 'gone') rmSync(path);
      else flip(path, 0.3);
      await verified(repository, 'full');
      expect(await windowOf(repository), harm).toEqual({
        intervals: [[timeAt(2 * RECORD), timeAt(END - 3 * RECORD)]],
        gaps: [[END - 2 * RECORD, END - RECORD]],
      });
    }
  });

  it('is mended from another copy; what that has not either is lost, and named', async () => {
    const { repository, directory } = await protectedAsset();
    const copy = scratchDirectory();
    cpSync(join(directory, 'repository'), copy, { recursive: true });
    const paths = objectsOf(directory);
    flip(paths[2]!, 0.9);
    rmSync(paths[0]!);
    const from = await openFsStore(copy);
    rmSync(paths[0]!.replace(join(directory, 'repository'), copy));
    const report = await repair(repository, { by: 'test', threads: 1, from });
    expect(report).toMatchObject({ outcome: 'lost', logsMended: 1, damagedCount: 2 });
    expect(await windowOf(repository)).toEqual({
      intervals: [[timeAt(3 * SECTION + RECORD), timeAt(END - RECORD)]],
      gaps: [[0, SECTION]],
    });
    await from.close();
  });

  it('is whole again when the object is back, and a full verify has read it', async () => {
    const { repository, directory } = await protectedAsset();
    const path = objectsOf(directory)[2]!;
    const good = readFileSync(path);
    flip(path, 0.9);
    await verified(repository, 'full');
    expect(await windowOf(repository)).toEqual(SPLIT);
    rmSync(path);
    writeFileSync(path, good);
    await verified(repository, 'structure');
    expect(await windowOf(repository)).toEqual(SPLIT);
    expect((await verified(repository, 'full')).outcome).toBe('clean');
    expect(await windowOf(repository)).toEqual(WHOLE);
  });

  it('that another capture has stored, too, is read from there, and the window stays whole', async () => {
    const { repository, directory } = await protectedAsset();
    const before = objectsOf(directory);
    await writeLog(newLogWriter(repository, { from: SECTION, host: 'standby' }), END);
    rmSync(before[2]!);
    flip(before[3]!, 0.9);
    const report = await verified(repository, 'full');
    expect(report.logs.damaged).toMatchObject([{ isElsewhere: true }, { isElsewhere: true }]);
    expect(await windowOf(repository)).toEqual(WHOLE);
    const { view } = (await readClusterFacts(repository, ASSET))!;
    const read = new Uint8Array(END);
    await view.read(1, 0, read);
    expect(Buffer.compare(read, logBytes(0, END))).toBe(0);
  });

  it('without its catalogue is damage, not an empty log', async () => {
    const { repository, directory } = await protectedAsset();
    rmSync(join(directory, 'repository/logs'), { recursive: true });
    expect((await verify(repository, { depth: { kind: 'structure' }, threads: 1 })).damaged).toMatchObject([
      { kind: 'log', id: expect.stringMatching(/^logs\//) },
    ]);
  });
});

// Logs in a copy of a repository: only what is missing is read, and whatever was copied last, the window there has no hole.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { trimCluster } from '../../src/engine/cluster-retention.ts';
import { copySnapshot } from '../../src/engine/copy.ts';
import { type CopiedLog, copyLog } from '../../src/engine/copy-log.ts';
import { CopyProgress } from '../../src/engine/copy-run.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import { dyingStore } from '../support/dying-store.ts';
import { ASSET, logBytes, makeBase, newLogWriter, RECORD, SECTION, timeAt, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { openRepository } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

const signal = new AbortController().signal;

function copy(from: Repository, to: Repository, dryRun = false): Promise<CopiedLog> {
  return copyLog(from, to, ASSET, { host: 'copy', now: () => new Date(), dryRun, signal, progress: new CopyProgress() });
}

function copyBase(from: Repository, to: Repository, base: Snapshot): Promise<Snapshot> {
  return copySnapshot(from, to, base, { threads: 1, level: 1, signal, progress: new CopyProgress() });
}

async function windowOf(repository: Repository): Promise<(readonly [number, number])[]> {
  const cluster = await readClusterFacts(repository, ASSET);
  if (cluster === undefined) return [];
  const intervals = await recoveryWindow(cluster.facts, cluster.view.timeline);
  return intervals.map(({ from, to }) => [from.time, to.time]);
}

/** Every byte and every mark once. */
async function mustHold(repository: Repository, from: number, to: number): Promise<void> {
  const { view } = (await readClusterFacts(repository, ASSET))!;
  const read = new Uint8Array(to - from);
  await view.read(1, from, read);
  expect(Buffer.compare(read, logBytes(from, to))).toBe(0);
  const positions: number[] = [];
  for await (const { position } of view.marks(1, from, to)) positions.push(position);
  expect(positions).toEqual(Array.from({ length: (to - from) / RECORD }, (_, n) => from + n * RECORD));
}

describe('the log in a copy', () => {
  it('is what the bases there need, and each run brings only what is missing', async () => {
    const [from, to] = [await newRepository(scratchDirectory()), await newRepository(scratchDirectory())];
    const writer = newLogWriter(from);
    await writeLog(writer, SECTION + 5 * RECORD);
    const base = await makeBase(from, { start: 2 * RECORD });
    expect(await copy(from, to)).toEqual({ bytes: 0, damaged: [] });
    await copyBase(from, to, base);
    expect(await copy(from, to, true)).toMatchObject({ bytes: SECTION + 5 * RECORD });
    expect(await windowOf(to)).toEqual([]);
    expect(await copy(from, to)).toMatchObject({ bytes: SECTION + 5 * RECORD });
    expect(await windowOf(to)).toEqual(await windowOf(from));
    await writeLog(writer, SECTION + 7 * RECORD);
    await writeLog(writer, 3 * SECTION + 2 * RECORD);
    expect(await copy(from, to)).toMatchObject({ bytes: 2 * SECTION - 3 * RECORD });
    expect(await copy(from, to)).toMatchObject({ bytes: 0 });
    await mustHold(to, 0, 3 * SECTION + 2 * RECORD);
    expect(await windowOf(to)).toEqual([[timeAt(3 * RECORD), timeAt(3 * SECTION + RECORD)]]);
  });

  it('comes along while a capture goes on, over the end of one epoch and the begin of the next', async () => {
    const [from, to] = [await newRepository(scratchDirectory()), await newRepository(scratchDirectory())];
    let writer = newLogWriter(from);
    await writeLog(writer, 2 * RECORD);
    await copyBase(from, to, await makeBase(from, { start: 0 }));
    let copying = Promise.resolve(0);
    let runs = 0;
    for (let end = 4 * RECORD; end <= 2 * SECTION + 8 * RECORD; end += 2 * RECORD) {
      if (end === SECTION + 4 * RECORD) writer = newLogWriter(from, { from: SECTION });
      await writeLog(writer, end);
      copying = copying.then(async () => (await copy(from, to)).bytes);
      runs++;
      const window = await windowOf(to);
      expect(window.length).toBeLessThanOrEqual(1);
    }
    await copying;
    expect(runs).toBeGreaterThan(10);
    await mustHold(to, 0, 2 * SECTION + 8 * RECORD);
    expect(await windowOf(to)).toEqual(await windowOf(from));
  });

  it('can be restored wherever a copy dies, and the next one goes on', async () => {
    const from = await newRepository(scratchDirectory());
    const writer = newLogWriter(from);
    await writeLog(writer, 2 * SECTION + 3 * RECORD);
    const base = await makeBase(from, { start: 0 });
    const whole = await windowOf(from);
    for (let dieAt = 0; dieAt < 6; dieAt++) {
      const dying = dyingStore('swap', 'put');
      const to = await openRepository(scratchDirectory(), { init: true, wrap: dying.wrap });
      await copyBase(from, to, base);
      dying.left = dieAt;
      const failure = await copy(from, to).catch((error: unknown) => error);
      dying.left = Number.POSITIVE_INFINITY;
      const window = await windowOf(to);
      expect(window.length, String(failure)).toBeLessThanOrEqual(1);
      if (window.length === 1) expect(window[0]![0]).toBe(whole[0]![0]);
      await copy(from, to);
      expect(await windowOf(to)).toEqual(whole);
      await mustHold(to, 0, 2 * SECTION + 3 * RECORD);
      await to.close();
    }
  });

  it('has a gap with its cause where the source is damaged, and what lies behind it', async () => {
    const directory = scratchDirectory();
    const [from, to] = [await newRepository(directory), await newRepository(scratchDirectory())];
    await writeLog(newLogWriter(from), 4 * SECTION);
    for (const start of [0, 3 * SECTION]) await copyBase(from, to, await makeBase(from, { start }));
    const root = join(directory, 'repository/log');
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const path = files.map(({ parentPath, name }) => join(parentPath, name)).sort()[1]!;
    const bytes = readFileSync(path);
    bytes[bytes.length - 100]! ^= 1;
    rmSync(path);
    writeFileSync(path, bytes);
    const { damaged } = await copy(from, to);
    expect(damaged).toMatchObject([{ timeline: 1, from: SECTION, to: 2 * SECTION }]);
    expect(await windowOf(to)).toEqual([
      [timeAt(RECORD), timeAt(SECTION - RECORD)],
      [timeAt(3 * SECTION + RECORD), timeAt(4 * SECTION - RECORD)],
    ]);
    const { facts } = (await readClusterFacts(to, ASSET))!;
    expect(facts.gaps).toMatchObject([{ from: SECTION, to: 2 * SECTION, cause: expect.stringContaining('not copied') }]);
  });

  it('is refused when the log there is another one under the same name', async () => {
    const [from, to] = [await newRepository(scratchDirectory()), await newRepository(scratchDirectory())];
    const other = newLogWriter(to);
    other.append(new Uint8Array(4 * RECORD), [], 4 * RECORD);
    await other.flush();
    await writeLog(newLogWriter(from), 8 * RECORD);
    await copyBase(from, to, await makeBase(from, { start: 0 }));
    await expect(copy(from, to)).rejects.toMatchObject({ code: 'LOG_FORKED' });
  });

  it('does not come back when it was let go there, and a base that is copied again brings its own', async () => {
    const [from, to] = [await newRepository(scratchDirectory()), await newRepository(scratchDirectory())];
    await writeLog(newLogWriter(from), 3 * SECTION);
    const old = await makeBase(from, { start: 0 });
    await copyBase(from, to, old);
    await copyBase(from, to, await makeBase(from, { start: 2 * SECTION }));
    await copy(from, to);
    const [oldest] = await listSnapshots(to, await to.heads.read());
    await forgetSnapshots(to.heads, new Set([oldest!.id]));
    await trimCluster(to, ASSET);
    expect(await copy(from, to)).toMatchObject({ bytes: 0 });
    await copyBase(from, to, old);
    expect(await copy(from, to)).toMatchObject({ bytes: 2 * SECTION });
    expect(await windowOf(to)).toEqual(await windowOf(from));
    await mustHold(to, 0, 3 * SECTION);
  });
});

// Log that goes when no base needs it, and stays as long as one does: also one that is forgotten and held by a reader.

import { describe, expect, it } from 'vitest';
import { readClusterFacts } from '../../src/engine/cluster-facts.ts';
import { judgeBases, trimCluster } from '../../src/engine/cluster-retention.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { recoveryWindow } from '../../src/engine/recovery-plan.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { forgetSnapshots, pinSnapshot, unpinSnapshot } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { dyingStore } from '../support/dying-store.ts';
import { ASSET, INCARNATION, logBytes, makeBase, newLogWriter, RECORD, SECTION, timeAt, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { openRepository, processFacts } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';

async function viewOf(repository: Repository): Promise<LogView> {
  return (await LogView.open(repository, repository.keyring.assetId(ASSET)))!;
}

async function sectionsOf(repository: Repository): Promise<number[]> {
  const found = new Set<number>();
  for await (const page of repository.store.list('log/'))
    for (const { key } of page) found.add(Number.parseInt(/\/([0-9a-f]{16})[^/]*$/.exec(key)![1]!, 16) / SECTION);
  return [...found].sort((a, b) => a - b);
}

async function mustRead(repository: Repository, from: number, to: number, timeline = 1): Promise<void> {
  const read = new Uint8Array(to - from);
  await (await viewOf(repository)).read(timeline, from, read);
  expect(Buffer.compare(read, logBytes(from, to, timeline))).toBe(0);
}

async function windowOf(repository: Repository): Promise<{ readonly from: number; readonly to: number }[]> {
  const { facts, view } = (await readClusterFacts(repository, ASSET))!;
  return (await recoveryWindow(facts, view.timeline)).map(({ from, to }) => ({ from: from.time, to: to.time }));
}

describe('the log of a cluster', () => {
  it('loses what lies before the oldest base, and nothing behind it, while a capture goes on', async () => {
    const repository = await newRepository(scratchDirectory());
    const writer = newLogWriter(repository);
    await writeLog(writer, 3 * SECTION + 5 * RECORD);
    const old = await makeBase(repository, { start: 2 * RECORD });
    await makeBase(repository, { start: 2 * SECTION + 3 * RECORD });
    const report = await trimCluster(repository, ASSET);
    expect(report).toMatchObject({ objects: 0, epochs: 0 });
    await forgetSnapshots(repository.heads, new Set([old.id]));
    expect(await trimCluster(repository, ASSET, { dryRun: true })).toMatchObject({ objects: 2, epochs: 0 });
    await mustRead(repository, 0, SECTION);
    expect(await trimCluster(repository, ASSET)).toMatchObject({ objects: 2, epochs: 0 });
    expect(await sectionsOf(repository)).toEqual([2, 3]);
    await writeLog(writer, 4 * SECTION + RECORD);
    await mustRead(repository, 2 * SECTION, 4 * SECTION + RECORD);
    expect(await windowOf(repository)).toEqual([{ from: timeAt(2 * SECTION + 4 * RECORD), to: timeAt(4 * SECTION) }]);
    await expect(mustRead(repository, SECTION, 2 * SECTION)).rejects.toMatchObject({ code: 'LOG_GAP' });
  });

  it('keeps what a reader holds, although the base is forgotten, until the reader lets go', async () => {
    const repository = await newRepository(scratchDirectory());
    await writeLog(newLogWriter(repository), 3 * SECTION);
    const old = await makeBase(repository, { start: RECORD });
    await makeBase(repository, { start: 2 * SECTION });
    const { holder } = await pinSnapshot(repository.heads, old.id, processFacts());
    await forgetSnapshots(repository.heads, new Set([old.id]));
    expect(await trimCluster(repository, ASSET)).toMatchObject({ objects: 0 });
    await mustRead(repository, RECORD, 3 * SECTION);
    await unpinSnapshot(repository.heads, holder);
    expect(await trimCluster(repository, ASSET)).toMatchObject({ objects: 2 });
  });

  it('keeps everything while there is no base', async () => {
    const repository = await newRepository(scratchDirectory());
    await writeLog(newLogWriter(repository), 2 * SECTION);
    expect(await trimCluster(repository, ASSET)).toBeUndefined();
    await mustRead(repository, 0, 2 * SECTION);
  });

  it('lets whole epochs go, with their keys, but not the last one of a host: its capture may go on', async () => {
    const repository = await newRepository(scratchDirectory());
    await writeLog(newLogWriter(repository), SECTION + 2 * RECORD);
    const sleeping = newLogWriter(repository, { from: SECTION, host: 'other' });
    await writeLog(sleeping, SECTION + 3 * RECORD);
    await writeLog(newLogWriter(repository, { from: SECTION }), 4 * SECTION);
    await makeBase(repository, { start: 3 * SECTION });
    expect(await trimCluster(repository, ASSET)).toMatchObject({ epochs: 1 });
    const { epochs, retired } = await new LogCatalogueKeeper(repository, repository.keyring.assetId(ASSET)).read();
    expect(epochs.map(({ host }) => host)).toEqual(['other', 'test']);
    expect(retired).toBeUndefined();
    const keys: string[] = [];
    for await (const page of repository.store.list('session-keys/')) for (const { key } of page) keys.push(key);
    expect(keys.filter((key) => key.includes('/6c6f67'))).toHaveLength(2);
    // The one that slept goes on, and what it stores is found.
    await writeLog(sleeping, 4 * SECTION + RECORD);
    await mustRead(repository, 3 * SECTION, 4 * SECTION + RECORD);
  });

  it('keeps the log of a timeline that no base leads to, as long as it is younger than the oldest base', async () => {
    const repository = await newRepository(scratchDirectory());
    const keeper = new LogCatalogueKeeper(repository, repository.keyring.assetId(ASSET));
    await writeLog(newLogWriter(repository), 3 * SECTION);
    await makeBase(repository, { start: 2 * SECTION, stop: 2 * SECTION + RECORD });
    const ancestors = [{ timeline: 1, until: SECTION }];
    await keeper.addHistory({ incarnation: INCARNATION, timeline: 2, ancestors, file: '' });
    await writeLog(newLogWriter(repository, { from: SECTION, timeline: 2, host: 'accident' }), 4 * SECTION);
    const report = await trimCluster(repository, ASSET);
    // Of timeline 1 two sections, of timeline 2 the one whose transactions are all older than the base.
    expect(report).toMatchObject({ objects: 3 });
    expect(report!.needed.get(2)).toBeUndefined();
    await mustRead(repository, 2 * SECTION, 4 * SECTION, 2);
  });

  it('that is trimmed while it is opened is not taken for damaged', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    await writeLog(newLogWriter(repository), 4 * SECTION);
    await makeBase(repository, { start: 2 * SECTION });
    let between: (() => Promise<unknown>) | undefined = () => trimCluster(repository, ASSET);
    const slow = (store: ObjectStore): ObjectStore =>
      new Proxy(store, {
        get: (target, name) => {
          const value = Reflect.get(target, name, target) as unknown;
          if (typeof value !== 'function') return value;
          const method = value.bind(target) as (...args: unknown[]) => unknown;
          if (name !== 'list') return method;
          return async function* (...args: unknown[]) {
            if (String(args[0]).startsWith('log/')) {
              const work = between;
              between = undefined;
              await work?.();
            }
            yield* method(...args) as AsyncIterable<unknown>;
          };
        },
      });
    const reading = await openRepository(directory, { wrap: slow });
    expect((await viewOf(reading)).gaps).toEqual([]);
    expect(between).toBeUndefined();
    await reading.close();
  });

  it('is whole or can be trimmed again, wherever a trim dies', async () => {
    for (let dieAt = 1; dieAt <= 9; dieAt++) {
      const directory = scratchDirectory();
      const dying = dyingStore('swap', 'delete');
      const repository = await openRepository(directory, { init: true, wrap: dying.wrap });
      await writeLog(newLogWriter(repository), 2 * SECTION + 2 * RECORD);
      await writeLog(newLogWriter(repository, { from: 2 * SECTION }), 4 * SECTION + RECORD);
      await makeBase(repository, { start: 3 * SECTION + RECORD });
      dying.left = dieAt;
      const failure = await trimCluster(repository, ASSET).catch((error: unknown) => error);
      dying.left = Number.POSITIVE_INFINITY;
      await mustRead(repository, 3 * SECTION, 4 * SECTION + RECORD);
      expect(await windowOf(repository)).toEqual([{ from: timeAt(3 * SECTION + 2 * RECORD), to: timeAt(4 * SECTION) }]);
      await trimCluster(repository, ASSET);
      expect(await sectionsOf(repository), `died at ${dieAt}: ${String(failure)}`).toEqual([3, 4]);
      const { epochs, retired } = await new LogCatalogueKeeper(repository, repository.keyring.assetId(ASSET)).read();
      expect([epochs.length, retired]).toEqual([1, undefined]);
      await repository.close();
    }
  });
});

describe('a window of days', () => {
  it('needs the newest base before it, and everything after it; a damaged or a half one stands in for none', async () => {
    const repository = await newRepository(scratchDirectory());
    await writeLog(newLogWriter(repository), 20 * RECORD);
    const bases: Snapshot[] = [];
    for (const start of [1, 5, 9, 13]) bases.push(await makeBase(repository, { start: start * RECORD }));
    const needed = async (since: number): Promise<boolean[]> => {
      const judged = await judgeBases(repository, ASSET, since);
      return bases.map(({ id }) => judged.get(id)!.isNeeded);
    };
    expect(await needed(timeAt(12 * RECORD))).toEqual([false, false, true, true]);
    expect(await needed(timeAt(10 * RECORD))).toEqual([false, false, true, true]);
    expect(await needed(timeAt(9 * RECORD))).toEqual([false, true, true, true]);
    expect(await needed(timeAt(RECORD))).toEqual([true, true, true, true]);
    expect(await needed(Number.POSITIVE_INFINITY)).toEqual([false, false, false, true]);
    // Its log has not come yet.
    bases.push(await makeBase(repository, { start: 19 * RECORD, stop: 22 * RECORD }));
    expect(await needed(Number.POSITIVE_INFINITY)).toEqual([false, false, false, true, true]);
    await repository.store.put(`unsound/${bases[3]!.id}`, Buffer.from('HFUS\x01\n'));
    expect(await needed(Number.POSITIVE_INFINITY)).toEqual([false, false, true, true, true]);
  });
});

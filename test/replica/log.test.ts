// Logs at a replica: written by the real writer, copied while they grow, read by the real reader.

import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { trimCluster } from '../../src/engine/cluster-retention.ts';
import { LogCatalogueKeeper } from '../../src/engine/log-catalogue.ts';
import { LogView } from '../../src/engine/log-view.ts';
import { LogWriter } from '../../src/engine/log-writer.ts';
import { verify } from '../../src/engine/verify.ts';
import { recordDamage } from '../../src/engine/verify-log.ts';
import { LOG_SECTION_BYTES } from '../../src/format/log-object.ts';
import { ReplicaProgress } from '../../src/replica/replica-progress.ts';
import { forgetSnapshots } from '../../src/repository/registry.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { listSnapshots } from '../../src/repository/snapshots.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { ASSET as MADE_UP, makeBase, newLogWriter, RECORD, SECTION, writeLog } from '../support/log-asset.ts';
import { newRepository } from '../support/new-repository.ts';
import { openReplication, prove, replicaOf, replicate } from '../support/replicating.ts';
import { backUpTree, objectPath, objectsIn, openRepository, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

const ASSET = 'pg/test';

function writerOf(repository: Repository, from = 0, rangesKeptMs = 0): LogWriter {
  const assetId = repository.keyring.assetId(ASSET);
  return new LogWriter({
    repository,
    catalogue: new LogCatalogueKeeper(repository, assetId),
    assetId,
    incarnation: '0123456789abcdef',
    timeline: 1,
    from,
    host: 'test',
    now: () => new Date(),
    policy: { bytes: 1, ms: 60_000 },
    rangesKeptMs,
    known: [],
    signal: new AbortController().signal,
    onTrouble: () => {},
    onDurable: () => {},
  });
}

async function append(writer: LogWriter, bytes: Uint8Array, from: number, to: number, step: number): Promise<void> {
  for (let at = from; at < to; ) {
    await writer.ready();
    const next = Math.min(to, at + step, at + writer.room);
    writer.append(bytes.subarray(at, next), [], next);
    at = next;
  }
  await writer.flush();
}

async function expectLog(directory: string, bytes: Uint8Array): Promise<void> {
  const replica = await openRepository(replicaOf(directory));
  try {
    const view = (await LogView.open(replica, replica.keyring.assetId(ASSET)))!;
    expect(Math.max(...view.epochs.map(({ reader }) => reader.end))).toBe(bytes.length);
    const read = new Uint8Array(bytes.length);
    await view.read(1, 0, read);
    expect(Buffer.compare(read, bytes)).toBe(0);
  } finally {
    await replica.close();
  }
}

type Reads = { bytes: number; misses: number };

/** What of logs is read there, and how often what is not there. */
function readsCounted(store: ObjectStore, reads: Reads): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(target, name, target) as unknown;
      if (name !== 'get') return typeof member === 'function' ? member.bind(target) : member;
      return (async (key, range, options) => {
        const isLog = key.startsWith('log/');
        try {
          const read = await target.get(key, range, options);
          if (isLog) reads.bytes += read.length;
          return read;
        } catch (error) {
          if (isLog) reads.misses++;
          throw error;
        }
      }) satisfies ObjectStore['get'];
    },
  });
}

async function sample(): Promise<{ readonly directory: string; readonly repository: Repository }> {
  const directory = scratchDirectory();
  const repository = await newRepository(directory);
  writeSampleTree(join(directory, 'tree'), 1, 2);
  await backUpTree(repository, join(directory, 'tree'), { asset: ASSET });
  return { directory, repository };
}

describe('the log at a replica', () => {
  it('is that of its source after each round, over ranges, sections and epochs', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(LOG_SECTION_BYTES + 500_000, 1);
    const writer = writerOf(repository);
    let at = 0;
    for (const to of [100_000, 300_000, LOG_SECTION_BYTES - 1000, LOG_SECTION_BYTES + 200_000]) {
      await append(writer, bytes, at, to, 100_000);
      at = to;
      await replicate(directory);
      await expectLog(directory, bytes.subarray(0, to));
    }
    // Another capture goes on where this one ended.
    await append(writerOf(repository, at), bytes, at, bytes.length, 50_000);
    await replicate(directory);
    await expectLog(directory, bytes);
    // Ranges that went into a section are deleted there when the writer comes to it, here at once.
    const here = objectsIn(replicaOf(directory), 'log/');
    const there = objectsIn(directory, 'log/');
    expect([...here.keys()].filter((key) => !there.has(key))).toEqual([]);
    expect(await prove(directory)).toMatchObject({ problems: [] });
  });

  it('goes where it was let go at the source, and a hole of the source keeps nothing back', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(3 * LOG_SECTION_BYTES + 200_000, 3);
    const writer = writerOf(repository);
    await append(writer, bytes, 0, bytes.length, 1_000_000);
    const keys = [...objectsIn(directory, 'log/').keys()].filter((key) => !key.includes('.')).sort();
    expect(keys).toHaveLength(3);
    rmSync(objectPath(directory, keys[1]!));
    const progress = await replicate(directory);
    expect([...progress.missing.keys()]).toEqual([keys[1]]);
    expect(objectsIn(replicaOf(directory), 'log/')).toEqual(objectsIn(directory, 'log/'));
    expect((await prove(directory)).problems.map(({ key }) => key)).toEqual([keys[1]]);
    const catalogue = new LogCatalogueKeeper(repository, repository.keyring.assetId(ASSET));
    await catalogue.letGo(new Map([[writer.epoch.epoch, 2 * LOG_SECTION_BYTES]]), new Set());
    for (const key of [keys[0]!]) rmSync(objectPath(directory, key));
    expect((await replicate(directory)).removed).toBe(1);
    expect(objectsIn(replicaOf(directory), '')).toEqual(objectsIn(directory, ''));
    expect(await prove(directory)).toMatchObject({ problems: [] });
    // The whole epoch, once another one has taken its place.
    await append(writerOf(repository, bytes.length - 1000), bytes, bytes.length - 1000, bytes.length, 1000);
    await catalogue.letGo(new Map(), new Set([writer.epoch.epoch]));
    await replicate(directory);
    const left = [...objectsIn(replicaOf(directory), 'log/').keys(), ...objectsIn(replicaOf(directory), 'session-keys/').keys()];
    expect(left.filter((key) => key.includes(writer.epoch.epoch))).toEqual([]);
    expect(left.filter((key) => key.startsWith('log/'))).toHaveLength(1);
  });

  it('crosses once: sections and ranges that repeat others are made of what is there, byte for byte', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(LOG_SECTION_BYTES, 5);
    const writer = writerOf(repository, 0, 60_000);
    const [there, here] = [
      { bytes: 0, misses: 0 },
      { bytes: 0, misses: 0 },
    ];
    const counts = {
      wrapSource: (store: ObjectStore) => readsCounted(store, there),
      wrap: (store: ObjectStore) => readsCounted(store, here),
    };
    const replication = await openReplication(directory, counts);
    const expectSame = (keys: Iterable<string>): void => {
      for (const key of keys)
        expect(Buffer.compare(readFileSync(objectPath(replicaOf(directory), key)), readFileSync(objectPath(directory, key)))).toBe(
          0,
        );
    };
    // Short ones, more than are repeated at once; then long ones.
    for (let at = 0; at < bytes.length; ) {
      const to = Math.min(bytes.length, at + (at < 70 * 20_000 ? 20_000 : 4_000_000));
      await append(writer, bytes, at, to, to - at);
      if (to % 280_000 === 0 || to > 70 * 20_000) await replication.once();
      at = to;
    }
    const ranges = [...objectsIn(directory, 'log/')].filter(([key]) => key.includes('.'));
    expect(ranges.find(([key]) => key.endsWith('.000063'))![1]).toBeGreaterThan(63 * 20_000);
    const sections = [...objectsIn(replicaOf(directory), 'log/').keys()];
    expect(sections.filter((key) => !key.includes('.'))).toHaveLength(1);
    expectSame(sections);
    expect(there.bytes).toBeLessThan(bytes.length * 1.01);
    // What came a moment ago is not read again.
    expect(here.bytes).toBe(0);
    // What cannot be made of what is there crosses.
    const second = seededBytes(LOG_SECTION_BYTES, 6);
    const all = Buffer.concat([bytes, second]);
    await append(writer, all, bytes.length, all.length - 1, 6_000_000);
    await replication.once();
    const stored = [...objectsIn(replicaOf(directory), 'log/').keys()].filter((key) => key.includes('.'));
    expect(stored.length).toBeGreaterThan(0);
    const path = objectPath(replicaOf(directory), stored[0]!);
    const damaged = readFileSync(path);
    damaged[1000]! ^= 1;
    chmodSync(path, 0o600);
    writeFileSync(path, damaged);
    await append(writer, all, all.length - 1, all.length, 1);
    // One that has just been started has nothing but what is stored.
    await (await openReplication(directory, counts)).once();
    expectSame([...objectsIn(replicaOf(directory), 'log/').keys()]);
    expect(there.bytes).toBeGreaterThan(bytes.length + 1.9 * second.length);
    await expectLog(directory, all);
  });

  it('is asked for once where it does not go on, by as many questions as came before and one', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(200_000, 7);
    const writer = writerOf(repository, 0, 60_000);
    const there = { bytes: 0, misses: 0 };
    const replication = await openReplication(directory, { wrapSource: (store) => readsCounted(store, there) });
    let at = 0;
    const grow = async (ranges: number): Promise<void> => {
      for (let n = 0; n < ranges; n++, at += 1000) await append(writer, bytes, at, at + 1000, 1000);
      await replication.once();
    };
    await grow(1);
    there.misses = 0;
    for (let round = 0; round < 10; round++) await grow(1);
    expect(there.misses).toBe(10);
    // More than were expected are found all the same, and fewer cost no more than was expected.
    await grow(30);
    there.misses = 0;
    await grow(5);
    expect(there.misses).toBeLessThanOrEqual(3);
    await expectLog(directory, bytes.subarray(0, at));
  });

  it('comes while it is written, beside packs, and the lag is told', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(400_000, 2);
    const progress = new ReplicaProgress();
    const stopped = new AbortController();
    const replication = await openReplication(directory, { progress, signal: stopped.signal });
    const following = replication.follow();
    const writer = writerOf(repository);
    for (let at = 0; at < bytes.length; at += 40_000) await append(writer, bytes, at, at + 40_000, 40_000);
    const written = performance.now();
    // Looked at after the last byte was written: all of it is there.
    while ((progress.logCurrentAtMs ?? 0) < written || (progress.headCurrentAtMs ?? 0) < written)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(progress.lagSeconds(performance.now())).toBeLessThan((performance.now() - written) / 1000);
    await expectLog(directory, bytes);
    stopped.abort();
    await following;
  });

  it('goes on after the replica has refused to delete what a section holds now, and deletes it then', async () => {
    const { directory, repository } = await sample();
    const bytes = seededBytes(2 * LOG_SECTION_BYTES, 4);
    const writer = writerOf(repository);
    const refusing = { count: 0 };
    const wrap = (store: ObjectStore): ObjectStore =>
      new Proxy(store, {
        get: (target, name) => {
          const member = Reflect.get(target, name, target) as unknown;
          if (name !== 'delete') return typeof member === 'function' ? member.bind(target) : member;
          return (async (key, options) => {
            if (key.startsWith('log/') && refusing.count-- > 0) throw new Fault('STORE_TIMEOUT', 'Not now');
            return target.delete(key, options);
          }) satisfies ObjectStore['delete'];
        },
      });
    const replication = await openReplication(directory, { wrap });
    await append(writer, bytes, 0, 300_000, 100_000);
    await replication.once();
    await append(writer, bytes, 300_000, LOG_SECTION_BYTES + 300_000, 1_000_000);
    refusing.count = 1;
    await expect(replication.once()).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
    await append(writer, bytes, LOG_SECTION_BYTES + 300_000, bytes.length, 1_000_000);
    await replication.once();
    expect(objectsIn(replicaOf(directory), 'log/')).toEqual(objectsIn(directory, 'log/'));
    await expectLog(directory, bytes);
  });

  it('is behind by no more than a round although its source writes a section with every look', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const writer = newLogWriter(repository);
    await writeLog(writer, SECTION / 2);
    let writing: Promise<void> | undefined;
    const busy = (store: ObjectStore): ObjectStore =>
      new Proxy(store, {
        get: (target, name) => {
          const member = Reflect.get(target, name, target) as unknown;
          if (name !== 'get') return typeof member === 'function' ? member.bind(target) : member;
          return (async (key, range, options) => {
            try {
              return await target.get(key, range, options);
            } catch (error) {
              if (key.startsWith('log/')) {
                writing ??= writeLog(writer, writer.end + SECTION).finally(() => {
                  writing = undefined;
                });
                await writing;
              }
              throw error;
            }
          }) satisfies ObjectStore['get'];
        },
      });
    await replicate(directory, { wrapSource: busy });
    const replica = await openRepository(replicaOf(directory));
    const view = (await LogView.open(replica, replica.keyring.assetId(MADE_UP)))!;
    expect(view.storedTo(1, 0)).toBeGreaterThanOrEqual(SECTION / 2);
    await replica.close();
  });

  it('follows what its source lets go of, also before it came, and goes on behind what its source has lost', async () => {
    const directory = scratchDirectory();
    const repository = await newRepository(directory);
    const writer = newLogWriter(repository);
    const sectionsAt = (place: string): string[] =>
      [...objectsIn(place, 'log/').keys()].map((key) => key.slice(key.lastIndexOf('/') + 1)).filter((name) => !name.includes('.'));
    const expectSame = async (from: number): Promise<void> => {
      expect(sectionsAt(replicaOf(directory))).toEqual(sectionsAt(directory));
      const replica = await openRepository(replicaOf(directory));
      const view = (await LogView.open(replica, replica.keyring.assetId(MADE_UP)))!;
      expect(view.stretches.at(-1)).toEqual({ timeline: 1, from, to: writer.end });
      await replica.close();
    };
    const replication = await openReplication(directory);
    await writeLog(writer, 2 * SECTION);
    const old = await makeBase(repository, { start: 0 });
    await replication.once();
    await makeBase(repository, { start: SECTION });
    await forgetSnapshots(repository.heads, new Set([old.id]));
    await trimCluster(repository, MADE_UP);
    await writeLog(writer, 3 * SECTION);
    await replication.once();
    await expectSame(SECTION);
    // Far ahead of the replica, and one of what it does not have yet is lost.
    await writeLog(writer, 7 * SECTION + RECORD);
    const [base] = await listSnapshots(repository, await repository.heads.read());
    await makeBase(repository, { start: 4 * SECTION });
    await forgetSnapshots(repository.heads, new Set([base!.id]));
    await trimCluster(repository, MADE_UP);
    rmSync([...objectsIn(directory, 'log/').keys()].sort()[1]!.replace(/^/, `${directory}/repository/`));
    const { logs } = await verify(repository, { depth: { kind: 'structure' }, threads: 1 });
    await recordDamage(repository, logs, new Date(), {});
    await replication.once();
    await expectSame(6 * SECTION);
  });
});
